/*
 * drain.h
 *		Delivers what is in the outbox, batch by batch.
 */
#ifndef INVAL_DRAIN_H
#define INVAL_DRAIN_H

#include "storage/itemptr.h"
#include "target.h"

typedef enum InvalDrainResult
{
	INVAL_DRAIN_MORE,			/* the pass goes on */
	INVAL_DRAIN_PASSED,			/* all tables were looked at */
	INVAL_DRAIN_FAILED			/* the target did not take them */
} InvalDrainResult;

/* A pass through the outbox */
typedef struct InvalDrain
{
	InvalTarget *target;
	bool		own_transactions;	/* start and commit them here */
	bool		whole;			/* look at all of the tables, not only at what
								 * was announced since the last look */
	int			table;			/* where the pass goes on */
	BlockNumber block;
	ItemPointerData resume;		/* rows before it were looked at */
	TimestampTz next_due;		/* the first repetition that is not due yet; 0:
								 * none was met in this pass */
	uint64		note_from;		/* oldest transaction to be noted in the ledger;
								 * 0: none is */
	uint64		found;			/* entries met in this pass */
	uint64		confirmed;		/* and delivered, in all passes */
	MemoryContext context;		/* one batch */
} InvalDrain;

extern void inval_drain_begin(InvalDrain *drain, InvalTarget *target,
							  bool own_transactions);
extern void inval_drain_rewind(InvalDrain *drain, bool whole);
extern InvalDrainResult inval_drain_batch(InvalDrain *drain);
extern void inval_drain_end(InvalDrain *drain);

#endif							/* INVAL_DRAIN_H */
