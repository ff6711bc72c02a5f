/*
 * family.c
 *		Partitions, inheritance, and the triggers that capture changes.
 *
 * The rules of a relation hold for all that belongs to it: partitions of any
 * level and inheritance children.  Rows live in the leaves (tables and foreign
 * tables, the relation itself included where it can hold rows), so each leaf
 * has triggers of its own.  The triggers that PostgreSQL would clone from a
 * partitioned table are not used: there are none for TRUNCATE, inheritance
 * children get none, and a partition that has such a trigger of its own could
 * no longer be attached.  ddl/events.c calls inval_family_equip for whatever is
 * created, attached or detached.
 *
 * The row trigger's name sorts before those of foreign keys, so that it sees
 * rows before cascades remove what belongs to them.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/indexing.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "base/catalog.h"
#include "rule/carrier.h"
#include "rule/family.h"
#include "rule/trigger.h"
#include "version/server.h"

typedef struct FamilyTrigger
{
	const char *name;
	int16		type;			/* as in pg_trigger.tgtype */
} FamilyTrigger;

/* What a leaf has under the name of one of our triggers */
typedef enum FamilyState
{
	FAMILY_MISSING,				/* nothing */
	FAMILY_FOREIGN,				/* a trigger that does not call our function */
	FAMILY_ALTERED,				/* one that does, but not always as ours would */
	FAMILY_NOT_ALWAYS,			/* ours, but not enabled ALWAYS */
	FAMILY_READY
} FamilyState;

static const FamilyTrigger row_trigger =
{"00_inval_row",
TRIGGER_TYPE_ROW | TRIGGER_TYPE_AFTER | TRIGGER_TYPE_INSERT | TRIGGER_TYPE_UPDATE | TRIGGER_TYPE_DELETE};
static const FamilyTrigger truncate_trigger =
{"00_inval_truncate",
TRIGGER_TYPE_STATEMENT | TRIGGER_TYPE_BEFORE | TRIGGER_TYPE_TRUNCATE};

static bool family_holds_rows(Oid relid);
static bool family_fires_truncate(Oid relid);
static FamilyState family_find_trigger(Oid relid, const FamilyTrigger *wanted,
									   Oid function, Oid *trigger);
static bool family_is_exact(const Trigger *trigger, const FamilyTrigger *wanted);
static bool family_equip(Oid relid, bool wanted);
static bool family_equip_trigger(Oid relid, const FamilyTrigger *trigger,
								 Oid function, bool wanted);

/*
 * A relation, followed by everything that it is a partition or a child of, on
 * any level (a list of OIDs).
 */
List *
inval_family_ancestors(Oid relid)
{
	List	   *ancestors = list_make1_oid(relid);
	Relation	inherits = table_open(InheritsRelationId, AccessShareLock);
	int			i;

	for (i = 0; i < list_length(ancestors); i++)
	{
		ScanKeyData key;
		SysScanDesc scan;
		HeapTuple	tuple;

		ScanKeyInit(&key, Anum_pg_inherits_inhrelid, BTEqualStrategyNumber, F_OIDEQ,
					ObjectIdGetDatum(list_nth_oid(ancestors, i)));
		scan = systable_beginscan(inherits, InheritsRelidSeqnoIndexId, true, NULL, 1, &key);
		while (HeapTupleIsValid(tuple = systable_getnext(scan)))
			ancestors = list_append_unique_oid(ancestors,
											   ((Form_pg_inherits) GETSTRUCT(tuple))->inhparent);
		systable_endscan(scan);
	}
	table_close(inherits, AccessShareLock);
	return ancestors;
}

/*
 * The relations (a list of OIDs) that hold the rows of a relation: itself and
 * what belongs to it.  They are locked in "lockmode"; without temporary ones.  None,
 * if it was dropped meanwhile.
 */
List *
inval_family_leaves(Oid relid, LOCKMODE lockmode)
{
	List	   *leaves = NIL;
	ListCell   *lc;

	if (lockmode != NoLock)
		LockRelationOid(relid, lockmode);

	/* While we waited for the lock it may have been dropped, with its rows. */
	if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relid)))
		return NIL;
	foreach(lc, find_all_inheritors(relid, lockmode, NULL))
	{
		if (family_holds_rows(lfirst_oid(lc)))
			leaves = lappend_oid(leaves, lfirst_oid(lc));
	}
	return leaves;
}

