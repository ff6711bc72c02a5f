/*
 * via.h
 *		Via queries: rows of other tables that fill a template.
 */
#ifndef INVAL_VIA_H
#define INVAL_VIA_H

#include "executor/tuptable.h"
#include "utils/rel.h"

#include "key/lookup.h"
#include "key/via_query.h"

/*
 * A via query bound to a table.  Lives in the context given to
 * inval_via_bind, and so does its plan: it goes with it.
 */
typedef struct InvalVia
{
	Oid			tracked;		/* the relation as whose owner it runs */
	InvalLookup *lookup;		/* lookup->descriptor: the result's columns;
								 * lookup->relations: whenever the relation
								 * cache forgets one of them, bind again */
	int			nparams;
	AttrNumber *attnums;		/* of the relation whose rows are rendered */
	char	   *text;
	List	   *objects;		/* ObjectAddress *: what the query reads and runs */
} InvalVia;

/* What one changed row gives; see inval_via_rows */
typedef struct InvalViaRows
{
	int			count;
	int			next;
	HeapTuple  *rows;
	TupleTableSlot *slot;		/* NULL where there are no rows */
} InvalViaRows;

extern InvalVia *inval_via_bind(const char *query, Relation tracked,
								Relation relation, MemoryContext cxt);
extern void inval_query_check_plan(const char *query, const InvalQuerySource *source);
extern void inval_query_check_relations(const InvalLookup *lookup, const char *what);
extern void inval_via_check_rights(const InvalVia *via, Relation tracked, Oid role);
extern AttrNumber inval_via_column(InvalVia *via, const char *name);
extern InvalViaRows *inval_via_rows(InvalVia *via, TupleTableSlot *row,
									InvalState state);
extern TupleTableSlot *inval_via_next(InvalViaRows *rows);
extern bool inval_via_is_touched(InvalVia *via);

#endif							/* INVAL_VIA_H */
