/*
 * drop.c
 *		DROP: rows that vanish with their rules.
 *
 * Rows must be read before they are gone, whatever takes them: DROP TABLE,
 * DROP SCHEMA, DROP OWNED, a type or a parent that is dropped with CASCADE.  The
 * server says so through object_access_hook, object by object, when it has
 * locked all of them; dependent objects go first, and the carrier of a rule
 * depends on all that the rule needs (rule/ties.c).  So the rows of a table are
 * queued when the first thing goes that reading them takes:
 *
 *	- the carrier of a rule: all rows of its relation, under that rule;
 *	- a table, or before it its toast table: its rows, under the rules that
 *	  are left (those of its ancestors);
 *	- parts of what a rule looks up by that may go before the carrier does: a
 *	  toast table, what makes a view one.
 *
 * TRUNCATE has no event trigger.  The same hook tells of it.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/index.h"
#include "catalog/indexing.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_class.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_trigger.h"
#include "commands/user.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"

#include "base/catalog.h"
#include "base/rights.h"
#include "ddl/drop.h"
#include "ddl/equip.h"
#include "ddl/rows.h"
#include "rule/carrier.h"
#include "rule/family.h"
#include "rule/ties.h"

/* The server tells of no more objects at once, either. */
#define DROP_MAX_TOLD	100

static object_access_hook_type prev_object_access = NULL;

static void drop_object_access(ObjectAccessType access, Oid class, Oid object,
							   int subid, void *arg);
static void drop_truncate(Oid relid);
static void drop_object(InvalDdlFrame *frame, Oid class, Oid object);
static void drop_column(InvalDdlFrame *frame, Oid relid, AttrNumber column);
static void drop_trigger(InvalDdlFrame *frame, Oid trigger);
static void drop_carrier(InvalDdlFrame *frame, Oid class, Oid carrier);
static void drop_relation(InvalDdlFrame *frame, Oid relid);
static void drop_toast(InvalDdlFrame *frame, Oid toast);
static void drop_leaf(InvalDdlFrame *frame, Oid relid);
static void drop_readers(InvalDdlFrame *frame, Oid relid);
static void drop_readers_above(InvalDdlFrame *frame, Oid relid);
static void drop_reader(InvalDdlFrame *frame, const InvalDefinition *definition, Oid relid);
static bool drop_may_ask(const InvalDefinition *definition);
static bool drop_goes(InvalDdlFrame *frame, Oid relid);
static void drop_rule(InvalDdlFrame *frame, const InvalDefinition *definition, bool may_ask);
static bool drop_foreign_table(InvalDdlFrame *frame, Oid relid);
static void drop_tell(List *gone);

/*
 * Called by _PG_init.
 */
void
inval_ddl_drop_init(void)
{
	prev_object_access = object_access_hook;
	object_access_hook = drop_object_access;
}

/*
 * Sees to the triggers of tables that have lost some of ours, and tells of rules
 * that went along.  Needs a connection to SPI.
 */
void
inval_ddl_after_drop(InvalDdlFrame *frame, Node *statement)
{
	ListCell   *lc;

	foreach(lc, frame->stripped)
	{
		if (get_rel_name(lfirst_oid(lc)) != NULL)
			inval_ddl_equip(lfirst_oid(lc));
	}
	frame->stripped = NIL;
	if (frame->gone != NIL &&
		!(IsA(statement, DropStmt) && ((DropStmt *) statement)->removeType == OBJECT_TRIGGER))
		drop_tell(frame->gone);
	frame->gone = NIL;
}

/*
 * DROP OWNED takes rights away before it drops anything, so that the rules of what
 * it drops could not be applied any more: does so at once, under the lock that the
 * command will take.
 */
