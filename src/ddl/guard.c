/*
 * guard.c
 *		What happens when a table with a guarded column is not tracked.
 *
 * The event trigger for the end of commands reports each table that was
 * created or altered.  In mode "track" it is tracked there and then.  In modes
 * "warn" and "error" it is looked at again when the transaction is about to
 * commit, as a deferred constraint is: nobody can track a table in the same
 * breath as creating it, so a migration does the one and then the other.  A
 * table that is created by itself, outside of a transaction block, is looked at
 * at the end of its statement.
 *
 * A dump makes tables first and their rules later, in transactions of their
 * own.  It would meet guards that it has restored before.  So a session that
 * restores a guard is not guarded.  It is known by the guard, which it makes by
 * CREATE SERVER and not by inval_guard, and by check_function_bodies, which
 * pg_dump and pg_restore switch off.  That alone says nothing: tools that have
 * loaded the dump of a schema go on in that session, and some always set it.
 * The other sessions of pg_restore -j make no table and add no column.
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "base/catalog.h"
#include "ddl/guard.h"
#include "rule/family.h"
#include "store/store.h"
#include "store/wrapper.h"

/* A table to look at before the transaction commits */
typedef struct GuardedTable
{
	Oid			relid;
	SubTransactionId subxact;	/* that did something to it */
} GuardedTable;

static List *guarded_tables = NIL;	/* in TopTransactionContext */
static bool tracking = false;	/* our own call of inval_track is running */

static bool restored = false;	/* this session has made a guard by hand */

static Oid	guard_subject(Oid relid);
static void guard_track(Oid relid, const char *column);
static void guard_remember(Oid relid);
static void guard_xact_callback(XactEvent event, void *arg);
static void guard_subxact_callback(SubXactEvent event, SubTransactionId subxact,
								   SubTransactionId parent, void *arg);
static void guard_judge(Oid relid, List *guards, const char *mode);
static bool guard_is_exempt(Oid relid, const InvalStored *guard);
static bool guard_is_like(const char *text, const char *pattern, const char *end);
static char *guard_table_name(Oid relid);

/*
 * A relation was created or altered.  Whatever it is may be passed: what no
 * guard is about is left alone.
 */
void
inval_guard_check(Oid relid)
{
	List	   *guards;
	ListCell   *lc;

	if (tracking || (restored && !check_function_bodies))
		return;
	guards = inval_store_list(INVAL_STORE_GUARD, CurrentMemoryContext);
	if (guards == NIL)
		return;
	relid = guard_subject(relid);
	if (!OidIsValid(relid))
		return;

	foreach(lc, guards)
	{
		const char *column = inval_store_option(lfirst(lc), INVAL_GUARD_COLUMN);
		const char *mode = inval_store_option(lfirst(lc), INVAL_GUARD_MODE);

		if (column == NULL || mode == NULL || get_attnum(relid, column) <= 0)
			continue;
		if (guard_is_exempt(relid, lfirst(lc)))
			continue;
		if (strcmp(mode, INVAL_GUARD_TRACK) != 0)
			guard_remember(relid);
		else if (!inval_family_is_tracked(relid))
			guard_track(relid, column);
	}
}

/*
 * A foreign server was created by a command, and not by inval_guard.
 */
void
inval_guard_restored(Oid server)
{
	ListCell   *lc;

	foreach(lc, inval_store_list(INVAL_STORE_GUARD, CurrentMemoryContext))
		restored |= ((InvalStored *) lfirst(lc))->oid == server;
}

/*
 * What has to be tracked so that the relation is, or invalid if guards are not
 * about such relations.
 */
static Oid
guard_subject(Oid relid)
{
	char		kind = get_rel_relkind(relid);

	if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE &&
		kind != RELKIND_FOREIGN_TABLE)
		return InvalidOid;
	if (relid < FirstNormalObjectId ||
		get_rel_persistence(relid) == RELPERSISTENCE_TEMP ||
		OidIsValid(getExtensionOfObject(RelationRelationId, relid)))
		return InvalidOid;
	if (get_rel_relispartition(relid))
	{
		List	   *ancestors = get_partition_ancestors(relid);

		if (ancestors != NIL)
			return llast_oid(ancestors);
	}
	return relid;
}

/*
 * Tracks the table as its owner would, with the rights of whoever made it.
 */
static void
guard_track(Oid relid, const char *column)
{
	Oid			types[] = {REGCLASSOID, TEXTOID};
	Datum		values[2];

	values[0] = ObjectIdGetDatum(relid);
	values[1] = CStringGetTextDatum(quote_identifier(column));
	SPI_connect();
	tracking = true;
	PG_TRY();
	{
		if (SPI_execute_with_args(psprintf("SELECT %s(relation => $1, columns => $2)",
										   inval_catalog_name("inval_track")),
								  2, types, values, NULL, false, 0) != SPI_OK_SELECT)
			elog(ERROR, "could not call inval_track");
	}
	PG_FINALLY();
	{
		tracking = false;
	}
	PG_END_TRY();
	SPI_finish();
	ereport(NOTICE,
			(errmsg("table %s is now tracked by column \"%s\"",
					guard_table_name(relid), column),
			 errdetail("inval_guard is in mode \"%s\" for this column.", INVAL_GUARD_TRACK),
			 errhint("Call inval_untrack and inval_track if it needs other rules.")));
}

