/*
 * split.h
 *		What is left of an outbox row of which a part was delivered.
 */
#ifndef INVAL_SPLIT_H
#define INVAL_SPLIT_H

#include "outbox/outbox.h"
#include "target/delivery.h"

extern void inval_drain_split(const InvalOutboxRow *row,
							  const InvalOutcome *outcomes, char **errors);
extern bool inval_split_keep(const InvalOutboxRow *row, const bool *keep,
							 InvalOutboxRow *rest);
extern void inval_drain_keep_rest(const InvalOutboxRow *row,
								  const InvalOutcome *outcomes);

#endif							/* INVAL_SPLIT_H */
