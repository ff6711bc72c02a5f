/*
 * removal.h
 *		The removal of all keys of a target that start with some bytes.
 */
#ifndef INVAL_REMOVAL_H
#define INVAL_REMOVAL_H

#include "outbox/outbox.h"
#include "redis/prefix.h"
#include "target/target.h"

typedef enum InvalRemovalResult
{
	INVAL_REMOVAL_NONE,			/* there is none that runs */
	INVAL_REMOVAL_LATER,		/* not yet, for the target's rate */
	INVAL_REMOVAL_MORE,			/* it goes on */
	INVAL_REMOVAL_DONE,			/* its entry is confirmed */
	INVAL_REMOVAL_FAILED		/* the target did not take it */
} InvalRemovalResult;

/* At most one runs at a time, for one prefix entry of the outbox */
typedef struct InvalRemoval
{
	InvalTarget *target;
	bool		own_transactions;	/* start and commit them here */
	MemoryContext context;		/* of all that follows */
	bool		running;
	FullTransactionId xid;		/* which entry it is for */
	int64		first;
	InvalPrefixSearch search;
	uint64		connection;		/* target->connections when the search began */
	MemoryContext found_context;	/* of the keys of the last step */
	InvalEntry *found;			/* as deletes */
	int			found_count;
	int			next;			/* of them to be removed */
	uint64		removed;		/* keys, so far */
	uint64		refused;		/* and those that the target refused */
	char		error[INVAL_ERROR_LEN]; /* the first reason why */
} InvalRemoval;

extern InvalRemoval *inval_removal_create(InvalTarget *target, bool own_transactions);
extern bool inval_removal_meet(InvalRemoval *removal, const InvalOutboxRow *row);
extern InvalRemovalResult inval_removal_step(InvalRemoval *removal);
extern long inval_removal_wait_ms(const InvalRemoval *removal);
extern void inval_removal_stop(InvalRemoval *removal);

#endif							/* INVAL_REMOVAL_H */
