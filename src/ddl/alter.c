/*
 * alter.c
 *		ALTER TABLE: rewrites, partitions and children that come and go,
 *		triggers that are disabled.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/tableam.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "commands/event_trigger.h"
#include "commands/tablecmds.h"
#include "miscadmin.h"
#include "parser/parse_type.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "base/attempt.h"
#include "base/catalog.h"
#include "base/rights.h"
#include "capture/looks.h"
#include "capture/scan.h"
#include "ddl/alter.h"
#include "ddl/equip.h"
#include "ddl/guard.h"
#include "ddl/retie.h"
#include "ddl/rows.h"
#include "ddl/type_rows.h"
#include "rule/family.h"

/* A rule to be compiled for a relation */
typedef struct AlterTry
{
	const InvalDefinition *definition;
	Relation	relation;
} AlterTry;

static void alter_before_rewrite(InvalDdlFrame *frame, AlterTableStmt *statement,
								 Oid relid, LOCKMODE lockmode);
static void alter_scan_old(InvalOldTable *table);
static void alter_scan_new(InvalOldTable *table);
static bool alter_reads_differently(const InvalOldTable *table, Relation relation);
static bool alter_is_of_rows(AlterTableStmt *statement);
static bool alter_is_of_type(AlterTableStmt *statement);
static bool alter_detaches_concurrently(AlterTableStmt *statement);
static bool alter_takes_rows(AlterTableStmt *statement);
static void alter_take_rows(Oid relid, AlterTableStmt *statement);
static void alter_try_rule(void *arg);
static List *alter_lock_family(Oid relid, AlterTableStmt *statement, LOCKMODE lockmode);
static void alter_detach_early(AlterTableStmt *statement);
static bool alter_may_rewrite(AlterTableStmt *statement);
static bool alter_gives_values(AlterTableStmt *statement);
static bool alter_has_value(ColumnDef *column);
static void alter_keep_table(InvalDdlFrame *frame, Oid relid);
static bool alter_wants_rule(const InvalDefinition *definition, void *arg);
static void alter_look_up_early(InvalOldTable *table, List *family, bool now);
static bool alter_reads(const InvalRule *rule, List *family);
static void alter_family_changed(Oid child, Oid parent, InvalRowAge age);
static void alter_scan_family(Oid relid, List *trackers, InvalRowAge age);

/*
 * Remembers how the rows of tables look that the command may rewrite, and queues
 * what nobody can find out any more when it has run.  Takes the lock of the command
 * itself, as the command does: what it reaches is known for certain then.
 */
void
inval_ddl_before_alter(InvalDdlFrame *frame, AlterTableStmt *statement)
{
	LOCKMODE	lockmode;
	Oid			relid;

	if (!alter_is_of_rows(statement))
		return;
	if (alter_detaches_concurrently(statement))
	{
		alter_detach_early(statement);
		return;
	}
	if (!alter_may_rewrite(statement) && !alter_takes_rows(statement) &&
		!alter_is_of_type(statement))
		return;
	lockmode = AlterTableGetLockLevel(statement->cmds);
	relid = AlterTableLookupRelation(statement, lockmode);
	if (!OidIsValid(relid) || get_rel_persistence(relid) == RELPERSISTENCE_TEMP)
		return;
	if (alter_takes_rows(statement) && !inval_ddl_is_last(T_AlterTableStmt))
		alter_take_rows(relid, statement);
	if (alter_is_of_type(statement))
		inval_ddl_type_rows(relid);
	if (alter_may_rewrite(statement))
		alter_before_rewrite(frame, statement, relid, lockmode);
}

