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
 * Where there are more databases and targets than workers may run, they take
 * turns.  The launcher says in shared memory how many wait; a worker that has
 * nothing to do, or has had its time, leaves, and has said when one must come
 * back at the latest.  Who has waited longest comes next.  So a database that
 * needs no worker has none, and nobody waits for longer than it takes those
 * before them to have had their time (worker/station.c).
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
	int32		target;			/* its number; 0: "default" */
} LauncherKey;

typedef struct LauncherWorker
{
	LauncherKey key;
	bool		exists;			/* at the last look at pg_database; target */
	bool		visited;		/* a worker was there since the server started */
	BackgroundWorkerHandle *handle; /* NULL: none is running */
	TimestampTz not_before;		/* of the next start */
	TimestampTz since;			/* it waits for a place; 0: it does not */

	/* As shared memory has it */
	bool		asked;			/* somebody asks for it: it is no mere visit */
	bool		present;		/* one is there, whoever has started it */
	bool		left;			/* the last one has left, to come back at: */
	TimestampTz visit_at;
	TimestampTz hold_until;		/* of a database, in the entry of "default" */
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
static void launcher_complain(const LauncherWorker *db, TimestampTz now);
static void launcher_wake_workers(void);
static void launcher_note_requests(void);
static LauncherWorker *launcher_find(Oid database, int32 target);
static List *launcher_take_stock(int *running, long *timeout);
static int	launcher_compare(const ListCell *a, const ListCell *b);
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
		LauncherWorker *db = launcher_find(slots[i].database, 0);

		if (OidIsValid(slots[i].database) && (db == NULL || !db->exists))
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
 * Notices workers that ended and starts those that are wanted, as long as there
 * is room; then says how many wait for it.  Returns in how many ms there is
 * something to do again.
 */
static long
launcher_tend(void)
{
	int			running = 0;
	long		timeout = RESCAN_MS;
	List	   *wanted = launcher_take_stock(&running, &timeout);
	TimestampTz now = GetCurrentTimestamp();
	uint32		waiting = 0;
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
			db->since = 0;
			launcher_last_change = now;
			launcher_full = false;
		}
		else
		{
			/* Who has nothing to do comes back when there is room. */
			if (!db->asked && db->visited)
				break;
			timeout = Min(timeout, RESTART_PAUSE_MS);
			waiting++;
			launcher_complain(db, now);
		}
	}
	list_free(wanted);
	inval_database_say_waiting(waiting);
	if (waiting > 0)
		launcher_wake_workers();
	return timeout;
}

/*
 * Nobody makes room, although workers do as soon as they can.
 */
static void
launcher_complain(const LauncherWorker *db, TimestampTz now)
{
	if (launcher_full ||
		!TimestampDifferenceExceeds(launcher_last_change, now,
									db->asked ? PATIENCE_MS : VISIT_PATIENCE_MS))
		return;
	launcher_full = true;
	ereport(LOG,
			(errmsg("inval has no worker for every database and target that wants one"),
			 errhint("Raise inval.workers or max_worker_processes.")));
}

/*
 * So that those who sleep see that somebody waits.
 */
static void
launcher_wake_workers(void)
{
	uint32		count;
	InvalTargetHealth *healths = inval_target_healths(&count);
	uint32		i;

	for (i = 0; i < count; i++)
	{
		Latch	   *latch;

		if (healths[i].worker_pid == 0)
			continue;
		SpinLockAcquire(&healths[i].mutex);
		latch = healths[i].worker_latch;
		SpinLockRelease(&healths[i].mutex);
		if (latch != NULL)
			SetLatch(latch);
	}
}

/*
 * Learns from shared memory who asks for a worker and who has one.  While somebody
 * wants a database for themselves (ddl/command_guard.c), the start is put off.
 */
static void
launcher_note_requests(void)
{
	TimestampTz now = GetCurrentTimestamp();
	uint32		count;
	InvalDatabase *slots = inval_databases(&count);
	uint32		targets;
	InvalTargetHealth *healths = inval_target_healths(&targets);
	HASH_SEQ_STATUS status;
	LauncherWorker *worker;
	uint32		i;

	hash_seq_init(&status, launcher_workers);
	while ((worker = hash_seq_search(&status)) != NULL)
	{
		worker->asked = worker->present = worker->left = false;
		worker->hold_until = 0;
		worker->exists = worker->exists && worker->key.target == 0;
	}
	for (i = 0; i < count; i++)
	{
		/* Read without the mutex: at worst we look once more. */
		worker = launcher_find(slots[i].database, 0);
		if (worker == NULL)
			continue;
		worker->asked = true;
		worker->hold_until = slots[i].hold_until;
	}
	for (i = 0; i < targets; i++)
	{
		InvalTargetHealth *health = &healths[i];
		LauncherKey key = {health->database, inval_target_number(health->name)};
		LauncherWorker *database = launcher_find(key.database, 0);

		if (!OidIsValid(key.database) || database == NULL || !database->exists)
			continue;
		worker = launcher_enter(key);
		worker->exists = true;
		worker->present = health->worker_pid != 0;
		worker->visit_at = health->visit_at;
		worker->left = worker->visit_at != 0;
		worker->asked = pg_atomic_read_u32(&health->work) != 0 || now >= worker->visit_at;
		worker->not_before = Max(worker->not_before, database->hold_until);
	}
}

static LauncherWorker *
launcher_find(Oid database, int32 target)
{
	LauncherKey key = {database, target};

	return hash_search(launcher_workers, &key, HASH_FIND, NULL);
}

/*
 * Lists the workers that are wanted: those that somebody asks for, those that are
 * to look at a database, those that have left and may come back if there is room.
 * Counts those that run.  Lowers *timeout to when one will be asked for.
 */
static List *
launcher_take_stock(int *running, long *timeout)
{
	HASH_SEQ_STATUS status;
	LauncherWorker *db;
	List	   *wanted = NIL;
	TimestampTz now = GetCurrentTimestamp();
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

	launcher_note_requests();
	hash_seq_init(&status, launcher_workers);
	while ((db = hash_seq_search(&status)) != NULL)
	{
		pid_t		pid;

		if (db->handle != NULL &&
			GetBackgroundWorkerPid(db->handle, &pid) == BGWH_STOPPED)
		{
			pfree(db->handle);
			db->handle = NULL;
			launcher_last_change = now;
			/* One that has nothing to do says so: this one died. */
			if (!db->left)
				db->not_before = Max(db->not_before,
									 TimestampTzPlusMilliseconds(now, RESTART_PAUSE_MS));
		}
		if (db->handle != NULL)
			(*running)++;
		else if (db->exists && !db->present && (db->asked || !db->visited || db->left))
		{
			if (db->since == 0)
				db->since = now;
			wanted = lappend(wanted, db);
			if (!db->asked && db->left)
				*timeout = Min(*timeout,
							   TimestampDifferenceMilliseconds(now, db->visit_at) + 1);
		}
		else
			db->since = 0;
	}
	MemoryContextSwitchTo(old);
	list_sort(wanted, launcher_compare);
	return wanted;
}

static int
launcher_compare(const ListCell *a, const ListCell *b)
{
	const LauncherWorker *first = lfirst(a);
	const LauncherWorker *second = lfirst(b);

	if (first->asked != second->asked)
		return first->asked ? -1 : 1;
	if (first->visited != second->visited)
		return second->visited ? -1 : 1;
	return first->since < second->since ? -1 : first->since > second->since;
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
