/*
 * requeue.h
 *		Rows that are not done with when they were delivered.
 */
#ifndef INVAL_REQUEUE_H
#define INVAL_REQUEUE_H

#include "outbox/outbox.h"

extern bool inval_requeue_comes_again(const InvalOutboxRow *row);
extern bool inval_requeue_can_note(const InvalOutboxRow *row, uint64 horizon);
extern void inval_requeue_confirmed(const InvalOutboxRow *row);

#endif							/* INVAL_REQUEUE_H */
