/*
 * retie.c
 *		Columns that rules need get another type; foreign keys come.
 *
 * The server refuses to change the type of a column that a trigger depends on.
 * So the ties of rules to such a column are cut when the command starts and
 * recorded anew at its end, when the rules have been understood again; that a
 * rule cannot be is an error then.
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_depend.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "base/attempt.h"
#include "base/catalog.h"
#include "ddl/retie.h"
#include "rule/carrier.h"
#include "rule/family.h"
#include "rule/tie.h"
#include "rule/ties.h"
#include "version/server.h"

static bool retie_rebuilds(const AlterTableCmd *command);
static void retie_column(InvalDdlFrame *frame, Oid relid, AttrNumber column);
static void retie_cut(InvalDdlFrame *frame, Oid class, Oid object, int32 column);
static List *retie_readers(Oid class, Oid object, int32 column);
static void retie_one(void *arg);
static void retie_queries(InvalDefinition *definition);
static void retie_path(const InvalDefinition *definition);
pg_noreturn static void retie_refuse(const InvalDefinition *definition,
									 const ErrorData *error);

/*
 * Cuts the ties of rules, of whatever table, to columns of a family of relations
 * whose types a command changes.
 */
void
inval_ddl_untie(InvalDdlFrame *frame, AlterTableStmt *statement, List *family)
{
	ListCell   *lc;

	foreach(lc, statement->cmds)
	{
		AlterTableCmd *command = lfirst(lc);
		ListCell   *member;

		if (!retie_rebuilds(command))
			continue;
		foreach(member, family)
		{
			AttrNumber	column = get_attnum(lfirst_oid(member), command->name);

			if (column > 0)
				retie_column(frame, lfirst_oid(member), column);
		}
	}
}

static bool
retie_rebuilds(const AlterTableCmd *command)
{
	return command->subtype == AT_AlterColumnType || inval_server_sets_expression(command);
}

/*
 * The constraints that the column is part of are made anew by the command.
 */
static void
retie_column(InvalDdlFrame *frame, Oid relid, AttrNumber column)
{
	ListCell   *lc;

	retie_cut(frame, RelationRelationId, relid, column);
	foreach(lc, inval_catalog_dependents(RelationRelationId, relid))
	{
		const FormData_pg_depend *form = lfirst(lc);

		if (form->classid == ConstraintRelationId && form->refobjsubid == column)
			retie_cut(frame, ConstraintRelationId, form->objid, 0);
	}
}

static void
retie_cut(InvalDdlFrame *frame, Oid class, Oid object, int32 column)
{
	List	   *readers = retie_readers(class, object, column);
	MemoryContext old = MemoryContextSwitchTo(frame->context);
	ListCell   *lc;

	foreach(lc, readers)
	{
		ObjectAddress *carrier = palloc(sizeof(ObjectAddress));

		*carrier = inval_ties_carrier(lfirst(lc));
		if (!inval_ties_have(frame->untied, carrier))
			frame->untied = lappend(frame->untied, carrier);
	}
	MemoryContextSwitchTo(old);
	if (readers != NIL)
		inval_ties_cut(class, object, column);
}

/*
 * The rules that are tied to an object, under locks that keep others from dropping
 * them: those who are just doing so have ended then.
 */
static List *
retie_readers(Oid class, Oid object, int32 column)
{
	ListCell   *lc;

	foreach(lc, inval_ties_readers(class, object, column))
	{
		LockRelationOid(((InvalDefinition *) lfirst(lc))->relation, AccessShareLock);
	}
	return inval_ties_readers(class, object, column);
}

/*
 * Ties the rules again whose ties were cut.
 */
void
inval_ddl_retie(InvalDdlFrame *frame)
{
	ListCell   *lc;

	foreach(lc, frame->untied)
	{
		const ObjectAddress *carrier = lfirst(lc);
		InvalDefinition *definition = inval_carrier_read(carrier->classId, carrier->objectId);
		ErrorData  *error;

		if (definition == NULL)
			continue;			/* the command has dropped it, too */
		error = inval_attempt(retie_one, definition);
		if (error != NULL)
			retie_refuse(definition, error);
	}
}

static void
retie_one(void *arg)
{
	InvalDefinition *definition = arg;

	if (inval_queries_exist(definition))
		retie_queries(definition);
	inval_tie(definition);
}

/*
 * Writes the casts of queries that they take with the new type.
 */
static void
retie_queries(InvalDefinition *definition)
{
	Relation	relation = relation_open(definition->relation, AccessShareLock);
	InvalRuleQueries queries = {
		inval_queries_via(definition, relation),
		inval_queries_refill(definition, relation),
		inval_queries_audit(definition, relation)
	};
	bool		changed = inval_queries_write(&queries, definition, relation);

	relation_close(relation, NoLock);
	if (changed)
		inval_carrier_rewrite(definition);
}

/*
 * A table has got a foreign key: paths through it must still say which one they
 * follow, and its own rules may have waited for it in a dump.
 */
void
inval_ddl_after_foreign_key(Oid relid)
{
	ListCell   *member;

	foreach(member, inval_family_ancestors(relid))
	{
		Relation	relation = try_relation_open(lfirst_oid(member), AccessShareLock);
		ListCell   *lc;

		if (relation == NULL)
			continue;
		foreach(lc, inval_carriers_readable(relation))
		{
			if (!inval_ties_exist(lfirst(lc)))
				(void) inval_tie_attempt(lfirst(lc));
		}
		relation_close(relation, NoLock);
		foreach(lc, inval_ties_readers(RelationRelationId, lfirst_oid(member), 0))
		{
			retie_path(lfirst(lc));
		}
	}
}

/*
 * A rule must follow the foreign keys that it followed.  One that fails for
 * another reason is none of those who add a foreign key.
 */
static void
retie_path(const InvalDefinition *definition)
{
	List	   *before = inval_ties_of(definition);
	ErrorData  *error = inval_tie_attempt(definition);
	List	   *after = inval_ties_of(definition);
	ListCell   *lc;

	if (error != NULL && error->sqlerrcode == ERRCODE_AMBIGUOUS_COLUMN)
		retie_refuse(definition, error);
	foreach(lc, before)
	{
		const ObjectAddress *tie = lfirst(lc);

		if (tie->classId == ConstraintRelationId && !inval_ties_have(after, tie))
			ereport(ERROR,
					(errcode(ERRCODE_AMBIGUOUS_COLUMN),
					 errmsg("inval rule %d would follow another foreign key than %s",
							inval_definition_id(definition), getObjectDescription(tie, false)),
					 errhint("Drop it first by SELECT inval_untrack_rule(%d), and track the table anew afterwards.",
							 inval_definition_id(definition))));
	}
}

static void
retie_refuse(const InvalDefinition *definition, const ErrorData *error)
{
	int32		id = inval_definition_id(definition);

	ereport(ERROR,
			(errcode(error->sqlerrcode),
			 errmsg("inval rule %d could no longer be applied: %s", id, error->message),
			 errdetail("It is a rule of table \"%s\", with the key \"%s\".",
					   get_rel_name(definition->relation), definition->options[RULE_KEY]),
			 errhint("Drop it first by SELECT inval_untrack_rule(%d), and track the table anew afterwards.",
					 id)));
}
