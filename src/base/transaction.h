/*
 * transaction.h
 *		The short transactions of background workers.
 */
#ifndef INVAL_TRANSACTION_H
#define INVAL_TRANSACTION_H

extern void inval_transaction_begin(void);
extern void inval_transaction_commit(void);

#endif							/* INVAL_TRANSACTION_H */
