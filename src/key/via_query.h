/*
 * via_query.h
 *		The text of a via query, and what it means.
 */
#ifndef INVAL_VIA_QUERY_H
#define INVAL_VIA_QUERY_H

#include "nodes/parsenodes.h"
#include "utils/rel.h"

#include "key/lookup_role.h"

/* A via query as parse analysis has understood it */
typedef struct InvalViaQuery
{
	char	   *text;			/* with $n for the placeholders */
	int			nparams;
	AttrNumber *attnums;		/* the tracked table's column for each $n */
	Oid		   *types;
	Query	   *query;
} InvalViaQuery;

/*
 * "mode" is INVAL_LOOKUP_VIA for a text that inval_via_canonical has given, and
 * INVAL_LOOKUP_WRITTEN for one of the user's.
 */
extern InvalViaQuery *inval_via_analyze(const char *query, Relation tracked,
										InvalLookupMode mode);
extern char *inval_via_deparse(InvalViaQuery *query, Relation tracked);

#endif							/* INVAL_VIA_QUERY_H */
