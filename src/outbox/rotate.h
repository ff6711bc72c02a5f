/*
 * rotate.h
 *		Emptying the tables of the outbox.
 */
#ifndef INVAL_OUTBOX_ROTATE_H
#define INVAL_OUTBOX_ROTATE_H

/* What inval_outbox_retire found */
typedef enum InvalOutboxState
{
	INVAL_OUTBOX_EMPTY,			/* it is empty, now or before */
	INVAL_OUTBOX_IN_USE,		/* a writer or a reader holds a lock on it, or a
								 * commit is waiting for replies, or a row
								 * of late for standbys, or what is
								 * confirmed is not settled yet */
	INVAL_OUTBOX_OWES			/* it still has what is not confirmed */
} InvalOutboxState;

extern bool inval_outbox_is_current(int table);
extern InvalOutboxState inval_outbox_retire(int table);

#endif							/* INVAL_OUTBOX_ROTATE_H */
