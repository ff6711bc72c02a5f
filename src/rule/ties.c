/*
 * ties.c
 *		What rules need, as the server's dependencies.
 *
 * The carrier of a rule depends on all that the rule needs: columns, foreign
 * keys, and whatever the query of via refers to.  So the server itself refuses to
 * drop that, or drops the rule with CASCADE, and then before what it needs; and
 * which rules a command can concern is read from pg_depend, without a lock.
 *
 * A carrier that is tied depends on its own relation once more, besides the way
 * that lets it go with it: so it is known to be tied if it needs nothing.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/catalog.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_foreign_data_wrapper.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_trigger.h"
#include "storage/lmgr.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/catalog.h"
#include "rule/carrier.h"
#include "rule/carrier_server.h"
#include "rule/ties.h"

static void ties_cut(const ObjectAddress *carrier, Oid class);
static List *ties_list(const ObjectAddress *carrier);
static bool ties_is_ours(const FormData_pg_depend *form);

/*
 * The object that carries a rule.
 */
ObjectAddress
inval_ties_carrier(const InvalDefinition *definition)
{
	ObjectAddress carrier;

	ObjectAddressSet(carrier,
					 get_rel_relkind(definition->relation) == RELKIND_MATVIEW ?
					 ForeignServerRelationId : TriggerRelationId,
					 definition->carrier);
	return carrier;
}

/*
 * Ties a carrier to what its rule needs (ObjectAddress *), and to what its query
 * (NULL: none) refers to; to nothing else from now on.
 */
void
inval_ties_record(const InvalDefinition *definition, List *needs, Query *query)
{
	ObjectAddress carrier = inval_ties_carrier(definition);
	ObjectAddresses *addresses = new_object_addresses();
	ObjectAddress relation;
	ListCell   *lc;

	ties_cut(&carrier, InvalidOid);
	ObjectAddressSet(relation, RelationRelationId, definition->relation);
	add_exact_object_address(&relation, addresses);
	foreach(lc, needs)
	{
		add_exact_object_address(lfirst(lc), addresses);
	}
	record_object_address_dependencies(&carrier, addresses, DEPENDENCY_NORMAL);
	free_object_addresses(addresses);
	if (query != NULL)
		recordDependencyOnExpr(&carrier, (Node *) query, NIL, DEPENDENCY_NORMAL);
	CommandCounterIncrement();

	/* A dump has constraints after servers. */
	if (carrier.classId == ForeignServerRelationId)
		ties_cut(&carrier, ConstraintRelationId);
}

/*
 * Unties a carrier from all that it was tied to, or from objects of one class.
 */
static void
ties_cut(const ObjectAddress *carrier, Oid class)
{
	Relation	depend = table_open(DependRelationId, RowExclusiveLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&keys[0], Anum_pg_depend_classid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(carrier->classId));
	ScanKeyInit(&keys[1], Anum_pg_depend_objid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(carrier->objectId));
	scan = systable_beginscan(depend, DependDependerIndexId, true, NULL, 2, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend form = (Form_pg_depend) GETSTRUCT(tuple);

		if (ties_is_ours(form) && (!OidIsValid(class) || form->refclassid == class))
			CatalogTupleDelete(depend, &tuple->t_self);
	}
	systable_endscan(scan);
	table_close(depend, RowExclusiveLock);
	CommandCounterIncrement();
}

/*
 * Unties all carriers from an object or (if that is not 0) one of its columns,
 * which the server will change or make anew.  The caller ties them again.
 */
void
inval_ties_cut(Oid class, Oid object, int32 column)
{
	Relation	depend = table_open(DependRelationId, RowExclusiveLock);
	ScanKeyData keys[3];
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(class));
	ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(object));
	ScanKeyInit(&keys[2], Anum_pg_depend_refobjsubid, BTEqualStrategyNumber, F_INT4EQ,
				Int32GetDatum(column));
	scan = systable_beginscan(depend, DependReferenceIndexId, true, NULL, 3, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend form = (Form_pg_depend) GETSTRUCT(tuple);

		if (ties_is_ours(form) && inval_carrier_read(form->classid, form->objid) != NULL)
			CatalogTupleDelete(depend, &tuple->t_self);
	}
	systable_endscan(scan);
	table_close(depend, RowExclusiveLock);
	CommandCounterIncrement();
}

/*
 * Whether a carrier is tied: it is not after pg_upgrade, or where a dump made it
 * before what it needs.
 */
