/*
 * keep.c
 *		Rules that look something up, as they are before a command.
 *
 * To follow a rename, or to find out that a drop takes what a rule needs, the
 * rule must have been understood before the command.  That takes weak locks on
 * its table and on those that it reads, so only rules are looked at that the
 * command can concern; which ones these are is found out from the catalogs
 * without any lock, with some too many.  A command on a table that no rule has
 * to do with must not wait for others.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_rewrite.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "base/attempt.h"
#include "base/catalog.h"
#include "ddl/keep.h"
#include "rule/carrier.h"
#include "rule/family.h"

/* What a command may concern */
typedef struct KeepTargets
{
	bool		all;			/* anything */
	List	   *relations;		/* OIDs of relations, with what belongs to them
								 * and what they belong to */
	List	   *names;			/* their names, and those of views on them */
} KeepTargets;

/* A rule to be understood */
typedef struct KeepAttempt
{
	InvalOldRule *old;
	const InvalDefinition *definition;
	MemoryContext context;
} KeepAttempt;

/* What is to be applied to a relation */
typedef struct KeepApply
{
	void		(*apply) (void *arg, Relation relation);
	void	   *arg;
	Relation	relation;
} KeepApply;

static void keep_apply(void *arg);
static void keep_find_targets(KeepTargets *targets, Node *statement);
static void keep_add_target(KeepTargets *targets, Oid relid);
static void keep_add_name(KeepTargets *targets, Oid relid);
static bool keep_concerns(const KeepTargets *targets, const InvalDefinition *definition);
static bool keep_reaches(const KeepTargets *targets, Oid relid);
static bool keep_mentions(const KeepTargets *targets, const char *query);
static void keep_compile(void *arg);
static void keep_paths(InvalOldRule *old, const InvalBoundTemplate *template);
static bool keep_functions(Node *node, void *arg);
static bool keep_function(Oid function, void *arg);

/*
 * Remembers the rules that look something up and that a command may concern,
 * as they are before it.  Those that do not work anyway are left out.
 */
void
inval_ddl_keep_rules(InvalDdlFrame *frame, Node *statement)
{
	MemoryContext old = MemoryContextSwitchTo(frame->context);
	KeepTargets targets = {0};
	ListCell   *lc;

	keep_find_targets(&targets, statement);
	if (!targets.all && targets.relations == NIL)
	{
		MemoryContextSwitchTo(old);
		return;
	}
	foreach(lc, inval_carriers_all())
	{
		InvalDefinition *definition = lfirst(lc);
		InvalOldRule *rule;

		/* Columns of the row itself need nothing remembered. */
		if (definition->options[RULE_VIA] == NULL &&
			strchr(definition->options[RULE_KEY], '.') == NULL &&
			(definition->options[RULE_FIELD] == NULL ||
			 strchr(definition->options[RULE_FIELD], '.') == NULL))
			continue;
		if (!keep_concerns(&targets, definition))
			continue;
		rule = palloc0(sizeof(InvalOldRule));
		if (inval_ddl_rule_works(definition, rule) &&
			(rule->reads != NIL || rule->via != NULL))
			frame->rules = lappend(frame->rules, rule);
	}
	MemoryContextSwitchTo(old);
}

/*
 * Whether a rule can be compiled.  If so, and "old" is not NULL, fills it in
 * the current memory context.
 */
bool
inval_ddl_rule_works(const InvalDefinition *definition, InvalOldRule *old)
{
	InvalOldRule scratch;
	KeepAttempt attempt = {old ? old : &scratch, definition, CurrentMemoryContext};

	return inval_attempt(keep_compile, &attempt) == NULL;
}

/*
 * Applies rules to a relation that is about to go, where an error of theirs is
 * none of those who drop it: it becomes a WARNING.
 */
void
inval_ddl_try(void (*apply) (void *arg, Relation relation), void *arg, Relation relation)
{
	KeepApply	attempt = {apply, arg, relation};
	ErrorData  *error = inval_attempt(keep_apply, &attempt);

	if (error != NULL)
		ereport(WARNING,
				(errcode(error->sqlerrcode),
				 errmsg("keys of the rows of \"%s\" are not removed: %s",
						RelationGetRelationName(relation), error->message)));
}

