/*
 * command_guard.c
 *		Commands of the server that inval has to know of.
 *
 * DROP DATABASE, ALTER DATABASE … RENAME, ALTER DATABASE … SET TABLESPACE and
 * CREATE DATABASE … TEMPLATE refuse to run while somebody is connected, after
 * having waited for five seconds (CountOtherDBBackends).  Before such a
 * command runs, the worker of that database is ended and its next start put
 * off; the server's own wait covers the moment that takes.
 *
 * TRUNCATE of a foreign table fires no trigger before version 16, so what its
 * rows owe is queued here.
 *
 * REFRESH MATERIALIZED VIEW would empty the outbox.  Functions that refresh all
 * materialized views there are come by it, so here the command does nothing.
 * In a session that did not have this library when the command began, the
 * query of the outbox refuses to run (inval_outbox_source).
 */
#include "postgres.h"

#include <signal.h>

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "catalog/pg_database.h"
#include "catalog/pg_inherits.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "nodes/parsenodes.h"
#include "miscadmin.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "base/catalog.h"
#include "base/database.h"
#include "base/origin.h"
#include "base/rights.h"
#include "base/shared.h"
#include "capture/scan.h"
#include "ddl/command_guard.h"
#include "rule/family.h"
#include "target/health.h"
#include "version/server.h"

/* How long the worker stays away: longer than the command may wait. */
#define HOLD_MS		10000

static ProcessUtility_hook_type prev_process_utility = NULL;

static void guard_process_utility(PlannedStmt *pstmt, const char *query_string,
								  bool read_only_tree,
								  ProcessUtilityContext context,
								  ParamListInfo params,
								  QueryEnvironment *query_env,
								  DestReceiver *dest, QueryCompletion *qc);
static const char *guard_database_of(Node *statement);
static const char *guard_option(List *options, const char *name);
static bool guard_may(Oid database, bool copy);
static void guard_end_worker(const char *name, bool copy);
static bool guard_skips_refresh(RefreshMatViewStmt *statement);
static void guard_foreign_tables(TruncateStmt *statement);
static void guard_foreign_table(Oid relid);

/*
 * Called by _PG_init.
 */
void
inval_command_guard_init(void)
{
	prev_process_utility = ProcessUtility_hook;
	ProcessUtility_hook = guard_process_utility;
}

static void
guard_process_utility(PlannedStmt *pstmt, const char *query_string,
					  bool read_only_tree, ProcessUtilityContext context,
					  ParamListInfo params, QueryEnvironment *query_env,
					  DestReceiver *dest, QueryCompletion *qc)
{
	if (inval_shared_is_preloaded())	/* else there is no worker */
	{
		const char *name = guard_database_of(pstmt->utilityStmt);

		if (name != NULL)
			guard_end_worker(name, IsA(pstmt->utilityStmt, CreatedbStmt));
	}
	if (IsA(pstmt->utilityStmt, RefreshMatViewStmt) &&
		guard_skips_refresh((RefreshMatViewStmt *) pstmt->utilityStmt))
	{
		if (qc != NULL)
			SetQueryCompletion(qc, CMDTAG_REFRESH_MATERIALIZED_VIEW, 0);
		return;
	}
	if (!INVAL_SERVER_FOREIGN_TRUNCATE_TRIGGERS && IsA(pstmt->utilityStmt, TruncateStmt))
		guard_foreign_tables((TruncateStmt *) pstmt->utilityStmt);
	if (prev_process_utility)
		prev_process_utility(pstmt, query_string, read_only_tree, context,
							 params, query_env, dest, qc);
	else
		standard_ProcessUtility(pstmt, query_string, read_only_tree, context,
								params, query_env, dest, qc);
}

/*
 * The database that a command wants alone, or NULL.
 */
static const char *
guard_database_of(Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_DropdbStmt:
			return ((DropdbStmt *) statement)->dbname;
		case T_RenameStmt:
			if (((RenameStmt *) statement)->renameType == OBJECT_DATABASE)
				return ((RenameStmt *) statement)->subname;
			return NULL;
		case T_AlterDatabaseStmt:
			if (guard_option(((AlterDatabaseStmt *) statement)->options, "tablespace"))
				return ((AlterDatabaseStmt *) statement)->dbname;
			return NULL;
		case T_CreatedbStmt:
			{
				const char *template = guard_option(((CreatedbStmt *) statement)->options,
													"template");

				return template ? template : "template1";
			}
		default:
			return NULL;
	}
}