bool
inval_ties_exist(const InvalDefinition *definition)
{
	return inval_ties_of(definition) != NIL;
}

/*
 * Locks what a rule reads in other relations, so that its text, if it is read after
 * that, has the names that they have: who renames does not lock the rule's table.
 */
void
inval_ties_lock(const InvalDefinition *definition)
{
	Oid			last = definition->relation;
	ListCell   *lc;

	foreach(lc, inval_ties_of(definition))
	{
		const ObjectAddress *tie = lfirst(lc);

		if (tie->classId != RelationRelationId || tie->objectId == definition->relation ||
			tie->objectId == last)
			continue;
		last = tie->objectId;
		LockRelationOid(last, AccessShareLock);
	}
}

/*
 * What a carrier is tied to (ObjectAddress *).
 */
List *
inval_ties_of(const InvalDefinition *definition)
{
	ObjectAddress carrier = inval_ties_carrier(definition);

	return ties_list(&carrier);
}

/*
 * Makes sure that a query, as it is understood now, reads and runs nothing that it
 * did not when the rule was made.
 */
void
inval_ties_check(const InvalDefinition *definition, List *objects)
{
	List	   *ties = OidIsValid(definition->carrier) ? inval_ties_of(definition) : NIL;
	ListCell   *lc;

	if (ties == NIL)
		return;
	foreach(lc, objects)
	{
		const ObjectAddress *object = lfirst(lc);

		if (IsPinnedObject(object->classId, object->objectId) || inval_ties_have(ties, object))
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("via query means something else than when the rule was made"),
				 errdetail("It would use %s now.", getObjectDescription(object, false)),
				 errhint("Drop the rule and track the table anew.")));
	}
}

/*
 * The rules (InvalDefinition *) that are tied to an object, or to one of its
 * columns; to any of them, if that is 0.
 */
List *
inval_ties_readers(Oid class, Oid object, int32 column)
{
	Relation	depend = table_open(DependRelationId, AccessShareLock);
	List	   *carriers = NIL;
	List	   *readers = NIL;
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(class));
	ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(object));
	scan = systable_beginscan(depend, DependReferenceIndexId, true, NULL, 2, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend form = (Form_pg_depend) GETSTRUCT(tuple);
		InvalDefinition *definition;

		if (!ties_is_ours(form) || (column != 0 && form->refobjsubid != column) ||
			list_member_oid(carriers, form->objid))
			continue;
		carriers = lappend_oid(carriers, form->objid);
		definition = inval_carrier_read(form->classid, form->objid);
		if (definition != NULL)
			readers = lappend(readers, definition);
	}
	systable_endscan(scan);
	table_close(depend, AccessShareLock);
	return readers;
}

static List *
ties_list(const ObjectAddress *carrier)
{
	Relation	depend = table_open(DependRelationId, AccessShareLock);
	List	   *ties = NIL;
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&keys[0], Anum_pg_depend_classid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(carrier->classId));
	ScanKeyInit(&keys[1], Anum_pg_depend_objid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(carrier->objectId));
	scan = systable_beginscan(depend, DependDependerIndexId, true, NULL, 2, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend form = (Form_pg_depend) GETSTRUCT(tuple);
		ObjectAddress *tie;

		if (!ties_is_ours(form))
			continue;
		tie = palloc(sizeof(ObjectAddress));
		ObjectAddressSubSet(*tie, form->refclassid, form->refobjid, form->refobjsubid);
		ties = lappend(ties, tie);
	}
	systable_endscan(scan);
	table_close(depend, AccessShareLock);
	return ties;
}

/*
 * Whether a dependency of what may be a carrier is one that we have recorded:
 * the server itself records the trigger's function, and the server's wrapper.
 */
static bool
ties_is_ours(const FormData_pg_depend *form)
{
	if (form->deptype != DEPENDENCY_NORMAL)
		return false;
	if (form->classid == TriggerRelationId)
		return form->refclassid != ProcedureRelationId ||
			form->refobjid != inval_catalog(false)->carrier_function;
	return form->classid == ForeignServerRelationId &&
		form->refclassid != ForeignDataWrapperRelationId;
}

/*
 * Whether an object is among ties.
 */
bool
inval_ties_have(List *ties, const ObjectAddress *wanted)
{
	ListCell   *lc;

	foreach(lc, ties)
	{
		const ObjectAddress *tie = lfirst(lc);

		if (tie->classId == wanted->classId && tie->objectId == wanted->objectId)
			return true;
	}
	return false;
}
