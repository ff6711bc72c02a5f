/*
 * alter.c
 *		ALTER TABLE: partitions and children that come and go.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "commands/tablecmds.h"
#include "utils/lsyscache.h"

#include "base/catalog.h"
#include "base/rights.h"
#include "ddl/alter.h"
#include "ddl/equip.h"
#include "ddl/guard.h"
#include "ddl/retie.h"
#include "ddl/rewrite.h"
#include "ddl/rows.h"
#include "ddl/type_rows.h"
#include "rule/family.h"

static bool alter_is_of_rows(AlterTableStmt *statement);
static bool alter_is_of_type(AlterTableStmt *statement);
static bool alter_detaches_concurrently(AlterTableStmt *statement);
static bool alter_takes_rows(AlterTableStmt *statement);
static void alter_take_rows(Oid relid, AlterTableStmt *statement);
static void alter_detach_early(AlterTableStmt *statement);
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
	if (!inval_ddl_may_rewrite(statement) && !alter_takes_rows(statement) &&
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
	if (inval_ddl_may_rewrite(statement))
		inval_ddl_keep_tables(frame, statement, relid, lockmode);
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
		inval_ddl_after_rewrite(frame);
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
			inval_ddl_rows_of_readers(RelationRelationId, child);
	}
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
		inval_ddl_rows(lfirst_oid(lc), trackers, age, age == INVAL_ROW_NEW);
	}
}