void
inval_ddl_before_drop_owned(InvalDdlFrame *frame, DropOwnedStmt *statement)
{
	List	   *roles = roleSpecsToIds(statement->roles);
	List	   *leaves = NIL;
	ListCell   *lc;

	foreach(lc, roles)
	{
		if (!has_privs_of_role(GetUserId(), lfirst_oid(lc)))
			return;				/* the command will say so */
	}
	foreach(lc, inval_carriers_all())
	{
		const InvalDefinition *definition = lfirst(lc);

		if (!list_member_oid(roles, inval_rights_owner(RelationRelationId,
													   definition->relation)))
			continue;
		LockRelationOid(definition->relation, AccessExclusiveLock);
		if (get_rel_relkind(definition->relation) == RELKIND_MATVIEW)
			leaves = lappend_oid(leaves, definition->relation);
		else
			leaves = list_concat(leaves, inval_family_leaves(definition->relation,
															 AccessExclusiveLock));
		drop_rule(frame, definition, drop_may_ask(definition));
	}

	/* Those that no others have rules for are done. */
	foreach(lc, leaves)
	{
		ListCell   *tracker;
		bool		done = true;

		foreach(tracker, inval_family_ancestors(lfirst_oid(lc)))
		{
			done &= list_member_oid(roles, inval_rights_owner(RelationRelationId,
															  lfirst_oid(tracker)));
		}
		if (done)
			frame->scanned = inval_ddl_note(frame, frame->scanned, lfirst_oid(lc));
	}
}

static void
drop_object_access(ObjectAccessType access, Oid class, Oid object, int subid, void *arg)
{
	InvalDdlFrame *frame = inval_ddl_frame();

	if (prev_object_access)
		prev_object_access(access, class, object, subid, arg);
	if (access == OAT_TRUNCATE && class == RelationRelationId)
		drop_truncate(object);
	if (access != OAT_DROP || frame == NULL || frame->drops_extension ||
		(((ObjectAccessDrop *) arg)->dropflags & PERFORM_DELETION_INTERNAL) ||
		inval_catalog(true) == NULL)
		return;
	if (subid == 0)
		drop_object(frame, class, object);
	else if (class == RelationRelationId)
		drop_column(frame, object, (AttrNumber) subid);
}

/*
 * What rules look up in a table can no longer be asked for once it is truncated,
 * which matters if the transaction goes on.
 */
static void
drop_truncate(Oid relid)
{
	if (inval_ddl_is_last(T_TruncateStmt) || inval_catalog(true) == NULL ||
		pg_class_aclcheck(relid, GetUserId(), ACL_TRUNCATE) != ACLCHECK_OK)
		return;
	inval_ddl_rows_of_readers(RelationRelationId, relid);
}

static void
drop_object(InvalDdlFrame *frame, Oid class, Oid object)
{
	switch (class)
	{
		case TriggerRelationId:
			drop_trigger(frame, object);
			break;
		case ForeignServerRelationId:
			drop_carrier(frame, class, object);
			break;
		case RewriteRelationId:
			drop_readers(frame, inval_catalog_relation_of(class, object));
			break;
		case RelationRelationId:
			drop_relation(frame, object);
			break;
		default:
			break;
	}
}

/*
 * A column that was inherited goes before the one that it is from, to which the
 * rules are tied.
 */
static void
drop_column(InvalDdlFrame *frame, Oid relid, AttrNumber column)
{
	List	   *ancestors = inval_family_ancestors(relid);
	char	   *name = get_attname(relid, column, true);
	ListCell   *lc;

	for_each_from(lc, ancestors, 1)
	{
		AttrNumber	above = name ? get_attnum(lfirst_oid(lc), name) : InvalidAttrNumber;
		ListCell   *reader;

		if (above <= 0)
			continue;
		foreach(reader, inval_ties_readers(RelationRelationId, lfirst_oid(lc), above))
		{
			drop_reader(frame, lfirst(reader), lfirst_oid(lc));
		}
	}
}

