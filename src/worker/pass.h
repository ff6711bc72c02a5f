/*
 * pass.h
 *		A pass through the outbox, and how far it is.
 */
#ifndef INVAL_PASS_H
#define INVAL_PASS_H

#include "storage/itemptr.h"

#include "target/target.h"
#include "worker/refills.h"
#include "worker/removal.h"

/*
 * One cursor for small rows that were announced, one for all small ones, the
 * others for large ones; see gather.c.
 */
#define INVAL_PASS_NEWS			0
#define INVAL_PASS_ALL			1
#define INVAL_PASS_LARGE		2	/* the first of them */
#define INVAL_PASS_CURSORS		9

/* Reading much of the outbox for nothing takes no more than this part of the time. */
#define INVAL_LOOK_SHARE		50

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
	bool		entered;		/* it is within a table; small rows only */
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
	bool		whole;			/* it looks at all of the tables, not only at what
								 * was announced since the last look */
	bool		kept;			/* also at those for targets that are away */
	bool		kept_met;		/* where it has met something */
	uint64		started;		/* as inval_clock_us */
	uint64		look_us;		/* how long the look at all tables has taken */
	uint64		look_again;		/* when it looks at all once more */
	uint64		pauses;			/* of rules, what it knows of: inval_pauses_version */
	InvalPassCursor cursors[INVAL_PASS_CURSORS];
	bool		turn_of_all;	/* this batch is not the news' but of the look at all */
	int			turn;			/* which of the large rows' cursors comes first in
								 * the next batch */
	TimestampTz next_due;		/* the first repetition that is not due yet; 0:
								 * none was met in this pass */
	uint64		note_from;		/* oldest transaction to be noted in the ledger;
								 * 0: none is */
	InvalRefills *refills;		/* who is told of values to be put back; NULL: nobody,
								 * and they are left alone */
	InvalRemoval *removal;		/* who is told of prefix entries; NULL: nobody */
	uint64		found;			/* entries met in this pass */
	uint64		open;			/* of those, left to a later one */
	uint64		paused;			/* met and held back, because their rules are paused */
	uint64		confirmed;		/* and delivered, in all passes */
	struct InvalProgress *progress; /* where others see it; NULL: nowhere */
	MemoryContext context;		/* one batch */
} InvalPass;

extern void inval_pass_begin(InvalPass *pass, InvalTarget *target,
							 bool own_transactions);
extern void inval_pass_rewind(InvalPass *pass, bool whole, bool kept);
extern void inval_pass_end(InvalPass *pass);
extern void inval_pass_start_transaction(InvalPass *pass);
extern void inval_pass_commit_transaction(InvalPass *pass);

#endif							/* INVAL_PASS_H */
