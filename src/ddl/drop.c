/*
 * drop.c
 *		DROP: rows that vanish, and what rules cannot do without.
 *
 * Rows must be read before they are gone, whatever takes them: DROP TABLE,
 * DROP SCHEMA, DROP OWNED, a type or a parent that is dropped with CASCADE.  The
 * server says so through object_access_hook, object by object, when it has
 * locked all of them; dependent objects go first.  So the rows of a table are
 * queued when the first thing goes that reading them takes:
 *
 *	- the carrier of a rule: all rows of its relation, under that rule;
 *	- a table, or before it its toast table: its rows, under the rules that
 *	  are left (those of its ancestors);
 *	- a table, view, foreign key, function or policy that a rule looks up by: all
 *	  rows of the rule's table, under that rule.
 *
 * When all is gone, the rules that no longer work are dropped, or the command
 * is refused if it did not say CASCADE.
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/dependency.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_trigger.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "base/catalog.h"
#include "capture/scan.h"
#include "ddl/drop.h"
#include "ddl/equip.h"
#include "ddl/keep.h"
#include "ddl/rename.h"
#include "rule/carrier.h"
#include "rule/family.h"

/* Which rules dropped rows are looked at for */
typedef struct DropFilter
{
	InvalDdlFrame *frame;
	int32		id;				/* 0: any */
} DropFilter;

typedef struct DroppedColumn
{
	Oid			relid;
	const char *name;
} DroppedColumn;

static object_access_hook_type prev_object_access = NULL;

static void drop_object_access(ObjectAccessType access, Oid class, Oid object,
							   int subid, void *arg);
static void drop_server(InvalDdlFrame *frame, Oid server);
static void drop_relation(InvalDdlFrame *frame, Oid relid);
static void drop_toast(InvalDdlFrame *frame, Oid toast);
static void drop_scan_leaf(InvalDdlFrame *frame, Oid relid);
static void drop_scan_rule(InvalDdlFrame *frame, Oid relid, int32 id);
static void drop_scan_lookups(InvalDdlFrame *frame, Oid class, Oid object);
static bool drop_concerns(const InvalOldRule *old, Oid class, Oid object);
static void drop_scan_relation(void *arg, Relation relation);
static void drop_scan(InvalDdlFrame *frame, Oid relid, int32 id);
static bool drop_wants_rule(const InvalDefinition *definition, void *arg);
static List *drop_column_owners(List **columns, bool *triggers);
static bool drop_names_column(InvalDdlFrame *frame, const InvalDefinition *definition,
							  List *columns);
static bool drop_is_cascade(Node *statement);
static void drop_rule(const InvalDefinition *definition, bool cascade);

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
 * Drops the rules that what was dropped leaves without a column, a foreign
 * key or a table that they need; or refuses, unless the command says CASCADE.
 * Sees to triggers that were dropped by hand.  Needs a connection to SPI.
 */
void
inval_ddl_after_drop(InvalDdlFrame *frame, Node *statement)
{
	bool		cascade = drop_is_cascade(statement);
	bool		triggers = false;
	List	   *columns = NIL;
	List	   *owners;
	List	   *candidates = NIL;
	ListCell   *lc;

	/* pg_restore --clean drops what a rule needs, and then the rule. */
	if (inval_ddl_is_restoring())
		return;
	owners = drop_column_owners(&columns, &triggers);
	foreach(lc, owners)
	{
		if (triggers && get_rel_name(lfirst_oid(lc)) != NULL)
			inval_ddl_equip(lfirst_oid(lc));
	}
	foreach(lc, frame->rules)
	{
		candidates = lappend_int(candidates,
								 inval_definition_id(((InvalOldRule *) lfirst(lc))->definition));
	}
	if (owners == NIL && candidates == NIL)
		return;
	foreach(lc, inval_carriers_all())
	{
		const InvalDefinition *definition = lfirst(lc);

		if (get_rel_name(definition->relation) != NULL &&
			(list_member_oid(owners, definition->relation) ||
			 list_member_int(candidates, inval_definition_id(definition))) &&
			(drop_names_column(frame, definition, columns) ||
			 !inval_ddl_rule_works(definition, NULL)))
			drop_rule(definition, cascade);
	}
}

/*
 * Whether a rule names one of the columns that are gone; there may be another
 * of that name by now.
 */
static bool
drop_names_column(InvalDdlFrame *frame, const InvalDefinition *definition, List *columns)
{
	ListCell   *lc;

	foreach(lc, columns)
	{
		const DroppedColumn *column = lfirst(lc);

		if (inval_ddl_names_column(frame, definition, column->relid, column->name))
			return true;
	}
	return false;
}