static void
keep_apply(void *arg)
{
	KeepApply  *attempt = arg;

	attempt->apply(attempt->arg, attempt->relation);
}

static void
keep_find_targets(KeepTargets *targets, Node *statement)
{
	RangeVar   *relation = NULL;
	ListCell   *lc;

	switch (nodeTag(statement))
	{
		case T_AlterTableStmt:
			relation = ((AlterTableStmt *) statement)->relation;
			break;
		case T_RenameStmt:
			relation = ((RenameStmt *) statement)->relation;
			targets->all = relation == NULL;
			break;
		case T_AlterObjectSchemaStmt:
			relation = ((AlterObjectSchemaStmt *) statement)->relation;
			targets->all = relation == NULL;
			break;
		case T_DropStmt:
			switch (((DropStmt *) statement)->removeType)
			{
				case OBJECT_TABLE:
				case OBJECT_FOREIGN_TABLE:
				case OBJECT_VIEW:
				case OBJECT_MATVIEW:
					foreach(lc, ((DropStmt *) statement)->objects)
					{
						keep_add_target(targets,
										RangeVarGetRelid(makeRangeVarFromNameList(lfirst(lc)),
														 NoLock, true));
					}
					targets->all = ((DropStmt *) statement)->behavior == DROP_CASCADE;
					break;
				case OBJECT_INDEX:
				case OBJECT_TRIGGER:
				case OBJECT_RULE:
				case OBJECT_POLICY:
				case OBJECT_EVENT_TRIGGER:
				case OBJECT_PUBLICATION:
				case OBJECT_STATISTIC_EXT:
					break;
				default:
					targets->all = true;
					break;
			}
			break;
		default:
			targets->all = true;
			break;
	}
	if (relation != NULL)
	{
		Oid			relid = RangeVarGetRelid(relation, NoLock, true);

		keep_add_target(targets, relid);
		if (OidIsValid(relid) && get_rel_relkind(relid) == RELKIND_COMPOSITE_TYPE)
		{
			foreach(lc, inval_family_typed(relid))
			{
				keep_add_target(targets, lfirst_oid(lc));
			}
		}
	}
}

static void
keep_add_target(KeepTargets *targets, Oid relid)
{
	ListCell   *lc;

	if (!OidIsValid(relid) || get_rel_persistence(relid) == RELPERSISTENCE_TEMP)
		return;
	foreach(lc, find_all_inheritors(relid, NoLock, NULL))
	{
		targets->relations = list_append_unique_oid(targets->relations, lfirst_oid(lc));
	}
	targets->relations = list_concat_unique_oid(targets->relations,
												inval_family_ancestors(relid));
	foreach(lc, targets->relations)
	{
		keep_add_name(targets, lfirst_oid(lc));
	}
}

/*
 * The name of a relation, and those of the views that read it.
 */
static void
keep_add_name(KeepTargets *targets, Oid relid)
{
	Relation	depend;
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	char	   *name = get_rel_name(relid);
	List	   *views = NIL;
	ListCell   *lc;

	if (name == NULL)
		return;
	foreach(lc, targets->names)
	{
		if (strcmp(lfirst(lc), name) == 0)
			return;				/* it has been here, with its views */
	}
	targets->names = lappend(targets->names, name);

	depend = table_open(DependRelationId, AccessShareLock);
	ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(RelationRelationId));
	ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relid));
	scan = systable_beginscan(depend, DependReferenceIndexId, true, NULL, 2, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend form = (Form_pg_depend) GETSTRUCT(tuple);

		if (form->classid == RewriteRelationId)
			views = list_append_unique_oid(views,
										   inval_catalog_relation_of(RewriteRelationId,
																	 form->objid));
	}
	systable_endscan(scan);
	table_close(depend, AccessShareLock);
	foreach(lc, views)
	{
		keep_add_name(targets, lfirst_oid(lc));
	}
}

