/*
 * rename_columns.c
 *		New names of columns in templates and lists.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "ddl/rename_columns.h"
#include "key/template.h"
#include "rule/rule.h"
#include "rule/ties.h"

static bool columns_in_template(InvalDefinition *definition, InvalRuleOption option,
								const InvalRenaming *renaming);
static bool columns_in_path(InvalDefinition *definition, List *names, List *ties,
							const InvalRenaming *renaming);
static Oid	columns_next(List *ties, Oid relid, AttrNumber column);
static bool columns_in_list(InvalDefinition *definition, InvalRuleOption option,
							const InvalRenaming *renaming);

/*
 * Gives columns their new name in the templates and lists of a rule.  Returns
 * whether that changed anything.
 */
bool
inval_ddl_rename_columns(InvalDefinition *definition, const InvalRenaming *renaming)
{
	bool		changed = false;
	int			i;

	/* With via the template names columns of the result, which stay. */
	if (definition->options[RULE_VIA] == NULL)
	{
		for (i = 0; i < INVAL_RULE_TEMPLATES; i++)
			changed |= columns_in_template(definition, inval_rule_options[i], renaming);
	}
	changed |= columns_in_list(definition, RULE_CHANGES, renaming);
	return changed;
}

static bool
columns_in_template(InvalDefinition *definition, InvalRuleOption option,
				   const InvalRenaming *renaming)
{
	bool		changed = false;
	List	   *ties = inval_ties_of(definition);
	List	   *segments;
	ListCell   *lc;

	if (definition->options[option] == NULL)
		return false;
	segments = inval_template_parse(definition->options[option],
									inval_definition_name(option));
	foreach(lc, segments)
	{
		InvalSegment *segment = lfirst(lc);

		if (segment->kind == INVAL_SEGMENT_COLUMN)
			changed |= columns_in_path(definition, segment->names, ties, renaming);
	}
	if (changed)
		definition->options[option] = inval_template_write(segments);
	return changed;
}

/*
 * Walks along a path: the foreign keys that it follows are among the rule's ties.
 */
static bool
columns_in_path(InvalDefinition *definition, List *names, List *ties,
			   const InvalRenaming *renaming)
{
	Oid			relid = definition->relation;
	bool		changed = false;
	ListCell   *lc;

	foreach(lc, names)
	{
		if (list_member_oid(renaming->relids, relid) &&
			strcmp(lfirst(lc), renaming->old_name) == 0)
		{
			lfirst(lc) = pstrdup(renaming->new_name);
			changed = true;
		}
		if (lnext(names, lc) != NULL)
			relid = columns_next(ties, relid, get_attnum(relid, lfirst(lc)));
	}
	return changed;
}

/*
 * The table that a column of a path leads to; invalid if the rule is not tied.  As
 * in key/path.c a foreign key of that column alone goes before others.
 */
static Oid
columns_next(List *ties, Oid relid, AttrNumber column)
{
	Oid			next = InvalidOid;
	bool		alone = false;
	ListCell   *lc;

	foreach(lc, ties)
	{
		const ObjectAddress *tie = lfirst(lc);
		AttrNumber	columns[INDEX_MAX_KEYS];
		AttrNumber	referred[INDEX_MAX_KEYS];
		Oid			operators[INDEX_MAX_KEYS];
		HeapTuple	tuple;
		int			count;
		int			i;

		if (tie->classId != ConstraintRelationId)
			continue;
		tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(tie->objectId));
		if (!HeapTupleIsValid(tuple))
			continue;
		if (((Form_pg_constraint) GETSTRUCT(tuple))->conrelid == relid &&
			((Form_pg_constraint) GETSTRUCT(tuple))->contype == CONSTRAINT_FOREIGN)
		{
			DeconstructFkConstraintRow(tuple, &count, columns, referred, operators,
									   NULL, NULL, NULL, NULL);
			for (i = 0; i < count && columns[i] != column; i++)
				 /* look on */ ;
			if (i < count && !alone)
				next = ((Form_pg_constraint) GETSTRUCT(tuple))->confrelid;
			alone |= i < count && count == 1;
		}
		ReleaseSysCache(tuple);
	}
	return next;
}

static bool
columns_in_list(InvalDefinition *definition, InvalRuleOption option,
			   const InvalRenaming *renaming)
{
	List	   *names = inval_definition_list(definition, option);
	Datum	   *elements = palloc(Max(list_length(names), 1) * sizeof(Datum));
	bool		changed = false;
	ListCell   *lc;

	if (!list_member_oid(renaming->relids, definition->relation))
		return false;
	foreach(lc, names)
	{
		const char *name = lfirst(lc);

		if (strcmp(name, renaming->old_name) == 0)
		{
			name = renaming->new_name;
			changed = true;
		}
		elements[foreach_current_index(lc)] = CStringGetTextDatum(name);
	}
	if (changed)
		definition->options[option] =
			OidOutputFunctionCall(F_ARRAY_OUT,
								  PointerGetDatum(construct_array(elements, list_length(names),
																  TEXTOID, -1, false,
																  TYPALIGN_INT)));
	return changed;
}