/*
 * The tables (a list of OIDs) that were made OF a composite type, which is given
 * by its relation.  They are not locked; what inherits from them is left out.
 */
List *
inval_family_typed(Oid composite_relid)
{
	Oid			type = get_rel_type_id(composite_relid);
	Relation	classes;
	TableScanDesc scan;
	ScanKeyData key;
	HeapTuple	tuple;
	List	   *tables = NIL;

	if (!OidIsValid(type))
		return NIL;
	classes = table_open(RelationRelationId, AccessShareLock);
	ScanKeyInit(&key, Anum_pg_class_reloftype, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(type));
	scan = table_beginscan_catalog(classes, 1, &key);
	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
		tables = lappend_oid(tables, ((Form_pg_class) GETSTRUCT(tuple))->oid);
	table_endscan(scan);
	table_close(classes, AccessShareLock);
	return tables;
}

/*
 * Whether a relation has a rule, in whatever state: its own or that of
 * something that it belongs to.
 */
bool
inval_family_is_tracked(Oid relid)
{
	ListCell   *lc;
	bool		tracked = false;

	foreach(lc, inval_family_ancestors(relid))
	{
		Relation	relation = try_relation_open(lfirst_oid(lc), AccessShareLock);

		if (relation == NULL)
			continue;
		tracked |= inval_carriers_exist(relation);
		relation_close(relation, AccessShareLock);
	}
	return tracked;
}

/*
 * Whether a leaf has all its triggers, exactly as they should be.
 */
bool
inval_family_is_equipped(Oid relid)
{
	const InvalCatalog *catalog = inval_catalog(false);
	Oid			row_function = catalog->row_function;
	Oid			truncate_function = catalog->truncate_function;
	Oid			found;

	return family_find_trigger(relid, &row_trigger, row_function, &found) == FAMILY_READY &&
		(!family_fires_truncate(relid) ||
		 family_find_trigger(relid, &truncate_trigger, truncate_function,
							 &found) == FAMILY_READY);
}

/*
 * Gives a leaf the triggers that it needs, enabled ALWAYS; and takes them away
 * where it needs none any more.  What else bears their names is replaced.
 * Returns whether triggers of ours were there, but not enabled ALWAYS or not as
 * they should be.  Takes the locks of CREATE and DROP TRIGGER, and none if there
 * is nothing to do.
 */
bool
inval_family_equip(Oid relid)
{
	return family_holds_rows(relid) && family_equip(relid, inval_family_is_tracked(relid));
}

/*
 * The same for a leaf that has a rule of its own, if it has one: no other
 * relation is looked at for it.
 */
void
inval_family_equip_own(Oid relid)
{
	Relation	relation;
	bool		wanted;

	if (!family_holds_rows(relid))
		return;
	relation = relation_open(relid, AccessShareLock);
	wanted = inval_carriers_exist(relation);
	relation_close(relation, AccessShareLock);
	if (wanted)
		(void) family_equip(relid, true);
}

/*
 * Whether a leaf has something else than our triggers under their names.
 */
bool
inval_family_is_altered(Oid relid)
{
	const InvalCatalog *catalog = inval_catalog(false);
	Oid			row_function = catalog->row_function;
	Oid			truncate_function = catalog->truncate_function;
	FamilyState states[2];
	Oid			trigger;

	if (!family_holds_rows(relid))
		return false;
	states[0] = family_find_trigger(relid, &row_trigger, row_function, &trigger);
	states[1] = family_find_trigger(relid, &truncate_trigger, truncate_function, &trigger);
	return states[0] == FAMILY_FOREIGN || states[0] == FAMILY_ALTERED ||
		states[1] == FAMILY_FOREIGN || states[1] == FAMILY_ALTERED;
}

/*
 * Enables ALWAYS those of a leaf's triggers that it has.  Returns whether some
 * were not.
 */
bool
inval_family_enable(Oid relid)
{
	const InvalCatalog *catalog = inval_catalog(false);
	const FamilyTrigger *triggers[] = {&row_trigger, &truncate_trigger};
	Oid			functions[] = {catalog->row_function, catalog->truncate_function};
	bool		found = false;
	int			i;

	if (!family_holds_rows(relid))
		return false;
	for (i = 0; i < (int) lengthof(triggers); i++)
	{
		Oid			trigger;

		if (family_find_trigger(relid, triggers[i], functions[i],
								&trigger) != FAMILY_NOT_ALWAYS)
			continue;
		LockRelationOid(relid, ShareRowExclusiveLock);
		inval_trigger_set_fires(trigger, TRIGGER_FIRES_ALWAYS);
		found = true;
	}
	return found;
}

