/*
 * removal.h
 *		Prefix entries of the outbox: the removal of all keys that look alike.
 */
#ifndef INVAL_REMOVAL_H
#define INVAL_REMOVAL_H

#include "outbox/outbox.h"
#include "target/wipe.h"

typedef enum InvalRemovalResult
{
	INVAL_REMOVAL_NONE,			/* there is none that runs */
	INVAL_REMOVAL_LATER,		/* not yet, for the target's rate or a lost node */
	INVAL_REMOVAL_MORE,			/* it goes on */
	INVAL_REMOVAL_DONE,			/* its entries are confirmed */
	INVAL_REMOVAL_FAILED		/* the target did not take it */
} InvalRemovalResult;

/* An entry that it is for */
typedef struct InvalRemovalEntry
{
	FullTransactionId xid;
	int64		first;
	uint32		rule;
	bool		shared;			/* as InvalEntry has it */
} InvalRemovalEntry;

/*
 * At most one runs at a time.  Entries that can share a search are collected until
 * it begins.
 */
typedef struct InvalRemoval
{
	InvalTarget *target;
	bool		own_transactions;	/* start and commit them here */
	bool		running;
	bool		searching;		/* nothing more is collected */
	bool		waiting;		/* entries were met that need another one */
	InvalWipe	wipe;
	InvalRemovalEntry *entries; /* in order, once it is searching */
	InvalPrefix *prefixes;		/* of each */
	int			count;
	Size		size;			/* bytes of the prefixes */
	uint32		rule;			/* of the first */
	bool		fence;			/* of one of them */
	bool		quiet;			/* they are of rules: too many to be told of */
	char	   *glob;			/* a purge's pattern, of which there is one; or NULL */
	Size		glob_length;
	int			confirmed;		/* entries of the last one that is done */
	InvalProgress *progress;	/* of the search, where others see it */
} InvalRemoval;

extern InvalRemoval *inval_removal_create(InvalTarget *target, bool own_transactions);
extern bool inval_removal_meet(InvalRemoval *removal, const InvalOutboxRow *row);
extern InvalRemovalResult inval_removal_step(InvalRemoval *removal);
extern long inval_removal_wait_ms(const InvalRemoval *removal);
extern void inval_removal_stop(InvalRemoval *removal);

#endif							/* INVAL_REMOVAL_H */
