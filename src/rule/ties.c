/*
 * ties.c
 *		What rules need, as the server's dependencies.
 *
 * The carrier of a rule depends on all that the rule needs: columns, foreign
 * keys, and whatever the queries of via, refill and audit refer to.  So the server itself refuses to
 * drop that, or drops the rule with CASCADE, and then before what it needs; and
 * which rules a command can concern is read from pg_depend, without a lock.
 *
 * A carrier that is tied depends on its own relation once more, besides the way
 * that lets it go with it: so it is known to be tied if it needs nothing.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/catalog.h"
#include "catalog/dependency.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_foreign_data_wrapper.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_trigger.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/catalog.h"
#include "rule/carrier.h"
#include "rule/carrier_server.h"
#include "rule/ties.h"

static void ties_cut(const ObjectAddress *carrier, Oid class);
static void ties_delete(const FormData_pg_depend *form);
static List *ties_way(List *objects, const FormData_pg_depend *form);
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
 * Ties a carrier to what its rule needs (ObjectAddress *), and to what its queries
 * (Query *) refer to; to nothing else from now on.
 */
void
inval_ties_record(const InvalDefinition *definition, List *needs, List *queries)
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
	foreach(lc, queries)
	{
		recordDependencyOnExpr(&carrier, lfirst(lc), NIL, DEPENDENCY_NORMAL);
	}
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
	ListCell   *lc;

	foreach(lc, inval_catalog_depends(carrier->classId, carrier->objectId))
	{
		const FormData_pg_depend *form = lfirst(lc);

		if (ties_is_ours(form) && (!OidIsValid(class) || form->refclassid == class))
			ties_delete(form);
	}
}

/*
 * Unties all carriers that are tied to an object or (if that is not 0) one of its
 * columns, which the server will change or make anew, from the whole of it.  The
 * caller ties them again.
 */
void
inval_ties_cut(Oid class, Oid object, int32 column)
{
	ListCell   *lc;

	foreach(lc, inval_catalog_dependents(class, object))
	{
		const FormData_pg_depend *form = lfirst(lc);

		if (ties_is_ours(form) && form->refobjsubid == column &&
			inval_carrier_read(form->classid, form->objid) != NULL)
			ties_delete(form);
	}
}

/*
 * Unties a carrier from an object, with all its columns.  The next one may be of
 * them, too.
 */
static void
ties_delete(const FormData_pg_depend *form)
{
	(void) deleteDependencyRecordsForSpecific(form->classid, form->objid, DEPENDENCY_NORMAL,
											  form->refclassid, form->refobjid);
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
 * Makes sure that a query ("what": of which kind), as it is understood now, reads and runs nothing that it
 * did not when the rule was made.
 */
void
inval_ties_check(const InvalDefinition *definition, List *objects, const char *what)
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
				 errmsg("%s query means something else than when the rule was made", what),
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
	List	   *carriers = NIL;
	List	   *readers = NIL;
	ListCell   *lc;

	foreach(lc, inval_catalog_dependents(class, object))
	{
		const FormData_pg_depend *form = lfirst(lc);
		InvalDefinition *definition;

		if (!ties_is_ours(form) || (column != 0 && form->refobjsubid != column) ||
			list_member_oid(carriers, form->objid))
			continue;
		carriers = lappend_oid(carriers, form->objid);
		definition = inval_carrier_read(form->classid, form->objid);
		if (definition != NULL)
			readers = lappend(readers, definition);
	}
	/* pg_depend has them in whatever order its rows lie. */
	list_sort(readers, inval_definition_compare);
	return readers;
}

/*
 * The same, with those that read or run an object by way of views, operators, and
 * functions whose bodies the server has understood.  A rule may be there twice.
 */
List *
inval_ties_readers_through(Oid class, Oid object)
{
	ObjectAddress *first = palloc(sizeof(ObjectAddress));
	List	   *objects = list_make1(first);
	List	   *readers = NIL;
	int			i;

	ObjectAddressSet(*first, class, object);
	for (i = 0; i < list_length(objects); i++)
	{
		const ObjectAddress *read = list_nth(objects, i);
		ListCell   *lc;

		readers = list_concat(readers, inval_ties_readers(read->classId, read->objectId, 0));
		foreach(lc, inval_catalog_dependents(read->classId, read->objectId))
		{
			objects = ties_way(objects, lfirst(lc));
		}
	}
	return readers;
}

/*
 * Appends what a dependency makes a way to an object, unless it is there.
 */
static List *
ties_way(List *objects, const FormData_pg_depend *form)
{
	ObjectAddress way;
	ObjectAddress *copy;

	ObjectAddressSet(way, form->classid, form->objid);
	if (form->classid == RewriteRelationId)
	{
		ObjectAddressSet(way, RelationRelationId,
						 inval_catalog_relation_of(form->classid, form->objid));
		if (get_rel_relkind(way.objectId) != RELKIND_VIEW)
			return objects;
	}
	else if (form->classid != ProcedureRelationId && form->classid != OperatorRelationId)
		return objects;
	if (inval_ties_have(objects, &way))
		return objects;
	copy = palloc(sizeof(ObjectAddress));
	*copy = way;
	return lappend(objects, copy);
}

static List *
ties_list(const ObjectAddress *carrier)
{
	List	   *ties = NIL;
	ListCell   *lc;

	foreach(lc, inval_catalog_depends(carrier->classId, carrier->objectId))
	{
		const FormData_pg_depend *form = lfirst(lc);
		ObjectAddress *tie;

		if (!ties_is_ours(form))
			continue;
		tie = palloc(sizeof(ObjectAddress));
		ObjectAddressSubSet(*tie, form->refclassid, form->refobjid, form->refobjsubid);
		ties = lappend(ties, tie);
	}
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
