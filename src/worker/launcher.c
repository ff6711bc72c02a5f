/*
 * launcher.c
 *		Starts one worker for each database that has the extension, and one for
 *		each further target in it.
 *
 * Which databases have it cannot be seen from outside, so when the server has
 * started each database is visited once, by a worker that leaves again if
 * there is nothing for it.  After that the launcher does nothing until a
 * session wakes it: a slot in shared memory without a worker is a request for
 * one (CREATE EXTENSION makes it, and so does any transaction that queues
 * something).  A worker that leaves because there is no extension gives the
 * slot back; one that died leaves it, and is started anew.
 *
 * The launcher starts when recovery has ended, so a standby stays quiet until
 * it is promoted.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "base/database.h"
#include "base/settings.h"
#include "base/shared.h"
#include "target/health.h"
#include "target/targets.h"
#include "worker/forget.h"
#include "worker/launcher.h"

/* A worker that died is started again after this time. */
#define RESTART_PAUSE_MS	1000

/*
 * Who has to wait for others to end is no reason to complain, unless for that long
 * none has ended: who was asked for, and who is only to look.
 */
#define PATIENCE_MS			1000
#define VISIT_PATIENCE_MS	10000

/* How often the list of databases is read without being asked to. */
#define RESCAN_MS			60000

/* A worker that runs, or might: one for each target of a database */
typedef struct LauncherKey
{
	Oid			database;
	int32		target;			/* its number; 0: "default", always wanted */
} LauncherKey;

typedef struct LauncherWorker
{
	LauncherKey key;
	bool		exists;			/* at the last look at pg_database */
	bool		visited;		/* a worker was there since the server started */
	bool		asked;			/* somebody asks for it: it is no mere visit */
	BackgroundWorkerHandle *handle; /* NULL: none is running */
	TimestampTz not_before;		/* of the next start */
} LauncherWorker;

static HTAB *launcher_workers = NULL;
static bool launcher_full = false;
static TimestampTz launcher_last_change = 0;	/* a worker was started or ended */

static void launcher_start(void);
static void launcher_exit(int code, Datum arg);
static bool launcher_meets_new_database(void);
static LauncherWorker *launcher_enter(LauncherKey key);
static void launcher_read_databases(void);
static long launcher_tend(void);
static List *launcher_take_stock(int *running);
static void launcher_note_targets(void);
static bool launcher_wants_worker(LauncherWorker *db);
static bool launcher_database_exists(LauncherWorker *db);
static bool launcher_start_worker(LauncherWorker *db);
static void launcher_request_callback(XactEvent event, void *arg);

static bool request_pending = false;

/*
 * Called by _PG_init: registers the launcher, if the library is preloaded.
 */
void
inval_launcher_init(void)
{
	BackgroundWorker worker = {0};

	/* pg_upgrade starts servers that must be left alone. */
	if (!process_shared_preload_libraries_in_progress || IsBinaryUpgrade)
		return;
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = 1;
	strlcpy(worker.bgw_library_name, "inval", sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, "inval_launcher_main",
			sizeof(worker.bgw_function_name));
	strlcpy(worker.bgw_name, "inval launcher", sizeof(worker.bgw_name));
	strlcpy(worker.bgw_type, "inval launcher", sizeof(worker.bgw_type));
	RegisterBackgroundWorker(&worker);
}

/*
 * Asks for a worker in this database once the current transaction commits.
 */
void
inval_launcher_request_worker(void)
{
	static bool registered = false;

	(void) inval_database();
	if (!registered)
		RegisterXactCallback(launcher_request_callback, NULL);
	registered = true;
	request_pending = true;
}

static void
launcher_request_callback(XactEvent event, void *arg)
{
	(void) arg;
	if (!request_pending || event == XACT_EVENT_PRE_COMMIT)
		return;
	request_pending = false;
	if (event == XACT_EVENT_COMMIT)
	{
		/* A worker that came too early may have given the slot back. */
		(void) inval_database();
		inval_database_wake_launcher();
	}
}

void
inval_launcher_main(Datum arg)
{
	TimestampTz next_scan = 0;

	(void) arg;
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	launcher_start();

	while (!ShutdownRequestPending)
	{
		long		timeout;

		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
		if (GetCurrentTimestamp() >= next_scan || launcher_meets_new_database())
		{
			launcher_read_databases();
			next_scan = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), RESCAN_MS);
		}
		timeout = launcher_tend();
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 Min(timeout, RESCAN_MS), PG_WAIT_EXTENSION);
	}
	/* With any other status the postmaster would not start it again. */
	proc_exit(1);
}