static void
alter_before_rewrite(InvalDdlFrame *frame, AlterTableStmt *statement, Oid relid,
					 LOCKMODE lockmode)
{
	List	   *family = alter_lock_family(relid, statement, lockmode);
	bool		now = alter_gives_values(statement);
	ListCell   *lc;

	inval_looks_run();
	foreach(lc, family)
	{
		alter_keep_table(frame, lfirst_oid(lc));
		if (now && !inval_ddl_is_last(T_AlterTableStmt))
			inval_ddl_rows_of_readers(lfirst_oid(lc));
	}
	foreach(lc, frame->tables)
	{
		alter_look_up_early(lfirst(lc), family, now);
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
			alter_scan_old(table);
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

static void
alter_scan_old(InvalOldTable *table)
{
	Relation	relation = relation_open(table->relid, NoLock);

	inval_scan_with_desc(relation, table->desc, table->rules, INVAL_ROW_OLD);
	relation_close(relation, NoLock);
}

/*
 * Queues what rows owe that were rewritten, or that came to a tracked relation
 * or left it.  The frame may be NULL: DETACH CONCURRENTLY commits midway.
 */
void
inval_ddl_after_alter(InvalDdlFrame *frame, AlterTableStmt *statement)
{
	Oid			relid = RangeVarGetRelid(statement->relation, NoLock, true);
	ListCell   *lc;

	if (frame != NULL)
		inval_ddl_retie(frame);
	foreach(lc, frame ? frame->tables : NIL)
	{
		alter_scan_new(lfirst(lc));
	}
	if (!OidIsValid(relid))
		return;
	foreach(lc, statement->cmds)
	{
		AlterTableCmd *command = lfirst(lc);
		RangeVar   *name;

		switch (command->subtype)
		{
			case AT_AttachPartition:
			case AT_DetachPartition:
			case AT_DetachPartitionFinalize:
				if (get_rel_relkind(relid) != RELKIND_PARTITIONED_TABLE)
					break;		/* of an index */
				name = ((PartitionCmd *) command->def)->name;
				alter_family_changed(RangeVarGetRelid(name, NoLock, true), relid,
									 command->subtype == AT_AttachPartition ?
									 INVAL_ROW_NEW : INVAL_ROW_OLD);
				break;
			case AT_AddInherit:
			case AT_DropInherit:
				name = (RangeVar *) command->def;
				alter_family_changed(relid, RangeVarGetRelid(name, NoLock, true),
									 command->subtype == AT_AddInherit ?
									 INVAL_ROW_NEW : INVAL_ROW_OLD);
				break;
			case AT_AddConstraint:
				if (((Constraint *) command->def)->contype == CONSTR_FOREIGN)
					inval_ddl_after_foreign_key(relid);
				break;
			default:
				break;
		}
	}
}

/*
 * A table that was rewritten, or whose rows read differently although they are
 * what they were: a column has another type.
 */
static void
alter_scan_new(InvalOldTable *table)
{
	Relation	relation = relation_open(table->relid, AccessShareLock);

	if (!table->rewritten && alter_reads_differently(table, relation))
	{
		alter_scan_old(table);
		table->rewritten = true;
	}
	if (table->rewritten)
		inval_scan_relation(relation, inval_rules_of(relation), INVAL_ROW_NEW);
	relation_close(relation, NoLock);
}

/*
 * Whether values may be written otherwise with the types that columns have now.
 */
static bool
alter_reads_differently(const InvalOldTable *table, Relation relation)
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
alter_lock_family(Oid relid, AlterTableStmt *statement, LOCKMODE lockmode)
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
 * Whether a command is about something that has rows.
 */
static bool
alter_is_of_rows(AlterTableStmt *statement)
{
	return statement->objtype == OBJECT_TABLE || statement->objtype == OBJECT_FOREIGN_TABLE ||
		alter_is_of_type(statement);
}

static bool
alter_is_of_type(AlterTableStmt *statement)
{
	return statement->objtype == OBJECT_TYPE;
}

static bool
alter_detaches_concurrently(AlterTableStmt *statement)
{
	AlterTableCmd *command = linitial(statement->cmds);

	return command->subtype == AT_DetachPartition &&
		((PartitionCmd *) command->def)->concurrent;
}

/*
 * DETACH CONCURRENTLY commits in its midst, and then the rows are gone: what
 * they owe is queued in that first half, and again in the other.  Writers go on
 * meanwhile, and queue what they change by themselves.
 */
static void
alter_detach_early(AlterTableStmt *statement)
{
	PartitionCmd *partition = (PartitionCmd *) ((AlterTableCmd *) linitial(statement->cmds))->def;
	Oid			parent = RangeVarGetRelid(statement->relation, NoLock, true);
	Oid			child = RangeVarGetRelid(partition->name, NoLock, true);

	if (OidIsValid(parent) && OidIsValid(child) && inval_rights_is_owner(parent) &&
		inval_family_is_tracked(parent))
		alter_scan_family(child, inval_family_ancestors(parent), INVAL_ROW_OLD);
}

/*
 * Whether a command takes rows away from what others look up.
 */
static bool
alter_takes_rows(AlterTableStmt *statement)
{
	ListCell   *lc;

	foreach(lc, statement->cmds)
	{
		switch (((AlterTableCmd *) lfirst(lc))->subtype)
		{
			case AT_DetachPartition:
			case AT_DetachPartitionFinalize:
			case AT_DropInherit:
				return true;
			default:
				break;
		}
	}
	return false;
}

/*
 * Queues what rules owe that look up rows which leave a parent.
 */
static void
alter_take_rows(Oid relid, AlterTableStmt *statement)
{
	ListCell   *lc;

	foreach(lc, statement->cmds)
	{
		AlterTableCmd *command = lfirst(lc);
		Oid			child = relid;

		if (command->subtype == AT_DetachPartition ||
			command->subtype == AT_DetachPartitionFinalize)
			child = RangeVarGetRelid(((PartitionCmd *) command->def)->name,
									 AccessShareLock, true);
		if (OidIsValid(child))
			inval_ddl_rows_of_readers(child);
	}
}

/*
 * Whether a command may give existing rows other values.
 */
static bool
alter_may_rewrite(AlterTableStmt *statement)
{
	ListCell   *lc;

	foreach(lc, statement->cmds)
	{
		switch (((AlterTableCmd *) lfirst(lc))->subtype)
		{
			case AT_AlterColumnType:
			case AT_AddColumn:
			case AT_DropExpression:
			case AT_AddIdentity:
#if PG_VERSION_NUM >= 170000
			case AT_SetExpression:
#endif
				return true;
			default:
				break;
		}
	}
	return false;
}

/*
 * Whether a command is one of those that rewrite, as far as its text tells: a
 * new column without any value does not.
 */
static bool
alter_gives_values(AlterTableStmt *statement)
{
	ListCell   *lc;

	foreach(lc, statement->cmds)
	{
		AlterTableCmd *command = lfirst(lc);

		if (command->subtype != AT_AddColumn ||
			alter_has_value((ColumnDef *) command->def))
			return true;
	}
	return false;
}

/*
 * Whether a new column has a default, is generated or an identity; or is of a
 * domain, which may have a default of its own.
 */
static bool
alter_has_value(ColumnDef *column)
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
alter_keep_table(InvalDdlFrame *frame, Oid relid)
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
									alter_wants_rule, relation, frame->context);
	frame->tables = lappend(frame->tables, table);
	MemoryContextSwitchTo(old);
	relation_close(relation, NoLock);
}

