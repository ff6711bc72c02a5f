/*
 * via_canonical.h
 *		A via query written so that it means the same in every session.
 */
#ifndef INVAL_VIA_CANONICAL_H
#define INVAL_VIA_CANONICAL_H

#include "nodes/parsenodes.h"
#include "utils/rel.h"

extern char *inval_via_canonical(const char *query, Relation tracked);
extern List *inval_via_objects(Query *query);

#endif							/* INVAL_VIA_CANONICAL_H */
