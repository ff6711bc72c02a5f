/*
 * drain.h
 *		Delivers what is in the outbox, batch by batch.
 */
#ifndef INVAL_DRAIN_H
#define INVAL_DRAIN_H

#include "worker/pass.h"

typedef enum InvalDrainResult
{
	INVAL_DRAIN_MORE,			/* the pass goes on */
	INVAL_DRAIN_PASSED,			/* all tables were looked at */
	INVAL_DRAIN_FAILED			/* the target did not take them */
} InvalDrainResult;

extern InvalDrainResult inval_drain_batch(InvalPass *pass);

#endif							/* INVAL_DRAIN_H */
