/*
 * rename.c
 *		Rules follow renames of what they name.
 *
 * A rule's table, and that table's name and schema, are the server's own
 * business: its carrier is a trigger on it.  Columns are named in templates and
 * lists, which are rewritten; the query of via is analysed before the command
 * and written anew after it, where it then reads otherwise.
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/catalog.h"
#include "ddl/rename.h"
#include "rule/carrier.h"
#include "rule/carrier_server.h"
#include "rule/family.h"

/* A column that has another name now: */
typedef struct Renaming
{
	List	   *relids;			/* of what belongs to one of these */
	const char *old_name;
	const char *new_name;
} Renaming;

static Renaming rename_of(const RenameStmt *statement);
static bool rename_columns(InvalDefinition *definition, const InvalOldRule *old,
						   const Renaming *renaming);
static bool rename_in_template(InvalDefinition *definition, InvalRuleOption option,
							   const InvalBoundTemplate *bound,
							   const Renaming *renaming);
static bool rename_in_list(InvalDefinition *definition, InvalRuleOption option,
						   const Renaming *renaming);
static bool rename_means(Oid relid, const char *name, const Renaming *renaming);
static bool rename_via(InvalDefinition *definition, const InvalOldRule *old);
static InvalOldRule *rename_find_old(InvalDdlFrame *frame, const InvalDefinition *definition);

/*
 * Lets the rules follow a rename, of whatever.  Needs a connection to SPI.
 */
void
inval_ddl_after_rename(InvalDdlFrame *frame, Node *statement)
{
	Renaming	renaming = {NIL, NULL, NULL};
	ListCell   *lc;

	if (IsA(statement, RenameStmt))
		renaming = rename_of((RenameStmt *) statement);
	foreach(lc, inval_carriers_all())
	{
		InvalDefinition *definition = lfirst(lc);
		InvalOldRule *old = frame ? rename_find_old(frame, definition) : NULL;
		bool		changed = false;

		if (renaming.relids != NIL)
			changed = rename_columns(definition, old, &renaming);
		if (old != NULL && old->via != NULL)
			changed |= rename_via(definition, old);
		/* The server of a materialized view's rule names it. */
		if (changed || !inval_carrier_is_current(definition))
			(void) inval_carrier_put(definition);
	}
}

/*
 * The columns that a command has renamed: those of a relation, or those of the
 * tables of a type.
 */
static Renaming
rename_of(const RenameStmt *statement)
{
	Renaming	renaming = {NIL, statement->subname, statement->newname};
	Oid			relid;

	if (statement->renameType != OBJECT_COLUMN && statement->renameType != OBJECT_ATTRIBUTE)
		return renaming;
	relid = RangeVarGetRelid(statement->relation, NoLock, true);
	if (!OidIsValid(relid))
		return renaming;
	renaming.relids = statement->renameType == OBJECT_COLUMN ? list_make1_oid(relid) :
		inval_family_typed(relid);
	return renaming;
}

/*
 * Gives columns their new name in all that a rule says.  Returns whether that
 * changed anything.
 */
static bool
rename_columns(InvalDefinition *definition, const InvalOldRule *old,
			   const Renaming *renaming)
{
	bool		changed = false;

	/* With via the template names columns of the result, which stay. */
	if (definition->options[RULE_VIA] == NULL)
	{
		changed |= rename_in_template(definition, RULE_KEY,
									  old ? old->rule.key : NULL, renaming);
		changed |= rename_in_template(definition, RULE_FIELD,
									  old ? old->rule.field : NULL, renaming);
	}
	changed |= rename_in_list(definition, RULE_CHANGES, renaming);
	return changed;
}

/*
 * "bound" is the template as it was bound before the command: it knows which
 * tables a path leads to.
 */
static bool
rename_in_template(InvalDefinition *definition, InvalRuleOption option,
				   const InvalBoundTemplate *bound, const Renaming *renaming)
{
	bool		changed = false;
	List	   *segments;
	ListCell   *lc;

	if (definition->options[option] == NULL)
		return false;
	segments = inval_template_parse(definition->options[option],
									inval_definition_name(option));
	foreach(lc, segments)
	{
		InvalSegment *segment = lfirst(lc);
		const InvalPath *path = bound ?
			bound->segments[foreach_current_index(lc)].path : NULL;
		ListCell   *name;

		foreach(name, segment->names)
		{
			int			i = foreach_current_index(name);
			Oid			relid = path ? path->relids[i] : definition->relation;

			if ((i > 0 && path == NULL) || !rename_means(relid, lfirst(name), renaming))
				continue;
			lfirst(name) = pstrdup(renaming->new_name);
			changed = true;
		}
	}
	if (changed)
		definition->options[option] = inval_template_write(segments);
	return changed;
}

static bool
rename_in_list(InvalDefinition *definition, InvalRuleOption option,
			   const Renaming *renaming)
{
	List	   *names = inval_definition_list(definition, option);
	Datum	   *elements = palloc(Max(list_length(names), 1) * sizeof(Datum));
	bool		changed = false;
	ListCell   *lc;

	foreach(lc, names)
	{
		const char *name = lfirst(lc);

		if (rename_means(definition->relation, name, renaming))
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

/*
 * Whether the column that was renamed is the one that a rule names.  A rename
 * reaches all that belongs to the relation.
 */
static bool
rename_means(Oid relid, const char *name, const Renaming *renaming)
{
	ListCell   *lc;

	if (strcmp(name, renaming->old_name) != 0)
		return false;
	foreach(lc, inval_family_ancestors(relid))
	{
		if (list_member_oid(renaming->relids, lfirst_oid(lc)))
			return true;
	}
	return false;
}

static bool
rename_via(InvalDefinition *definition, const InvalOldRule *old)
{
	Relation	relation = relation_open(definition->relation, AccessShareLock);
	char	   *text = inval_via_deparse(old->via, relation);

	relation_close(relation, AccessShareLock);

	/*
	 * Where the table is in another schema now, so is the search path of the
	 * query: it takes the text that names everything in full.
	 */
	if (strcmp(text, old->via_text) == 0 &&
		get_rel_namespace(definition->relation) == old->schema)
		return false;
	definition->options[RULE_VIA] = text;
	return true;
}

/*
 * Whether a rule names a column, on its own table or on the way of a path.
 */
bool
inval_ddl_names_column(InvalDdlFrame *frame, const InvalDefinition *definition,
					   Oid relid, const char *column)
{
	InvalDefinition scratch = *definition;
	Renaming	renaming = {list_make1_oid(relid), column, column};

	return rename_columns(&scratch, rename_find_old(frame, definition), &renaming);
}

static InvalOldRule *
rename_find_old(InvalDdlFrame *frame, const InvalDefinition *definition)
{
	ListCell   *lc;

	foreach(lc, frame->rules)
	{
		InvalOldRule *old = lfirst(lc);

		if (old->definition->carrier == definition->carrier)
			return old;
	}
	return NULL;
}
