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
#include "miscadmin.h"
#include "parser/parse_type.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "base/catalog.h"
#include "base/rights.h"
#include "capture/looks.h"
#include "capture/scan.h"
#include "ddl/alter.h"
#include "ddl/equip.h"
#include "ddl/guard.h"
#include "ddl/keep.h"
#include "rule/family.h"

/* Rows that came to relations, or left them */
typedef struct AlterScan
{
	List	   *trackers;		/* OIDs of those relations */
	InvalRowAge age;
} AlterScan;

static List *alter_lock_family(Oid relid, AlterTableStmt *statement);
static void alter_detach_early(Oid parent, AlterTableStmt *statement);
static bool alter_may_rewrite(AlterTableStmt *statement);
static bool alter_gives_values(AlterTableStmt *statement);
static bool alter_has_value(ColumnDef *column);
static void alter_keep_table(InvalDdlFrame *frame, Oid relid);
static bool alter_wants_rule(const InvalDefinition *definition, void *arg);
static void alter_look_up_early(InvalOldTable *table, List *family, bool now);
static bool alter_reads(const InvalRule *rule, List *family);
static void alter_family_changed(Oid child, Oid parent, InvalRowAge age);
static void alter_scan_family(Oid relid, List *trackers, InvalRowAge age);
static void alter_scan_leaf(void *arg, Relation relation);

/*
 * Remembers how the rows of tables look that the command may rewrite.  Takes
 * the lock of the command itself, if the user may run it at all.
 */
void
inval_ddl_before_alter(InvalDdlFrame *frame, AlterTableStmt *statement)
{
	Oid			relid = RangeVarGetRelid(statement->relation, NoLock, true);
	List	   *family;
	ListCell   *lc;

	if (OidIsValid(relid) && inval_rights_is_owner(relid))
		alter_detach_early(relid, statement);
	if (!OidIsValid(relid) || !alter_may_rewrite(statement) ||
		get_rel_relkind(relid) == RELKIND_VIEW || !inval_rights_is_owner(relid))
		return;
	inval_looks_run();
	family = alter_lock_family(relid, statement);
	foreach(lc, family)
	{
		alter_keep_table(frame, lfirst_oid(lc));
	}
	foreach(lc, frame->tables)
	{
		alter_look_up_early(lfirst(lc), family, alter_gives_values(statement));
	}
}

/*
 * Queues what the rows of a table owe that is about to be rewritten.
 */
void
inval_ddl_before_rewrite(InvalDdlFrame *frame, Oid relid)
{
	ListCell   *lc;

	foreach(lc, frame->tables)
	{
		InvalOldTable *table = lfirst(lc);
		Relation	relation;

		if (table->relid != relid || table->rewritten)
			continue;
		relation = relation_open(relid, NoLock);
		inval_scan_with_desc(relation, table->desc, table->rules, INVAL_ROW_OLD);
		relation_close(relation, NoLock);
		table->rewritten = true;
	}
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

	foreach(lc, frame ? frame->tables : NIL)
	{
		InvalOldTable *table = lfirst(lc);
		Relation	relation;

		if (!table->rewritten)
			continue;
		relation = relation_open(table->relid, AccessShareLock);
		inval_scan_relation(relation, inval_rules_of(relation), INVAL_ROW_NEW);
		relation_close(relation, NoLock);
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
			default:
				break;
		}
	}
}

/*
 * The tables that a command reaches, under its lock: a relation with what
 * belongs to it, or the tables of a type.
 */
static List *
alter_lock_family(Oid relid, AlterTableStmt *statement)
{
	List	   *family = NIL;
	ListCell   *lc;

	if (get_rel_relkind(relid) == RELKIND_COMPOSITE_TYPE)
	{
		foreach(lc, inval_family_typed(relid))
		{
			LockRelationOid(lfirst_oid(lc), AccessExclusiveLock);
			family = list_concat(family,
								 find_all_inheritors(lfirst_oid(lc), AccessExclusiveLock, NULL));
		}
		return family;
	}
	LockRelationOid(relid, AccessExclusiveLock);
	return statement->relation->inh ?
		find_all_inheritors(relid, AccessExclusiveLock, NULL) : list_make1_oid(relid);
}

/*
 * DETACH CONCURRENTLY commits in its midst, and then the rows are gone: what
 * they owe is queued in that first half, and again in the other.
 */
static void
alter_detach_early(Oid parent, AlterTableStmt *statement)
{
	ListCell   *lc;

	foreach(lc, statement->cmds)
	{
		AlterTableCmd *command = lfirst(lc);
		PartitionCmd *partition = (PartitionCmd *) command->def;
		Oid			child;

		if (command->subtype != AT_DetachPartition || !partition->concurrent)
			continue;
		child = RangeVarGetRelid(partition->name, NoLock, true);
		if (OidIsValid(child) && inval_family_is_tracked(parent))
			alter_scan_family(child, inval_family_ancestors(parent), INVAL_ROW_OLD);
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
									alter_wants_rule, NULL, frame->context);
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
	(void) arg;
	return inval_ddl_rule_works(definition, NULL);
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
	AlterScan	scan = {trackers, age};
	ListCell   *lc;

	/* Writers that do not know the new parent yet must have ended. */
	foreach(lc, inval_family_leaves(relid, ShareRowExclusiveLock))
	{
		Relation	relation = relation_open(lfirst_oid(lc), NoLock);

		/* The server of one that leaves may be gone. */
		if (relation->rd_rel->relkind == RELKIND_FOREIGN_TABLE && age == INVAL_ROW_OLD)
			inval_ddl_try(alter_scan_leaf, &scan, relation);
		else
			alter_scan_leaf(&scan, relation);
		relation_close(relation, NoLock);
	}
}

static void
alter_scan_leaf(void *arg, Relation relation)
{
	AlterScan  *scan = arg;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "inval family",
												  ALLOCSET_SMALL_SIZES);

	inval_scan_relation(relation,
						inval_rules_from(relation, scan->trackers, NULL, NULL, context),
						scan->age);
	MemoryContextDelete(context);
}