static void
launcher_start(void)
{
	HASHCTL		ctl = {0};

	ctl.keysize = sizeof(LauncherKey);
	ctl.entrysize = sizeof(LauncherWorker);
	launcher_workers = hash_create("inval workers", 64, &ctl,
									 HASH_ELEM | HASH_BLOBS);
	inval_database_set_launcher(MyLatch);
	before_shmem_exit(launcher_exit, (Datum) 0);
}

static void
launcher_exit(int code, Datum arg)
{
	(void) code;
	(void) arg;
	inval_database_set_launcher(NULL);
}

/*
 * Whether a database asks for a worker that was not there when the list was
 * read.
 */
static bool
launcher_meets_new_database(void)
{
	uint32		count;
	InvalDatabase *slots = inval_databases(&count);
	uint32		i;

	for (i = 0; i < count; i++)
	{
		/* Read without the mutex: at worst we look once too often. */
		LauncherKey key = {slots[i].database, 0};
		LauncherWorker *db;

		if (!OidIsValid(key.database))
			continue;
		db = hash_search(launcher_workers, &key, HASH_FIND, NULL);
		if (db == NULL || !db->exists)
			return true;
	}
	return false;
}

/*
 * What is known of a worker, made on first use.
 */
static LauncherWorker *
launcher_enter(LauncherKey key)
{
	bool		found;
	LauncherWorker *worker = hash_search(launcher_workers, &key, HASH_ENTER, &found);

	if (!found)
	{
		memset(worker, 0, sizeof(*worker));
		worker->key = key;
	}
	return worker;
}

/*
 * Reads pg_database: new ones are to be visited, what belonged to dropped ones
 * is given back.
 */
static void
launcher_read_databases(void)
{
	Relation	relation;
	TableScanDesc scan;
	HeapTuple	tuple;
	HASH_SEQ_STATUS status;
	LauncherWorker *db;

	hash_seq_init(&status, launcher_workers);
	while ((db = hash_seq_search(&status)) != NULL)
		db->exists = db->exists && db->key.target != 0;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	relation = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(relation, 0, NULL);
	while (HeapTupleIsValid(tuple = heap_getnext(scan, ForwardScanDirection)))
	{
		Form_pg_database form = (Form_pg_database) GETSTRUCT(tuple);
		LauncherKey key = {form->oid, 0};

		if (form->datallowconn)
			launcher_enter(key)->exists = true;
	}
	table_endscan(scan);
	table_close(relation, AccessShareLock);
	CommitTransactionCommand();

	hash_seq_init(&status, launcher_workers);
	while ((db = hash_seq_search(&status)) != NULL)
		if (!db->exists && db->handle == NULL)
		{
			if (db->key.target == 0)
				inval_forget_database(db->key.database);
			(void) hash_search(launcher_workers, &db->key, HASH_REMOVE, NULL);
		}
}

/*
 * Notices workers that ended and starts those that are wanted.  Returns in how
 * many ms there is something to do again.
 */
static long
launcher_tend(void)
{
	int			running = 0;
	List	   *wanted = launcher_take_stock(&running);
	TimestampTz now = GetCurrentTimestamp();
	long		timeout = RESCAN_MS;
	ListCell   *lc;

	foreach(lc, wanted)
	{
		LauncherWorker *db = lfirst(lc);

		if (now < db->not_before)
			timeout = Min(timeout, TimestampDifferenceMilliseconds(now, db->not_before) + 1);
		else if (!launcher_database_exists(db))
			continue;
		else if (running < inval_workers && launcher_start_worker(db))
		{
			running++;
			launcher_last_change = now;
			launcher_full = false;
		}
		else
		{
			timeout = Min(timeout, RESTART_PAUSE_MS);
			if (!TimestampDifferenceExceeds(launcher_last_change, now,
											db->asked ? PATIENCE_MS : VISIT_PATIENCE_MS))
				continue;
			if (!launcher_full)
				ereport(LOG,
						(errmsg("inval has no worker for every database and target that wants one"),
						 errhint("Raise inval.workers or max_worker_processes.")));
			launcher_full = true;
		}
	}
	list_free(wanted);
	return timeout;
}

/*
 * Learns from shared memory which targets want a worker of their own.
 */
