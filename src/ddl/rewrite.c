/*
 * rewrite.c
 *		ALTER TABLE: rows that are rewritten.
 *
 * table_rewrite comes when the catalogs have changed and the rows have not.  So
 * descriptors and rules are kept from the start of the command; by these the old
 * rows are read then, and the new ones at the end.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/tableam.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "commands/event_trigger.h"
#include "parser/parse_type.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "base/attempt.h"
#include "base/origin.h"
#include "capture/looks.h"
#include "capture/scan.h"
#include "ddl/retie.h"
#include "ddl/rewrite.h"
#include "ddl/rows.h"
#include "rule/family.h"
#include "version/server.h"

/* A rule to be compiled for a relation */
typedef struct RewriteTry
{
	const InvalDefinition *definition;
	Relation	relation;
} RewriteTry;

static void rewrite_scan_old(InvalOldTable *table);
static void rewrite_scan_new(InvalOldTable *table);
static bool rewrite_reads_differently(const InvalOldTable *table, Relation relation);
static List *rewrite_lock_family(Oid relid, AlterTableStmt *statement, LOCKMODE lockmode);
static bool rewrite_gives_values(AlterTableStmt *statement);
static bool rewrite_has_value(ColumnDef *column);
static void rewrite_keep_table(InvalDdlFrame *frame, Oid relid);
static bool rewrite_wants_rule(const InvalDefinition *definition, void *arg);
static void rewrite_try_rule(void *arg);
static void rewrite_look_up_early(InvalOldTable *table, List *family, bool now);
static bool rewrite_reads(const InvalRule *rule, List *family);

/*
 * Whether a command may give existing rows other values, or write them anew so
 * that they look like this transaction's.
 */
bool
inval_ddl_may_rewrite(AlterTableStmt *statement)
{
	ListCell   *lc;

	foreach(lc, statement->cmds)
	{
		const AlterTableCmd *command = lfirst(lc);

		switch (command->subtype)
		{
			case AT_AlterColumnType:
			case AT_AddColumn:
			case AT_DropExpression:
			case AT_AddIdentity:
			case AT_SetLogged:
			case AT_SetUnLogged:
			case AT_SetAccessMethod:
				return true;
			default:
				if (inval_server_sets_expression(command))
					return true;
				break;
		}
	}
	return false;
}

/*
 * Remembers how the rows of tables look that the command may rewrite.  It has its
 * lock on the first of them.
 */
void
inval_ddl_keep_tables(InvalDdlFrame *frame, AlterTableStmt *statement, Oid relid,
					 LOCKMODE lockmode)
{
	List	   *family = rewrite_lock_family(relid, statement, lockmode);
	bool		now = rewrite_gives_values(statement);
	ListCell   *lc;

	inval_looks_run();
	foreach(lc, family)
	{
		rewrite_keep_table(frame, lfirst_oid(lc));
		if (now && !inval_ddl_is_last(T_AlterTableStmt))
			inval_ddl_rows_of_readers(RelationRelationId, lfirst_oid(lc));
	}
	foreach(lc, frame->tables)
	{
		rewrite_look_up_early(lfirst(lc), family, now);
	}
	if (get_rel_relkind(relid) == RELKIND_COMPOSITE_TYPE)
		family = lappend_oid(family, relid);
	inval_ddl_untie(frame, statement, family);
}

/*
 * Queues what the rows of a table owe that is about to be rewritten with other
 * values.
 */
void
inval_ddl_before_rewrite(InvalDdlFrame *frame, Oid relid, int reason)
{
	ListCell   *lc;

	if ((reason & (AT_REWRITE_DEFAULT_VAL | AT_REWRITE_COLUMN_REWRITE)) == 0 ||
		get_rel_persistence(relid) == RELPERSISTENCE_TEMP)
		return;
	foreach(lc, frame ? frame->tables : NIL)
	{
		InvalOldTable *table = lfirst(lc);

		if (table->relid != relid)
			continue;
		if (!table->rewritten)
			rewrite_scan_old(table);
		table->rewritten = true;
		return;
	}
	if (inval_family_is_tracked(relid))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("table \"%s\" has changed while the command began",
						get_rel_name(relid)),
				 errhint("Try again.")));
}

/*
 * Queues what the rows owe that were rewritten, or read differently now.
 */
void
inval_ddl_after_rewrite(InvalDdlFrame *frame)
{
	ListCell   *lc;

	inval_ddl_retie(frame);
	foreach(lc, frame->tables)
	{
		rewrite_scan_new(lfirst(lc));
	}
}

static void
rewrite_scan_old(InvalOldTable *table)
{
	Relation	relation = relation_open(table->relid, NoLock);

	inval_origin_saw(INVAL_BY_DDL);
	inval_scan_with_desc(relation, table->desc, table->rules, INVAL_ROW_OLD);
	relation_close(relation, NoLock);
}

/*
 * A table that was rewritten, or whose rows read differently although they are
 * what they were: a column has another type.
 */
static void
rewrite_scan_new(InvalOldTable *table)
{
	Relation	relation = relation_open(table->relid, AccessShareLock);

	if (!table->rewritten && rewrite_reads_differently(table, relation))
	{
		rewrite_scan_old(table);
		table->rewritten = true;
	}
	if (table->rewritten)
	{
		inval_origin_saw(INVAL_BY_DDL);
		inval_scan_relation(relation, inval_rules_of(relation), INVAL_ROW_NEW);
	}
	relation_close(relation, NoLock);
}

/*
 * Whether values may be written otherwise with the types that columns have now.
 */
