/*
 * via_canonical.h
 *		A via query written so that it means the same in every session.
 */
#ifndef INVAL_VIA_CANONICAL_H
#define INVAL_VIA_CANONICAL_H

#include "nodes/parsenodes.h"

#include "key/via_query.h"

extern char *inval_query_canonical(const char *query, const InvalQuerySource *source);
extern List *inval_via_objects(Query *query);

#endif							/* INVAL_VIA_CANONICAL_H */