static void
launcher_note_targets(void)
{
	uint32		count;
	InvalTargetHealth *healths = inval_target_healths(&count);
	HASH_SEQ_STATUS status;
	LauncherWorker *worker;
	uint32		i;

	hash_seq_init(&status, launcher_workers);
	while ((worker = hash_seq_search(&status)) != NULL)
		if (worker->key.target != 0)
			worker->exists = false;
	for (i = 0; i < count; i++)
	{
		InvalTargetHealth *target = &healths[i];
		LauncherKey key = {target->database, inval_target_number(target->name)};

		if (OidIsValid(key.database) && key.target != 0 && target->wanted)
			launcher_enter(key)->exists = true;
	}
}

/*
 * Lists the workers that are wanted, those that somebody asks for first, and
 * counts those that run.
 */
static List *
launcher_take_stock(int *running)
{
	HASH_SEQ_STATUS status;
	LauncherWorker *db;
	List	   *wanted = NIL;
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

	launcher_note_targets();
	hash_seq_init(&status, launcher_workers);
	while ((db = hash_seq_search(&status)) != NULL)
	{
		pid_t		pid;
		bool		ended = false;

		if (db->handle != NULL &&
			GetBackgroundWorkerPid(db->handle, &pid) == BGWH_STOPPED)
		{
			pfree(db->handle);
			db->handle = NULL;
			ended = true;
			launcher_last_change = GetCurrentTimestamp();
		}
		if (db->handle != NULL)
			(*running)++;
		else if (db->exists && launcher_wants_worker(db))
		{
			/* One that has nothing to do gives its slot back: this one died. */
			if (ended)
				db->not_before = Max(db->not_before,
									 TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
																 RESTART_PAUSE_MS));
			wanted = db->asked ? lcons(db, wanted) : lappend(wanted, db);
		}
	}
	MemoryContextSwitchTo(old);
	return wanted;
}

/*
 * Whether a database should have a worker and has none: it was not visited
 * yet, or it has a slot.  While somebody wants the database for themselves
 * (ddl/command_guard.c), the start is put off.
 */
static bool
launcher_wants_worker(LauncherWorker *db)
{
	slock_t    *mutex = inval_shared_mutex();
	uint32		count;
	InvalDatabase *slots = inval_databases(&count);
	uint32		targets;
	InvalTargetHealth *healths = inval_target_healths(&targets);
	bool		has_one = false;
	uint32		i;

	db->asked = db->key.target != 0;
	SpinLockAcquire(mutex);
	for (i = 0; i < count; i++)
	{
		InvalDatabase *slot = &slots[i];

		if (slot->database != db->key.database)
			continue;
		db->asked = true;
		db->not_before = Max(db->not_before, slot->hold_until);
	}
	/* It may be one that a launcher before this one has started. */
	for (i = 0; i < targets; i++)
	{
		InvalTargetHealth *slot = &healths[i];

		if (slot->database == db->key.database && slot->worker_pid != 0 &&
			inval_target_number(slot->name) == db->key.target)
			has_one = true;
	}
	SpinLockRelease(mutex);
	return (db->asked || !db->visited) && !has_one;
}

/*
 * Whether a database is still there, so that no worker is started in vain.
 */
static bool
launcher_database_exists(LauncherWorker *db)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	db->exists = SearchSysCacheExists1(DATABASEOID, ObjectIdGetDatum(db->key.database));
	CommitTransactionCommand();
	return db->exists;
}

static bool
launcher_start_worker(LauncherWorker *db)
{
	BackgroundWorker worker = {0};
	MemoryContext old;
	bool		started;

	StaticAssertStmt(sizeof(db->key.target) <= BGW_EXTRALEN, "no room for the target");

	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;	/* that is for us to do */
	worker.bgw_notify_pid = MyProcPid;
	worker.bgw_main_arg = ObjectIdGetDatum(db->key.database);
	strlcpy(worker.bgw_library_name, "inval", sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, "inval_worker_main",
			sizeof(worker.bgw_function_name));
	memcpy(worker.bgw_extra, &db->key.target, sizeof(db->key.target));
	snprintf(worker.bgw_name, sizeof(worker.bgw_name),
			 db->key.target == 0 ? "inval worker for database %u" :
			 "inval worker for database %u, target %d", db->key.database, db->key.target);
	strlcpy(worker.bgw_type, "inval worker", sizeof(worker.bgw_type));

	old = MemoryContextSwitchTo(TopMemoryContext);
	started = RegisterDynamicBackgroundWorker(&worker, &db->handle);
	MemoryContextSwitchTo(old);
	if (started)
		db->visited = true;
	else
		db->handle = NULL;
	return started;
}