static const char *
guard_option(List *options, const char *name)
{
	ListCell   *lc;

	foreach(lc, options)
	{
		DefElem    *option = lfirst(lc);

		if (strcmp(option->defname, name) == 0 && option->arg != NULL)
			return defGetString(option);
	}
	return NULL;
}

/*
 * Whether the command can succeed at all: who may not drop or copy a database
 * must not be able to end its worker either.
 */
static bool
guard_may(Oid database, bool copy)
{
	HeapTuple	tuple;
	bool		may;

	may = inval_server_owns_database(database, GetUserId());
	if (may || !copy)
		return may;

	/* A template may be copied by all who may create databases. */
	tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(GetUserId()));
	if (HeapTupleIsValid(tuple))
	{
		may = ((Form_pg_authid) GETSTRUCT(tuple))->rolcreatedb;
		ReleaseSysCache(tuple);
	}
	tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(database));
	if (HeapTupleIsValid(tuple))
	{
		may = may && ((Form_pg_database) GETSTRUCT(tuple))->datistemplate;
		ReleaseSysCache(tuple);
	}
	return may;
}

static void
guard_end_worker(const char *name, bool copy)
{
	slock_t    *mutex = inval_shared_mutex();
	Oid			database = get_database_oid(name, true);
	uint32		count;
	InvalDatabase *slots = inval_databases(&count);
	uint32		targets;
	InvalTargetHealth *healths = inval_target_healths(&targets);
	uint32		i;

	if (!OidIsValid(database) || !guard_may(database, copy))
		return;
	SpinLockAcquire(mutex);
	for (i = 0; i < count; i++)
	{
		InvalDatabase *slot = &slots[i];

		if (slot->database != database)
			continue;
		slot->hold_until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), HOLD_MS);
	}
	SpinLockRelease(mutex);
	for (i = 0; i < targets; i++)
	{
		InvalTargetHealth *target = &healths[i];
		pid_t		pid = target->worker_pid;

		if (target->database == database && pid != 0)
			(void) kill(pid, SIGTERM);
	}
}

/*
 * Whether the command is about the outbox, and nothing is to be done.  Who may
 * not refresh it gets the server's error.
 */
static bool
guard_skips_refresh(RefreshMatViewStmt *statement)
{
	Oid			relid = RangeVarGetRelid(statement->relation, NoLock, true);

	if (!OidIsValid(relid) || !inval_catalog_is_outbox(relid) ||
		!inval_rights_may_refresh(relid))
		return false;
	ereport(NOTICE,
			(errmsg("\"%s\" was left as it is", get_rel_name(relid)),
			 errdetail("It is part of the outbox of inval and holds queued invalidations, which a REFRESH would lose.")));
	return true;
}

static void
guard_foreign_tables(TruncateStmt *statement)
{
	ListCell   *lc;

	if (!IsTransactionState() || inval_catalog(true) == NULL)
		return;
	foreach(lc, statement->relations)
	{
		RangeVar   *name = lfirst(lc);
		Oid			relid = RangeVarGetRelid(name, NoLock, true);
		ListCell   *child;

		if (!OidIsValid(relid) ||
			pg_class_aclcheck(relid, GetUserId(), ACL_TRUNCATE) != ACLCHECK_OK)
			continue;
		foreach(child, name->inh ? find_all_inheritors(relid, NoLock, NULL) :
				list_make1_oid(relid))
		{
			if (get_rel_relkind(lfirst_oid(child)) == RELKIND_FOREIGN_TABLE &&
				inval_family_is_tracked(lfirst_oid(child)))
				guard_foreign_table(lfirst_oid(child));
		}
	}
}

/*
 * Queues what the rows of a foreign table owe that is about to be truncated,
 * under the lock that TRUNCATE takes.
 */
static void
guard_foreign_table(Oid relid)
{
	Relation	relation = try_relation_open(relid, AccessExclusiveLock);

	if (relation == NULL)
		return;
	PushActiveSnapshot(GetTransactionSnapshot());
	inval_origin_saw(INVAL_BY_TRUNCATE);
	inval_scan_relation(relation, inval_rules_of(relation), INVAL_ROW_OLD);
	PopActiveSnapshot();
	relation_close(relation, NoLock);
}
