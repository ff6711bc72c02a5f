/*
 * ties.h
 *		What rules need, as the server's dependencies.
 */
#ifndef INVAL_TIES_H
#define INVAL_TIES_H

#include "catalog/objectaddress.h"
#include "nodes/parsenodes.h"

#include "rule/definition.h"

extern ObjectAddress inval_ties_carrier(const InvalDefinition *definition);
extern void inval_ties_record(const InvalDefinition *definition, List *needs,
							  List *queries);
extern void inval_ties_cut(Oid class, Oid object, int32 column);
extern bool inval_ties_exist(const InvalDefinition *definition);
extern void inval_ties_check(const InvalDefinition *definition, List *objects,
							 const char *what);
extern void inval_ties_lock(const InvalDefinition *definition);
extern List *inval_ties_of(const InvalDefinition *definition);
extern bool inval_ties_have(List *ties, const ObjectAddress *wanted);
extern List *inval_ties_readers(Oid class, Oid object, int32 column);
extern List *inval_ties_readers_through(Oid class, Oid object);

#endif							/* INVAL_TIES_H */
