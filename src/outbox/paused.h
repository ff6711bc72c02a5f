/*
 * paused.h
 *		Rows of the outbox that paused rules have queued.
 */
#ifndef INVAL_OUTBOX_PAUSED_H
#define INVAL_OUTBOX_PAUSED_H

#include "outbox/outbox.h"

extern int	inval_outbox_paused(const InvalOutboxRow *row);
extern bool inval_outbox_is_paused(const InvalOutboxRow *row);

#endif							/* INVAL_OUTBOX_PAUSED_H */
