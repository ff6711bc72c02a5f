/*
 * orphans.h
 *		Keys that no row feeds any more.
 */
#ifndef INVAL_AUDIT_ORPHANS_H
#define INVAL_AUDIT_ORPHANS_H

#include "audit/shape.h"
#include "audit/subject.h"
#include "target/search.h"

/* A key at a target */
typedef struct InvalOrphan
{
	InvalPrefix name;
	InvalTarget *target;
	const char *variable;		/* whose value it has from before; NULL: no row feeds it */
	int64		idle_s;			/* how long nobody has asked for it; -1: not known */
	int64		ttl_ms;			/* how long it will live; -1: for ever */
} InvalOrphan;

/* A search for them */
typedef struct InvalOrphans
{
	InvalSubject subject;
	InvalShape	shape;
	int			max;			/* more are not looked for */
	InvalOrphan *found;
	int			count;
	uint64		seen;			/* keys of the rule's shape that were looked at */
	bool		cut;			/* there may be more */

	/* orphans.c's own */
	InvalTarget *target;
	InvalPrefix *candidates;	/* keys whose rows are to be looked for, */
	InvalPrefix *columns;		/* and of which columns each, */
	int			ncandidates;	/* so many */
	HTAB	   *known;			/* hashes of those that were found */
	MemoryContext context;
	MemoryContext batch_context;	/* of the candidates */
} InvalOrphans;

extern void inval_orphans_find(InvalOrphans *orphans, int32 rule, int max);
extern void inval_orphans_remove(InvalOrphans *orphans);
extern void inval_orphans_end(InvalOrphans *orphans);

#endif							/* INVAL_AUDIT_ORPHANS_H */
