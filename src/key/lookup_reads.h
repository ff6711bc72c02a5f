/*
 * lookup_reads.h
 *		Whether this transaction has written to what a query reads.
 */
#ifndef INVAL_LOOKUP_READS_H
#define INVAL_LOOKUP_READS_H

#include "nodes/pg_list.h"

/* Versions of what is read */
#define INVAL_READS_UNTOUCHED	UINT64CONST(0)
#define INVAL_READS_UNKNOWN		PG_UINT64_MAX

typedef struct InvalReads
{
	bool		unknown;		/* it may read anything */
	bool		has_children;
	List	   *relids;			/* with children */
	uint64		generation;		/* of the relation cache, when asked */

	/* The last version, and for when */
	uint64		epoch;
	uint64		moment;
	uint64		version;
} InvalReads;

extern bool inval_reads_check_queries(List *queries);
extern void inval_reads_refresh(InvalReads *reads, List *relations, bool opaque);
extern bool inval_reads_are_stale(const InvalReads *reads);
extern uint64 inval_reads_version(InvalReads *reads, uint64 epoch);

#endif							/* INVAL_LOOKUP_READS_H */