static void
drop_trigger(InvalDdlFrame *frame, Oid trigger)
{
	const InvalCatalog *catalog = inval_catalog(false);
	Relation	triggers = table_open(TriggerRelationId, AccessShareLock);
	Oid			function = InvalidOid;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_trigger_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(trigger));
	scan = systable_beginscan(triggers, TriggerOidIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		Form_pg_trigger form = (Form_pg_trigger) GETSTRUCT(tuple);

		function = form->tgfoid;
		if (function == catalog->carrier_function || function == catalog->row_function ||
			function == catalog->truncate_function)
			frame->stripped = inval_ddl_note(frame, frame->stripped, form->tgrelid);
	}
	systable_endscan(scan);
	table_close(triggers, AccessShareLock);
	if (function == catalog->carrier_function)
		drop_carrier(frame, TriggerRelationId, trigger);
}

static void
drop_carrier(InvalDdlFrame *frame, Oid class, Oid carrier)
{
	MemoryContext old = MemoryContextSwitchTo(frame->context);
	InvalDefinition *definition = inval_carrier_read(class, carrier);

	if (definition != NULL)
	{
		definition->table = get_rel_name(definition->relation);
		frame->gone = lappend(frame->gone, definition);
	}
	MemoryContextSwitchTo(old);
	if (definition != NULL)
		drop_rule(frame, definition, drop_may_ask(definition));
}

/*
 * Whether the rows of a rule that goes may be looked up: all that it reads and
 * runs may be why it goes.
 */
static bool
drop_may_ask(const InvalDefinition *definition)
{
	ListCell   *lc;

	foreach(lc, inval_ties_of(definition))
	{
		const ObjectAddress *tie = lfirst(lc);

		if (!inval_ddl_may_ask(definition, tie->classId, tie->objectId))
			return false;
	}
	return true;
}

static void
drop_relation(InvalDdlFrame *frame, Oid relid)
{
	switch (get_rel_relkind(relid))
	{
		case RELKIND_INDEX:
			/* That of a toast table may go before it. */
			relid = IndexGetRelation(relid, true);
			if (get_rel_relkind(relid) == RELKIND_TOASTVALUE)
				drop_toast(frame, relid);
			break;
		case RELKIND_TOASTVALUE:
			drop_toast(frame, relid);
			break;
		case RELKIND_RELATION:
		case RELKIND_FOREIGN_TABLE:
		case RELKIND_MATVIEW:
			drop_leaf(frame, relid);
			break;
		default:
			break;
	}
}

static void
drop_toast(InvalDdlFrame *frame, Oid toast)
{
	Oid			owner = inval_catalog_depends_on(RelationRelationId, toast, DEPENDENCY_INTERNAL);

	if (!OidIsValid(owner) || get_rel_persistence(owner) == RELPERSISTENCE_TEMP)
		return;
	drop_readers(frame, owner);
	drop_leaf(frame, owner);
}

/*
 * Queues what the rows of a table owe under the rules that it has, once.
 */
static void
drop_leaf(InvalDdlFrame *frame, Oid relid)
{
	if (get_rel_persistence(relid) == RELPERSISTENCE_TEMP ||
		list_member_oid(frame->scanned, relid))
		return;
	drop_readers_above(frame, relid);
	if (inval_family_is_tracked(relid) && !drop_foreign_table(frame, relid))
		inval_ddl_rows(relid, inval_family_ancestors(relid), INVAL_ROW_OLD, false);
	frame->scanned = inval_ddl_note(frame, frame->scanned, relid);
}

/*
 * What a rule looks up by goes in pieces.  All its carrier depends on goes, so
 * the carrier goes too.
 */
static void
drop_readers(InvalDdlFrame *frame, Oid relid)
{
	ListCell   *lc;

	foreach(lc, inval_ties_readers(RelationRelationId, relid, 0))
	{
		drop_reader(frame, lfirst(lc), relid);
	}
}

/*
 * Queues what all rows owe under a rule that goes because it reads a relation.
 */
static void
drop_reader(InvalDdlFrame *frame, const InvalDefinition *definition, Oid relid)
{
	drop_rule(frame, definition, inval_ddl_may_ask(definition, RelationRelationId, relid));
}

/*
 * Rules that read what a table belongs to stay, but can no longer ask what was in
 * the table, which matters if the transaction goes on.
 */