/*
 * A rule that does not work must not keep its table from being altered.
 */
static bool
alter_wants_rule(const InvalDefinition *definition, void *arg)
{
	AlterTry	try = {definition, arg};

	return inval_attempt(alter_try_rule, &try) == NULL;
}

static void
alter_try_rule(void *arg)
{
	AlterTry   *try = arg;
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
alter_look_up_early(InvalOldTable *table, List *family, bool now)
{
	Relation	relation = relation_open(table->relid, NoLock);
	int			kept = 0;
	int			i;

	for (i = 0; i < table->rules->nrules; i++)
	{
		InvalRule  *rule = &table->rules->rules[i];
		InvalRelationRules one = {.nrules = 1, .rules = rule};

		if (!alter_reads(rule, family))
			table->rules->rules[kept++] = *rule;
		else if (now)
			inval_scan_relation(relation, &one, INVAL_ROW_OLD);
	}
	table->rules->nrules = kept;
	relation_close(relation, NoLock);
	inval_looks_run();
}

static bool
alter_reads(const InvalRule *rule, List *family)
{
	ListCell   *lc;

	foreach(lc, inval_rule_reads(rule))
	{
		if (list_member_oid(family, lfirst_oid(lc)))
			return true;
	}
	return false;
}

/*
 * A relation came to a parent, or left it: its rows came to the parent's
 * rules, or left them.
 */
static void
alter_family_changed(Oid child, Oid parent, InvalRowAge age)
{
	if (!OidIsValid(child) || !OidIsValid(parent))
		return;
	if (inval_family_is_tracked(parent))
		alter_scan_family(child, inval_family_ancestors(parent), age);
	inval_ddl_equip(child);
	inval_guard_check(child);
}

static void
alter_scan_family(Oid relid, List *trackers, InvalRowAge age)
{
	ListCell   *lc;

	/*
	 * Of rows that come, writers that do not know the new parent yet must have
	 * ended.  Those that leave were its own.
	 */
	foreach(lc, inval_family_leaves(relid, age == INVAL_ROW_NEW ?
									ShareRowExclusiveLock : AccessShareLock))
	{
		inval_ddl_rows(lfirst_oid(lc), trackers, age);
	}
}