static void
drop_object_access(ObjectAccessType access, Oid class, Oid object, int subid, void *arg)
{
	InvalDdlFrame *frame = access == OAT_DROP ? inval_ddl_frame() : NULL;

	if (prev_object_access)
		prev_object_access(access, class, object, subid, arg);
	if (frame == NULL || frame->drops_extension || subid != 0 ||
		(((ObjectAccessDrop *) arg)->dropflags & PERFORM_DELETION_INTERNAL) ||
		inval_carrier_is_dropping() || inval_catalog(true) == NULL)
		return;

	if (class == TriggerRelationId)
	{
		const InvalDefinition *definition = inval_carrier_of_trigger(object);

		if (definition != NULL)
			drop_scan_rule(frame, definition->relation, inval_definition_id(definition));
	}
	else if (class == ForeignServerRelationId)
		drop_server(frame, object);
	else
	{
		drop_scan_lookups(frame, class, object);
		if (class == RelationRelationId)
			drop_relation(frame, object);
	}
}

/*
 * A server may carry the rule of a materialized view.
 */
static void
drop_server(InvalDdlFrame *frame, Oid server)
{
	ListCell   *lc;

	foreach(lc, inval_carriers_all())
	{
		const InvalDefinition *definition = lfirst(lc);

		if (definition->carrier == server &&
			get_rel_relkind(definition->relation) == RELKIND_MATVIEW)
			drop_scan(frame, definition->relation, inval_definition_id(definition));
	}
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
			drop_scan_leaf(frame, relid);
			break;
		default:
			break;
	}
}

static void
drop_toast(InvalDdlFrame *frame, Oid toast)
{
	Oid			owner = inval_catalog_depends_on(RelationRelationId, toast, DEPENDENCY_INTERNAL);

	drop_scan_lookups(frame, RelationRelationId, owner);
	drop_scan_leaf(frame, owner);
}

/*
 * Queues what the rows of a table owe under the rules that it has, once.
 */
static void
drop_scan_leaf(InvalDdlFrame *frame, Oid relid)
{
	MemoryContext old;

	if (!OidIsValid(relid) || list_member_oid(frame->scanned, relid) ||
		get_rel_persistence(relid) == RELPERSISTENCE_TEMP)
		return;
	old = MemoryContextSwitchTo(frame->context);
	frame->scanned = lappend_oid(frame->scanned, relid);
	MemoryContextSwitchTo(old);
	drop_scan(frame, relid, 0);
}

/*
 * Queues what all rows of a table, and of what belongs to it, owe under one
 * rule.
 */
static void
drop_scan_rule(InvalDdlFrame *frame, Oid relid, int32 id)
{
	ListCell   *lc;

	/* A leaf that was read under all its rules may have lost its toast table. */
	foreach(lc, get_rel_relkind(relid) == RELKIND_MATVIEW ? list_make1_oid(relid) :
			inval_family_leaves(relid, AccessShareLock))
	{
		if (!list_member_oid(frame->scanned, lfirst_oid(lc)))
			drop_scan(frame, lfirst_oid(lc), id);
	}
}

/*
 * Something goes in which rules look up: applies them while they still can.
 */
static void
drop_scan_lookups(InvalDdlFrame *frame, Oid class, Oid object)
{
	ListCell   *lc;

	foreach(lc, frame->rules)
	{
		InvalOldRule *old = lfirst(lc);

		if (old->scanned || !drop_concerns(old, class, object))
			continue;
		if (get_rel_name(old->definition->relation) != NULL)
			drop_scan_rule(frame, old->definition->relation, (int32) old->rule.id);
		old->scanned = true;
	}
}

/*
 * Whether a rule may need an object to look up what it does.  Parts of a view
 * and of row security go before the relation does.
 */
static bool
drop_concerns(const InvalOldRule *old, Oid class, Oid object)
{
	switch (class)
	{
		case RelationRelationId:
			return list_member_oid(old->reads, object);
		case ConstraintRelationId:
			return list_member_oid(old->constraints, object);
		case ProcedureRelationId:
			return list_member_oid(old->functions, object);
		case RewriteRelationId:
		case PolicyRelationId:
			return list_member_oid(old->reads, inval_catalog_relation_of(class, object));
		default:
			return false;
	}
}

/*
 * Queues what the rows of a leaf owe, under one rule or (0) under all of them.
 * A foreign table is not read: it may be dropped because its server is gone.
 */
static void
drop_scan(InvalDdlFrame *frame, Oid relid, int32 id)
{
	DropFilter	filter = {frame, id};
	Relation	relation;

	if (!inval_family_is_tracked(relid))
		return;
	relation = relation_open(relid, AccessShareLock);
	inval_ddl_try(drop_scan_relation, &filter, relation);
	relation_close(relation, NoLock);
}

