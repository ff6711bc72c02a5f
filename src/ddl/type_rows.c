/*
 * type_rows.c
 *		Composite types in keys that get or lose attributes.
 *
 * That rewrites no row, and yet every value of the type reads differently.
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_type.h"
#include "utils/lsyscache.h"

#include "base/catalog.h"
#include "ddl/rows.h"
#include "ddl/type_rows.h"
#include "rule/ties.h"

static List *type_users(List *types, Oid type, Oid composite_relid);
static void type_column_rows(Oid relid, AttrNumber column, Oid composite_relid);

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
		types = type_users(types, list_nth_oid(types, i), composite_relid);
}

/*
 * Sees to the columns of a type, and appends the types that are made of it.
 */
static List *
type_users(List *types, Oid type, Oid composite_relid)
{
	ListCell   *lc;

	foreach(lc, inval_catalog_dependents(TypeRelationId, type))
	{
		const FormData_pg_depend *form = lfirst(lc);

		if (form->classid == TypeRelationId)
			types = list_append_unique_oid(types, form->objid);
		else if (form->classid != RelationRelationId || form->objsubid == 0)
			continue;
		else if (get_rel_relkind(form->objid) == RELKIND_COMPOSITE_TYPE)
			types = list_append_unique_oid(types, get_rel_type_id(form->objid));
		else
			type_column_rows(form->objid, (AttrNumber) form->objsubid, composite_relid);
	}
	return types;
}

static void
type_column_rows(Oid relid, AttrNumber column, Oid composite_relid)
{
	ListCell   *lc;

	foreach(lc, inval_ties_readers(RelationRelationId, relid, column))
	{
		const InvalDefinition *definition = lfirst(lc);

		if (definition->options[RULE_VIA] == NULL ||
			inval_ddl_may_ask(definition, RelationRelationId, composite_relid))
			inval_ddl_rows_of_rule(definition, NIL);
		else
			inval_ddl_rows_are_lost(definition);
	}
}
