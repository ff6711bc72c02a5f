/*
 * split.h
 *		What is left of an outbox row of which a part was delivered.
 */
#ifndef INVAL_SPLIT_H
#define INVAL_SPLIT_H

#include "target/delivery.h"
#include "worker/gather.h"

extern void inval_drain_split(const InvalBatchRow *taken,
							  const InvalOutcome *outcomes, char **errors);
extern void inval_drain_keep_rest(const InvalBatchRow *taken,
								  const InvalOutcome *outcomes);

#endif							/* INVAL_SPLIT_H */
