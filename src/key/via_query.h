/*
 * via_query.h
 *		The text of a via query, and what it means.
 */
#ifndef INVAL_VIA_QUERY_H
#define INVAL_VIA_QUERY_H

#include "access/tupdesc.h"
#include "nodes/parsenodes.h"
#include "utils/rel.h"

#include "key/lookup_role.h"

/* Whose the text is, and what its placeholders can name */
typedef struct InvalQuerySource
{
	const char *what;			/* "via", "refill" or "audit": for messages */
	Relation	tracked;
	TupleDesc	given;			/* columns that come before those of the row: what the
								 * rule's via query gives; NULL: there are none */
} InvalQuerySource;

/* A via query, or another one of a rule, as parse analysis has understood it */
typedef struct InvalViaQuery
{
	char	   *text;			/* with $n for the placeholders */
	int			nparams;
	AttrNumber *attnums;		/* the tracked table's column for each $n, */
	bool	   *given;			/* or that of what the via query gives */
	char	  **names;			/* as they are written */
	Oid		   *types;
	Query	   *query;
} InvalViaQuery;

/*
 * "mode" is INVAL_LOOKUP_VIA for a text that inval_query_canonical has given, and
 * INVAL_LOOKUP_WRITTEN for one of the user's.
 */
extern InvalViaQuery *inval_via_analyze(const char *query, Relation tracked,
										InvalLookupMode mode);
extern InvalViaQuery *inval_query_analyze(const char *query,
										  const InvalQuerySource *source,
										  InvalLookupMode mode);
extern char *inval_via_deparse(InvalViaQuery *query, Relation tracked);

#endif							/* INVAL_VIA_QUERY_H */
