/*
 * carrier.h
 *		Where rules are kept.
 */
#ifndef INVAL_CARRIER_H
#define INVAL_CARRIER_H

#include "utils/rel.h"

#include "rule/definition.h"

extern bool inval_carriers_exist(Relation relation);
extern List *inval_carriers_of(Relation relation);
extern List *inval_carriers_readable(Relation relation);
extern List *inval_carriers_usable(Relation relation);
extern List *inval_carriers_all(void);
extern InvalDefinition *inval_carrier_find(int32 id);
extern InvalDefinition *inval_carrier_read(Oid class, Oid carrier);
extern void inval_carrier_renumber(Oid trigger);
extern int32 inval_carrier_put(InvalDefinition *definition);
extern void inval_carrier_rewrite(InvalDefinition *definition);
extern void inval_carrier_drop(const InvalDefinition *definition);

#endif							/* INVAL_CARRIER_H */