/*
 * Whether that is the name of one of the triggers that leaves have.
 */
bool
inval_family_is_capture_trigger(const char *name)
{
	return strcmp(name, row_trigger.name) == 0 || strcmp(name, truncate_trigger.name) == 0;
}

static bool
family_holds_rows(Oid relid)
{
	char		kind = get_rel_relkind(relid);

	return (kind == RELKIND_RELATION || kind == RELKIND_FOREIGN_TABLE) &&
		get_rel_persistence(relid) != RELPERSISTENCE_TEMP;
}

static bool
family_fires_truncate(Oid relid)
{
	return INVAL_SERVER_FOREIGN_TRUNCATE_TRIGGERS || get_rel_relkind(relid) != RELKIND_FOREIGN_TABLE;
}

/*
 * What a relation has under the name of one of our triggers, and that trigger.
 * Triggers of other names do not matter, whatever they call: they may fire
 * sometimes only.
 */
static FamilyState
family_find_trigger(Oid relid, const FamilyTrigger *wanted, Oid function, Oid *found)
{
	Relation	relation = relation_open(relid, AccessShareLock);
	FamilyState state = FAMILY_MISSING;
	int			i;

	*found = InvalidOid;
	for (i = 0; relation->trigdesc != NULL && i < relation->trigdesc->numtriggers; i++)
	{
		const Trigger *trigger = &relation->trigdesc->triggers[i];

		if (strcmp(trigger->tgname, wanted->name) != 0)
			continue;
		*found = trigger->tgoid;
		if (trigger->tgfoid != function)
			state = FAMILY_FOREIGN;
		else if (!family_is_exact(trigger, wanted))
			state = FAMILY_ALTERED;
		else if (trigger->tgenabled != TRIGGER_FIRES_ALWAYS)
			state = FAMILY_NOT_ALWAYS;
		else
			state = FAMILY_READY;
	}
	relation_close(relation, AccessShareLock);
	return state;
}

/*
 * Whether a trigger fires whenever ours has to.
 */
static bool
family_is_exact(const Trigger *trigger, const FamilyTrigger *wanted)
{
	return trigger->tgtype == wanted->type && trigger->tgqual == NULL &&
		trigger->tgnattr == 0 && trigger->tgnargs == 0 &&
		trigger->tgoldtable == NULL && trigger->tgnewtable == NULL &&
		!OidIsValid(trigger->tgconstraint) && !trigger->tgisinternal;
}

/*
 * Gives a leaf both triggers, or takes them away.
 */
static bool
family_equip(Oid relid, bool wanted)
{
	Oid			row_function = inval_catalog(false)->row_function;
	Oid			truncate_function = inval_catalog(false)->truncate_function;
	bool		altered = family_equip_trigger(relid, &row_trigger, row_function, wanted);

	if (family_fires_truncate(relid))
		altered |= family_equip_trigger(relid, &truncate_trigger, truncate_function, wanted);
	return altered;
}

static bool
family_equip_trigger(Oid relid, const FamilyTrigger *trigger, Oid function, bool wanted)
{
	Oid			found;
	FamilyState state = family_find_trigger(relid, trigger, function, &found);

	if (!wanted)
	{
		if (state != FAMILY_MISSING && state != FAMILY_FOREIGN)
			inval_trigger_drop(relid, found);
		return false;
	}
	if (state == FAMILY_READY)
		return false;

	/* Somebody else may have been about to do the same. */
	LockRelationOid(relid, ShareRowExclusiveLock);
	state = family_find_trigger(relid, trigger, function, &found);
	if (state == FAMILY_FOREIGN || state == FAMILY_ALTERED)
		inval_trigger_drop(relid, found);
	if (state == FAMILY_NOT_ALWAYS)
		inval_trigger_set_fires(found, TRIGGER_FIRES_ALWAYS);
	else if (state != FAMILY_READY)
		(void) inval_trigger_create(relid, trigger->name, trigger->type, function, NIL,
									TRIGGER_FIRES_ALWAYS);
	return state == FAMILY_ALTERED || state == FAMILY_NOT_ALWAYS;
}