static void
guard_remember(Oid relid)
{
	static bool registered = false;
	MemoryContext old;
	GuardedTable *table;
	ListCell   *lc;

	foreach(lc, guarded_tables)
	{
		if (((GuardedTable *) lfirst(lc))->relid == relid)
			return;
	}
	if (!registered)
	{
		RegisterXactCallback(guard_xact_callback, NULL);
		RegisterSubXactCallback(guard_subxact_callback, NULL);
		registered = true;
	}
	old = MemoryContextSwitchTo(TopTransactionContext);
	table = palloc(sizeof(GuardedTable));
	table->relid = relid;
	table->subxact = GetCurrentSubTransactionId();
	guarded_tables = lappend(guarded_tables, table);
	MemoryContextSwitchTo(old);
}

static void
guard_xact_callback(XactEvent event, void *arg)
{
	List	   *guards;
	ListCell   *lc;

	(void) arg;
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
			if (guarded_tables == NIL || inval_catalog(true) == NULL)
				return;
			/* There is no statement any more whose snapshot would serve. */
			PushActiveSnapshot(GetTransactionSnapshot());
			guards = inval_store_list(INVAL_STORE_GUARD, CurrentMemoryContext);
			/* An error need not be preceded by the warnings of others. */
			foreach(lc, guarded_tables)
			{
				guard_judge(((GuardedTable *) lfirst(lc))->relid, guards, INVAL_GUARD_ERROR);
			}
			foreach(lc, guarded_tables)
			{
				guard_judge(((GuardedTable *) lfirst(lc))->relid, guards, INVAL_GUARD_WARN);
			}
			PopActiveSnapshot();
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			guarded_tables = NIL;	/* its memory goes with the transaction */
			break;
		case XACT_EVENT_PARALLEL_PRE_COMMIT:
		case XACT_EVENT_PARALLEL_COMMIT:
		case XACT_EVENT_PARALLEL_ABORT:
			break;				/* a parallel worker runs no DDL */
	}
}

/*
 * What a savepoint takes back was never done.  The numbers of subtransactions
 * grow, so all that are as high belong to the one that goes.
 */
static void
guard_subxact_callback(SubXactEvent event, SubTransactionId subxact,
					   SubTransactionId parent, void *arg)
{
	ListCell   *lc;

	(void) parent;
	(void) arg;
	if (event != SUBXACT_EVENT_ABORT_SUB)
		return;
	foreach(lc, guarded_tables)
	{
		if (((GuardedTable *) lfirst(lc))->subxact >= subxact)
			guarded_tables = foreach_delete_current(guarded_tables, lc);
	}
}

/*
 * Reports a table that is still there and still not tracked, for the guards of
 * one mode.
 */
static void
guard_judge(Oid relid, List *guards, const char *mode)
{
	ListCell   *lc;

	foreach(lc, guards)
	{
		const char *column = inval_store_option(lfirst(lc), INVAL_GUARD_COLUMN);
		const char *its_mode = inval_store_option(lfirst(lc), INVAL_GUARD_MODE);

		if (column == NULL || its_mode == NULL || strcmp(its_mode, mode) != 0 ||
			get_attnum(relid, column) <= 0 || guard_is_exempt(relid, lfirst(lc)) ||
			inval_family_is_tracked(relid))
			continue;
		ereport(strcmp(mode, INVAL_GUARD_ERROR) == 0 ? ERROR : WARNING,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table %s has column \"%s\" and is not tracked",
						guard_table_name(relid), column),
				 errdetail("inval_guard is in mode \"%s\" for this column.", mode),
				 errhint("Call inval_track(%s, %s) in the same transaction, or name the table, its schema or a pattern such as backup_* in inval_guard(%s, %s, exempt => ...).",
						 quote_literal_cstr(guard_table_name(relid)),
						 quote_literal_cstr(quote_identifier(column)),
						 quote_literal_cstr(mode), quote_literal_cstr(column))));
	}
}

/*
 * Whether the guard leaves a table alone.  A pattern is of the name of a table
 * or of its schema; with a dot, of both: the schema before it, the table after.
 */
static bool
guard_is_exempt(Oid relid, const InvalStored *guard)
{
	const char *literal = inval_store_option(guard, INVAL_GUARD_EXEMPT);
	char	   *table = get_rel_name(relid);
	char	   *schema = get_namespace_name(get_rel_namespace(relid));
	Datum	   *patterns;
	int			count;
	int			i;

	if (literal == NULL || table == NULL || schema == NULL)
		return false;
	deconstruct_array(inval_store_array(literal), TEXTOID, -1, false, TYPALIGN_INT,
					  &patterns, NULL, &count);
	for (i = 0; i < count; i++)
	{
		const char *pattern = TextDatumGetCString(patterns[i]);
		const char *end = pattern + strlen(pattern);
		const char *dot = strchr(pattern, '.');

		CHECK_FOR_INTERRUPTS();
		if (guard_is_like(table, pattern, end) || guard_is_like(schema, pattern, end) ||
			(dot != NULL && guard_is_like(schema, pattern, dot) &&
			 guard_is_like(table, dot + 1, end)))
			return true;
	}
	return false;
}

/*
 * Whether a text is like a pattern, in which "*" stands for any characters.
 * Only the last "*" that was passed is ever gone back to, so the time is at most
 * the product of the lengths.
 */
static bool
guard_is_like(const char *text, const char *pattern, const char *end)
{
	const char *star = NULL;	/* behind the last one */
	const char *from = NULL;	/* what it was tried to end before */

	while (*text != '\0')
	{
		if (pattern < end && *pattern == '*')
		{
			star = ++pattern;
			from = text;
		}
		else if (pattern < end && *pattern == *text)
		{
			pattern++;
			text++;
		}
		else if (star != NULL)
		{
			pattern = star;
			text = ++from;
		}
		else
			return false;
	}
	while (pattern < end && *pattern == '*')
		pattern++;
	return pattern == end;
}

static char *
guard_table_name(Oid relid)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
									  get_rel_name(relid));
}