static void
drop_scan_relation(void *arg, Relation relation)
{
	DropFilter *filter = arg;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "inval dropped rows",
												  ALLOCSET_SMALL_SIZES);
	InvalRelationRules *rules;

	rules = inval_rules_from(relation, inval_family_ancestors(RelationGetRelid(relation)),
							 drop_wants_rule, filter, context);
	if (rules->nrules == 0)
		 /* nothing to do */ ;
	else if (relation->rd_rel->relkind == RELKIND_FOREIGN_TABLE)
		ereport(WARNING,
				(errmsg("keys of the rows of foreign table \"%s\" are not removed",
						RelationGetRelationName(relation)),
				 errhint("TRUNCATE or DETACH it first to have them removed.")));
	else
		inval_scan_relation(relation, rules, INVAL_ROW_OLD);
	MemoryContextDelete(context);
}

/*
 * A rule that has lost what it looks up was applied before that went; one that
 * did not work anyway must not keep its table from being dropped.
 */
static bool
drop_wants_rule(const InvalDefinition *definition, void *arg)
{
	DropFilter *filter = arg;
	int32		id = inval_definition_id(definition);
	ListCell   *lc;

	if (filter->id != 0 && filter->id != id)
		return false;
	foreach(lc, filter->frame->rules)
	{
		InvalOldRule *old = lfirst(lc);

		if (old->scanned && (int32) old->rule.id == id)
			return false;
	}
	return inval_ddl_rule_works(definition, NULL);
}

/*
 * The tables that have lost a column (DroppedColumn, for "columns"), or a
 * trigger of ours (then "triggers" is set), and are still there.
 */
static List *
drop_column_owners(List **columns, bool *triggers)
{
	List	   *owners = NIL;
	SPITupleTable *dropped;
	uint64		count;
	uint64		i;

	if (SPI_execute("SELECT objid, address_names[1], address_names[2], address_names[3],"
					" object_type OPERATOR(pg_catalog.=) 'trigger'"
					" FROM pg_catalog.pg_event_trigger_dropped_objects()"
					" WHERE object_type OPERATOR(pg_catalog.=)"
					" ANY ('{table column,foreign table column,trigger}')",
					true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not get the objects that were dropped");
	dropped = SPI_tuptable;
	count = SPI_processed;
	for (i = 0; i < count; i++)
	{
		bool		isnull;
		HeapTuple	row = dropped->vals[i];
		bool		is_trigger = DatumGetBool(SPI_getbinval(row, dropped->tupdesc, 5, &isnull));
		Oid			relid = DatumGetObjectId(SPI_getbinval(row, dropped->tupdesc, 1, &isnull));

		if (is_trigger)
		{
			char	   *schema = SPI_getvalue(row, dropped->tupdesc, 2);
			char	   *table = SPI_getvalue(row, dropped->tupdesc, 3);
			char	   *name = SPI_getvalue(row, dropped->tupdesc, 4);

			if (strncmp(name, "00_inval_", strlen("00_inval_")) != 0)
				continue;
			relid = get_relname_relid(table, get_namespace_oid(schema, true));
			*triggers = true;
		}
		else
		{
			DroppedColumn *column = palloc(sizeof(DroppedColumn));

			column->relid = relid;
			column->name = SPI_getvalue(row, dropped->tupdesc, 4);
			*columns = lappend(*columns, column);
		}
		if (OidIsValid(relid))
			owners = list_append_unique_oid(owners, relid);
	}
	return owners;
}

static bool
drop_is_cascade(Node *statement)
{
	ListCell   *lc;

	switch (nodeTag(statement))
	{
		case T_DropStmt:
			return ((DropStmt *) statement)->behavior == DROP_CASCADE;
		case T_DropOwnedStmt:
			return ((DropOwnedStmt *) statement)->behavior == DROP_CASCADE;
		case T_AlterTableStmt:
			foreach(lc, ((AlterTableStmt *) statement)->cmds)
			{
				if (((AlterTableCmd *) lfirst(lc))->behavior == DROP_CASCADE)
					return true;
			}
			return false;
		default:
			return false;
	}
}

static void
drop_rule(const InvalDefinition *definition, bool cascade)
{
	const char *table = get_rel_name(definition->relation);
	int32		id = inval_definition_id(definition);

	if (!cascade)
		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("cannot drop what an inval rule needs"),
				 errdetail("Rule %d of table \"%s\" has the key \"%s\".", id, table,
						   definition->options[RULE_KEY]),
				 errhint("Use CASCADE to drop the rule too, or SELECT inval_untrack_rule(%d).", id)));
	ereport(NOTICE,
			(errmsg("drop cascades to inval rule %d of table \"%s\"", id, table)));
	inval_carrier_drop(definition);
	inval_ddl_equip(definition->relation);
}