static bool
keep_concerns(const KeepTargets *targets, const InvalDefinition *definition)
{
	return targets->all || keep_reaches(targets, definition->relation) ||
		(definition->options[RULE_VIA] != NULL &&
		 keep_mentions(targets, definition->options[RULE_VIA]));
}

/*
 * Whether foreign keys lead from a relation to a target, the relation itself
 * included.
 */
static bool
keep_reaches(const KeepTargets *targets, Oid relid)
{
	Relation	constraints = table_open(ConstraintRelationId, AccessShareLock);
	List	   *reached = list_make1_oid(relid);
	bool		found = false;
	int			i;

	for (i = 0; i < list_length(reached) && !found; i++)
	{
		ScanKeyData key;
		SysScanDesc scan;
		HeapTuple	tuple;

		found = list_member_oid(targets->relations, list_nth_oid(reached, i));
		ScanKeyInit(&key, Anum_pg_constraint_conrelid, BTEqualStrategyNumber, F_OIDEQ,
					ObjectIdGetDatum(list_nth_oid(reached, i)));
		scan = systable_beginscan(constraints, ConstraintRelidTypidNameIndexId, true,
								  NULL, 1, &key);
		while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		{
			Form_pg_constraint form = (Form_pg_constraint) GETSTRUCT(tuple);

			if (form->contype == CONSTRAINT_FOREIGN)
				reached = list_append_unique_oid(reached, form->confrelid);
		}
		systable_endscan(scan);
	}
	table_close(constraints, AccessShareLock);
	return found;
}

/*
 * Whether the name of a target is anywhere in a query, in whatever case.
 */
static bool
keep_mentions(const KeepTargets *targets, const char *query)
{
	ListCell   *lc;

	foreach(lc, targets->names)
	{
		const char *name = lfirst(lc);
		const char *place;

		/* One that needs quoting may be written in other ways. */
		if (strpbrk(name, "\"\\") != NULL)
			return true;
		for (place = query; *place != '\0'; place++)
		{
			if (pg_strncasecmp(place, name, strlen(name)) == 0)
				return true;
		}
	}
	return false;
}

static void
keep_compile(void *arg)
{
	KeepAttempt *attempt = arg;
	InvalOldRule *old = attempt->old;
	InvalDefinition *definition = unconstify(InvalDefinition *, attempt->definition);
	Relation	relation = relation_open(definition->relation, AccessShareLock);
	const char *via = inval_definition_get(definition, RULE_VIA);

	memset(old, 0, sizeof(*old));
	old->definition = definition;
	old->schema = RelationGetNamespace(relation);
	inval_rule_compile(&old->rule, definition, relation, relation, attempt->context);
	old->reads = inval_rule_reads(&old->rule);
	keep_paths(old, old->rule.key);
	if (old->rule.field != NULL)
		keep_paths(old, old->rule.field);
	if (via != NULL)
	{
		old->via = inval_via_analyze(via, relation, INVAL_LOOKUP_VIA);
		old->via_text = inval_via_deparse(old->via, relation);
		(void) keep_functions((Node *) old->via->query, old);
	}
	relation_close(relation, AccessShareLock);
}

/*
 * Collects the functions that a query calls, operators' included.
 */
static bool
keep_functions(Node *node, void *arg)
{
	if (node == NULL)
		return false;
	(void) check_functions_in_node(node, keep_function, arg);
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, keep_functions, arg, 0);
	return expression_tree_walker(node, keep_functions, arg);
}

static bool
keep_function(Oid function, void *arg)
{
	InvalOldRule *old = arg;

	old->functions = list_append_unique_oid(old->functions, function);
	return false;
}

static void
keep_paths(InvalOldRule *old, const InvalBoundTemplate *template)
{
	int			i;

	for (i = 0; i < template->nsegments; i++)
		if (template->segments[i].path != NULL)
			old->constraints = list_concat_copy(old->constraints,
												template->segments[i].path->constraints);
}