static void
drop_readers_above(InvalDdlFrame *frame, Oid relid)
{
	ListCell   *lc;

	if (inval_ddl_is_last(T_DropStmt))
		return;
	for_each_from(lc, inval_family_ancestors(relid), 1)
	{
		ListCell   *reader;

		foreach(reader, inval_ties_readers_through(RelationRelationId, lfirst_oid(lc)))
		{
			const InvalDefinition *definition = lfirst(reader);

			/* The rows that go are seen to by themselves. */
			if (definition->relation == lfirst_oid(lc))
				continue;
			if (inval_ddl_may_ask(definition, RelationRelationId, relid))
				drop_rule(frame, definition, true);
			else
				inval_ddl_cannot_ask(definition);
		}
	}
}

/*
 * Queues what all rows owe under a rule, once; if it may look them up, or their
 * table goes, whose own rule it is.
 */
static void
drop_rule(InvalDdlFrame *frame, const InvalDefinition *definition, bool may_ask)
{
	ListCell   *lc;

	if (list_member_oid(frame->scanned_rules, definition->carrier))
		return;
	frame->scanned_rules = inval_ddl_note(frame, frame->scanned_rules, definition->carrier);
	if (!may_ask && !drop_goes(frame, definition->relation))
	{
		inval_ddl_rows_are_lost(definition);
		return;
	}
	if (get_rel_relkind(definition->relation) != RELKIND_MATVIEW)
	{
		foreach(lc, inval_family_leaves(definition->relation, AccessShareLock))
		{
			(void) drop_foreign_table(frame, lfirst_oid(lc));
		}
	}
	inval_ddl_rows_of_rule(definition, frame->scanned);
}

/*
 * Whether a relation goes itself, as far as locks tell: by now the server has
 * locked all that goes.  A table from which only a trigger goes it will lock when
 * it drops that, so what was found is kept.
 */
static bool
drop_goes(InvalDdlFrame *frame, Oid relid)
{
	Relation	relation;
	bool		goes;

	if (list_member_oid(frame->staying, relid))
		return false;
	relation = RelationIdGetRelation(relid);
	if (!RelationIsValid(relation))
		return true;
	goes = CheckRelationLockedByMe(relation, AccessExclusiveLock, false);
	RelationClose(relation);
	if (!goes)
		frame->staying = inval_ddl_note(frame, frame->staying, relid);
	return goes;
}

/*
 * A foreign table is not read: it may be dropped because its server is gone.
 */
static bool
drop_foreign_table(InvalDdlFrame *frame, Oid relid)
{
	if (get_rel_relkind(relid) != RELKIND_FOREIGN_TABLE)
		return false;
	if (list_member_oid(frame->scanned, relid))
		return true;
	frame->scanned = inval_ddl_note(frame, frame->scanned, relid);
	ereport(WARNING,
			(errmsg("keys of the rows of foreign table \"%s\" are not removed",
					get_rel_name(relid)),
			 errhint("TRUNCATE or DETACH it first to have them removed.")));
	return true;
}

static void
drop_tell(List *gone)
{
	const InvalDefinition *first = linitial(gone);
	StringInfoData detail;
	ListCell   *lc;

	if (list_length(gone) == 1)
	{
		ereport(NOTICE,
				(errmsg("drop cascades to the inval rule of table \"%s\" with the key \"%s\"",
						first->table, first->options[RULE_KEY])));
		return;
	}
	initStringInfo(&detail);
	foreach(lc, gone)
	{
		const InvalDefinition *rule = lfirst(lc);

		if (foreach_current_index(lc) == DROP_MAX_TOLD)
		{
			appendStringInfo(&detail, "\nand %d more", list_length(gone) - DROP_MAX_TOLD);
			break;
		}
		appendStringInfo(&detail, "%srule of table \"%s\" with the key \"%s\"",
						 detail.len > 0 ? "\n" : "", rule->table, rule->options[RULE_KEY]);
	}
	ereport(NOTICE,
			(errmsg("drop cascades to %d inval rules", list_length(gone)),
			 errdetail_internal("%s", detail.data)));
}
