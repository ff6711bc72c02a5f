/*
 * family.h
 *		Partitions, inheritance, and the triggers that capture changes.
 */
#ifndef INVAL_FAMILY_H
#define INVAL_FAMILY_H

#include "nodes/pg_list.h"
#include "storage/lockdefs.h"
#include "utils/rel.h"

extern List *inval_family_ancestors(Oid relid);
extern List *inval_family_leaves(Oid relid, LOCKMODE lockmode);
extern List *inval_family_typed(Oid composite_relid);
extern bool inval_family_is_tracked(Oid relid);
extern bool inval_family_is_equipped(Oid relid);
extern bool inval_family_is_altered(Oid relid);
extern bool inval_family_equip(Oid relid);
extern void inval_family_equip_own(Oid relid);
extern bool inval_family_enable(Oid relid);
extern bool inval_family_is_capture_trigger(const char *name);

#endif							/* INVAL_FAMILY_H */
