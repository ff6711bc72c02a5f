/*
 * pass.h
 *		A pass through the outbox, and how far it is.
 */
#ifndef INVAL_PASS_H
#define INVAL_PASS_H

#include "storage/itemptr.h"

#include "target/target.h"
#include "worker/removal.h"

/* One cursor for small rows, the others for large ones; see gather.c. */
#define INVAL_PASS_CURSORS		8

/* A row of the outbox, by where it is */
typedef struct InvalPassPlace
{
	int			table;
	ItemPointerData tid;
} InvalPassPlace;

/* How far a pass is with some of the rows */
typedef struct InvalPassCursor
{
	bool		active;			/* there may be more */
	InvalPassPlace next;		/* rows before it were looked at */
	int64		part_id;		/* the row at "next", of which only a part was */
	int			part;			/* delivered: so many entries */
	/* Large rows only */
	InvalPassPlace last;		/* where the last one was met */
	bool		again;			/* some were met before "next": */
	InvalPassPlace again_next;
	InvalPassPlace again_last;
} InvalPassCursor;

/* A pass through the outbox */
typedef struct InvalPass
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
	InvalPassCursor cursors[INVAL_PASS_CURSORS];
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
} InvalPass;

extern void inval_pass_begin(InvalPass *pass, InvalTarget *target,
							 bool own_transactions);
extern void inval_pass_rewind(InvalPass *pass, bool whole);
extern void inval_pass_end(InvalPass *pass);
extern void inval_pass_start_transaction(InvalPass *pass);
extern void inval_pass_commit_transaction(InvalPass *pass);

#endif							/* INVAL_PASS_H */
