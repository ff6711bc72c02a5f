/*
 * lookup.h
 *		Queries with parameters that ask about other tables.
 */
#ifndef INVAL_LOOKUP_H
#define INVAL_LOOKUP_H

#include "access/htup.h"
#include "access/tupdesc.h"
#include "nodes/pg_list.h"
#include "utils/palloc.h"

#include "key/lookup_role.h"

/*
 * Of which state of the database a look-up tells.
 *
 * NOW is the newest committed state (of others, also under REPEATABLE READ)
 * and all that this transaction has changed, the command that is under way
 * included.  BEFORE is the same committed state without anything that this
 * transaction has changed: own rows are not there, rows that it updated or
 * deleted are there as they were.
 */
typedef enum InvalState
{
	INVAL_STATE_NOW,
	INVAL_STATE_BEFORE
} InvalState;

typedef struct InvalLookup
{
	TupleDesc	descriptor;		/* of the result */
	List	   *relations;		/* OIDs: tables, views, ... that are read, with
								 * those behind views and row security */
	bool		opaque;			/* it calls functions that may read more */

	struct InvalLookupPlan *plan;	/* private */
} InvalLookup;

extern InvalLookup *inval_lookup_create(const char *query, int nparams,
										const Oid *types, InvalLookupMode mode,
										Oid relid, MemoryContext cxt);

extern void inval_lookup_init(void);

/* All that is looked up in between is of one moment */
extern void inval_lookup_begin(void);
extern void inval_lookup_end(void);
extern bool inval_lookup_is_under_way(void);

extern int	inval_lookup_run(InvalLookup *lookup, const Datum *params,
							 const bool *nulls, InvalState state,
							 HeapTuple **rows);
extern int	inval_lookup_some(InvalLookup *lookup, const Datum *params,
							  const bool *nulls, InvalState state, long limit,
							  HeapTuple **rows);
extern bool inval_lookup_first(InvalLookup *lookup, const Datum *params,
							   const bool *nulls, InvalState state,
							   Datum *values, bool *isnull);
extern bool inval_lookup_is_touched(const InvalLookup *lookup);

#endif							/* INVAL_LOOKUP_H */
