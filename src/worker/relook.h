/*
 * relook.h
 *		Look-ups that are made once more after their transaction has committed.
 */
#ifndef INVAL_RELOOK_H
#define INVAL_RELOOK_H

/* Each returns whether there were any. */
extern bool inval_relook(void);
extern bool inval_relook_in_transaction(void);

#endif							/* INVAL_RELOOK_H */
