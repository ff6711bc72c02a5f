/*
 * type_rows.c
 *		Composite types in keys that get or lose attributes.
 *
 * That rewrites no row, and yet every value of the type reads differently.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_class.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_type.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

#include "ddl/rows.h"
#include "ddl/type_rows.h"
#include "rule/ties.h"

static List *type_users(List *types, Oid type);
static void type_column_rows(Oid relid, AttrNumber column);

/*
 * Queues what rows owe whose keys have a value of a composite type that is about
 * to change, which is given by its relation.
 */
void
inval_ddl_type_rows(Oid composite_relid)
{
	List	   *types = list_make1_oid(get_rel_type_id(composite_relid));
	int			i;

	/* Arrays and domains of it, and composite types that it is a part of */
	for (i = 0; i < list_length(types); i++)
		types = type_users(types, list_nth_oid(types, i));
}

/*
 * Sees to the columns of a type, and appends the types that are made of it.
 */
static List *
type_users(List *types, Oid type)
{
	Relation	depend = table_open(DependRelationId, AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(TypeRelationId));
	ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(type));
	scan = systable_beginscan(depend, DependReferenceIndexId, true, NULL, 2, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend form = (Form_pg_depend) GETSTRUCT(tuple);

		if (form->classid == TypeRelationId)
			types = list_append_unique_oid(types, form->objid);
		else if (form->classid != RelationRelationId || form->objsubid == 0)
			continue;
		else if (get_rel_relkind(form->objid) == RELKIND_COMPOSITE_TYPE)
			types = list_append_unique_oid(types, get_rel_type_id(form->objid));
		else
			type_column_rows(form->objid, (AttrNumber) form->objsubid);
	}
	systable_endscan(scan);
	table_close(depend, AccessShareLock);
	return types;
}

static void
type_column_rows(Oid relid, AttrNumber column)
{
	ListCell   *lc;

	foreach(lc, inval_ties_readers(RelationRelationId, relid, column))
	{
		inval_ddl_rows_of_rule(lfirst(lc), NIL);
	}
}
