/*
 * members.h
 *		The removal of what a set lists, from a cluster.
 */
#ifndef INVAL_MEMBERS_H
#define INVAL_MEMBERS_H

#include "target/delivery.h"

/* One go at sets of a target */
typedef struct InvalMembers
{
	InvalTarget *target;
	bool		own_transactions;	/* there is none open while it lasts */
	bool		locked;			/* nobody else is at it */
	uint64		until;			/* as inval_clock_us: then it leaves the rest */
	uint64		unfinished;		/* sets of which it has, or which it has not begun */
	MemoryContext context;		/* of one step */
} InvalMembers;

extern void inval_members_begin(InvalMembers *members, InvalTarget *target,
								bool own_transactions);
extern InvalOutcome inval_members_remove(InvalMembers *members, const InvalEntry *set,
										 char **error);
extern void inval_members_end(InvalMembers *members);

#endif							/* INVAL_MEMBERS_H */