static bool
rewrite_reads_differently(const InvalOldTable *table, Relation relation)
{
	int			i;

	for (i = 0; i < table->desc->natts; i++)
	{
		Oid			old_type;
		Oid			new_type;
		Oid			old_output;
		Oid			new_output;
		bool		is_varlena;

		if (TupleDescAttr(table->desc, i)->attisdropped ||
			TupleDescAttr(RelationGetDescr(relation), i)->attisdropped)
			continue;
		old_type = getBaseType(TupleDescAttr(table->desc, i)->atttypid);
		new_type = getBaseType(TupleDescAttr(RelationGetDescr(relation), i)->atttypid);
		if (old_type == new_type ||
			((old_type == TEXTOID || old_type == VARCHAROID) &&
			 (new_type == TEXTOID || new_type == VARCHAROID)))
			continue;
		getTypeOutputInfo(old_type, &old_output, &is_varlena);
		getTypeOutputInfo(new_type, &new_output, &is_varlena);
		if (old_output != new_output)
			return true;
	}
	return false;
}

/*
 * The tables that a command reaches, under its lock: a relation with what
 * belongs to it, or the tables of a type.
 */
static List *
rewrite_lock_family(Oid relid, AlterTableStmt *statement, LOCKMODE lockmode)
{
	List	   *family = NIL;
	ListCell   *lc;

	if (get_rel_relkind(relid) == RELKIND_COMPOSITE_TYPE)
	{
		foreach(lc, inval_family_typed(relid))
		{
			LockRelationOid(lfirst_oid(lc), lockmode);
			family = list_concat(family, find_all_inheritors(lfirst_oid(lc), lockmode, NULL));
		}
		return family;
	}
	return statement->relation->inh ?
		find_all_inheritors(relid, lockmode, NULL) : list_make1_oid(relid);
}

/*
 * Whether a command is one of those that rewrite, as far as its text tells: a
 * new column without any value does not.
 */
static bool
rewrite_gives_values(AlterTableStmt *statement)
{
	ListCell   *lc;

	foreach(lc, statement->cmds)
	{
		AlterTableCmd *command = lfirst(lc);

		if (command->subtype != AT_AddColumn ||
			rewrite_has_value((ColumnDef *) command->def))
			return true;
	}
	return false;
}

/*
 * Whether a new column has a default, is generated or an identity; or is of a
 * domain, which may have a default of its own.
 */
static bool
rewrite_has_value(ColumnDef *column)
{
	Type		type = LookupTypeName(NULL, column->typeName, NULL, true);
	bool		value = type != NULL &&
		((Form_pg_type) GETSTRUCT(type))->typtype == TYPTYPE_DOMAIN;
	ListCell   *lc;

	if (type != NULL)
		ReleaseSysCache(type);
	foreach(lc, column->constraints)
	{
		Constraint *constraint = lfirst(lc);

		value |= constraint->contype == CONSTR_DEFAULT ||
			constraint->contype == CONSTR_GENERATED ||
			constraint->contype == CONSTR_IDENTITY;
	}
	return value;
}

static void
rewrite_keep_table(InvalDdlFrame *frame, Oid relid)
{
	Relation	relation;
	InvalOldTable *table;
	MemoryContext old;

	if (!RELKIND_HAS_TABLE_AM(get_rel_relkind(relid)) ||
		get_rel_persistence(relid) == RELPERSISTENCE_TEMP || !inval_family_is_tracked(relid))
		return;
	relation = relation_open(relid, AccessExclusiveLock);
	old = MemoryContextSwitchTo(frame->context);
	table = palloc0(sizeof(InvalOldTable));
	table->relid = relid;
	table->desc = CreateTupleDescCopyConstr(RelationGetDescr(relation));
	table->rules = inval_rules_from(relation, inval_family_ancestors(relid),
									rewrite_wants_rule, relation, frame->context);
	frame->tables = lappend(frame->tables, table);
	MemoryContextSwitchTo(old);
	relation_close(relation, NoLock);
}

/*
 * A rule that does not work must not keep its table from being altered.
 */
static bool
rewrite_wants_rule(const InvalDefinition *definition, void *arg)
{
	RewriteTry	try = {definition, arg};

	return inval_attempt(rewrite_try_rule, &try) == NULL;
}

static void
rewrite_try_rule(void *arg)
{
	RewriteTry   *try = arg;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "inval rule",
												  ALLOCSET_SMALL_SIZES);
	Relation	tracked = relation_open(try->definition->relation, AccessShareLock);
	InvalRule	rule;

	inval_rule_compile(&rule, try->definition, try->relation, tracked, context);
	relation_close(tracked, NoLock);
	MemoryContextDelete(context);
}

/*
 * Rules that look up rows of the tables that may be rewritten cannot wait until
 * they are: by then the catalogs have changed and those rows have not, so no
 * query can read them.  Applies them at once ("now"), and takes them away from
 * what is left to do.
 */
static void
rewrite_look_up_early(InvalOldTable *table, List *family, bool now)
{
	Relation	relation = relation_open(table->relid, NoLock);
	int			kept = 0;
	int			i;

	for (i = 0; i < table->rules->nrules; i++)
	{
		InvalRule  *rule = &table->rules->rules[i];
		InvalRelationRules one = {.relid = table->relid, .nrules = 1, .rules = rule};

		if (!rewrite_reads(rule, family))
			table->rules->rules[kept++] = *rule;
		else if (now)
		{
			inval_origin_saw(INVAL_BY_DDL);
			inval_scan_relation(relation, &one, INVAL_ROW_OLD);
		}
	}
	table->rules->nrules = kept;
	relation_close(relation, NoLock);
}

static bool
rewrite_reads(const InvalRule *rule, List *family)
{
	ListCell   *lc;

	foreach(lc, inval_rule_reads(rule))
	{
		if (list_member_oid(family, lfirst_oid(lc)))
			return true;
	}
	return false;
}
