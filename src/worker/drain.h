/*
 * drain.h
 *		Delivers what is in the outbox, batch by batch.
 */
#ifndef INVAL_DRAIN_H
#define INVAL_DRAIN_H

#include "storage/itemptr.h"
#include "target/target.h"
#include "worker/removal.h"

/* One cursor for small rows, the others for large ones; see gather.c. */
#define INVAL_DRAIN_CURSORS		8

typedef enum InvalDrainResult
{
	INVAL_DRAIN_MORE,			/* the pass goes on */
	INVAL_DRAIN_PASSED,			/* all tables were looked at */
	INVAL_DRAIN_FAILED			/* the target did not take them */
} InvalDrainResult;

/* A row of the outbox, by where it is */
typedef struct InvalDrainPlace
{
	int			table;
	ItemPointerData tid;
} InvalDrainPlace;

/* How far a pass is with some of the rows */
typedef struct InvalDrainCursor
{
	bool		active;			/* there may be more */
	InvalDrainPlace next;		/* rows before it were looked at */
	int64		part_id;		/* the row at "next", of which only a part was */
	int			part;			/* delivered: so many entries */
	/* Large rows only */
	InvalDrainPlace last;		/* where the last one was met */
	bool		again;			/* some were met before "next": */
	InvalDrainPlace again_next;
	InvalDrainPlace again_last;
} InvalDrainCursor;

/* A pass through the outbox */
typedef struct InvalDrain
{
	InvalTarget *target;
	bool		own_transactions;	/* start and commit them here */
	bool		whole;			/* look at all of the tables, not only at what
								 * was announced since the last look */
	bool		whole_pass;		/* this is what the pass began with */
	uint64		pass_started;	/* as inval_clock_us */
	bool		entered;		/* the small rows' cursor is within a table */
	uint64		look_started;	/* when it began, as inval_clock_us */
	uint64		look_again;		/* when it looks at all once more */
	InvalDrainCursor cursors[INVAL_DRAIN_CURSORS];
	int			turn;			/* the cursor that comes first in the next batch */
	TimestampTz next_due;		/* the first repetition that is not due yet; 0:
								 * none was met in this pass */
	uint64		note_from;		/* oldest transaction to be noted in the ledger;
								 * 0: none is */
	InvalRemoval *removal;		/* who is told of prefix entries; NULL: nobody */
	uint64		found;			/* entries met in this pass */
	uint64		open;			/* of those, left to a later one */
	uint64		confirmed;		/* and delivered, in all passes */
	MemoryContext context;		/* one batch */
} InvalDrain;

extern void inval_drain_begin(InvalDrain *drain, InvalTarget *target,
							  bool own_transactions);
extern void inval_drain_rewind(InvalDrain *drain, bool whole);
extern InvalDrainResult inval_drain_batch(InvalDrain *drain);
extern void inval_drain_end(InvalDrain *drain);

#endif							/* INVAL_DRAIN_H */
