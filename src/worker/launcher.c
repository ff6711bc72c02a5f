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

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "base/activity.h"
#include "base/database.h"
#include "base/settings.h"
#include "base/shared.h"
#include "redis/waiting.h"
#include "target/health.h"
#include "worker/launcher.h"
#include "worker/roster.h"

/* How soon to look again for room. */
#define CROWDED_PAUSE_MS	1000

/*
 * Who has to wait for others to end is no reason to complain, unless for that long
 * none has ended.
 */
#define PATIENCE_MS			10000

/* How often the list of databases is read without being asked to. */
#define RESCAN_MS			60000

static bool launcher_full = false;
static TimestampTz launcher_last_change = 0;	/* a worker was started or ended */

static void launcher_start(void);
static void launcher_exit(int code, Datum arg);
static long launcher_tend(void);
static void launcher_complain(TimestampTz now);
static void launcher_wake_workers(void);
static bool launcher_start_worker(InvalRosterWorker *db);
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
	inval_activity_name("inval launcher");

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
		if (GetCurrentTimestamp() >= next_scan || inval_roster_meets_new_database())
		{
			inval_roster_read_databases();
			next_scan = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), RESCAN_MS);
		}
		timeout = launcher_tend();
		inval_activity_idle("%s", launcher_full ? "waiting for room for workers" :
							"waiting for databases that want workers");
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 Min(timeout, RESCAN_MS),
						 inval_waiting(INVAL_WAITING_LAUNCHER));
	}
	/* With any other status the postmaster would not start it again. */
	proc_exit(1);
}

static void
launcher_start(void)
{
	inval_roster_init();
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
 * Notices workers that ended and starts those that are wanted, as long as there
 * is room; then says how many wait for it.  Returns in how many ms there is
 * something to do again.
 */
static long
launcher_tend(void)
{
	int			running = 0;
	int			leaving = 0;
	long		timeout = RESCAN_MS;
	bool		ended = false;
	List	   *wanted = inval_roster_take_stock(&running, &leaving, &ended, &timeout);
	TimestampTz now = GetCurrentTimestamp();
	uint32		waiting = 0;
	ListCell   *lc;

	if (ended)
		launcher_last_change = now;
	foreach(lc, wanted)
	{
		InvalRosterWorker *db = lfirst(lc);

		if (now < db->not_before)
			timeout = Min(timeout, TimestampDifferenceMilliseconds(now, db->not_before) + 1);
		else if (!inval_roster_database_exists(db))
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
			timeout = Min(timeout, CROWDED_PAUSE_MS);
			waiting++;
			launcher_complain(now);
		}
	}
	list_free(wanted);
	/* Those have made room already: else all would leave before the first has gone. */
	waiting -= Min(waiting, (uint32) leaving);
	inval_database_say_waiting(waiting);
	if (waiting > 0)
		launcher_wake_workers();
	return timeout;
}

/*
 * Nobody makes room, although workers do as soon as they can.
 */
static void
launcher_complain(TimestampTz now)
{
	if (launcher_full ||
		!TimestampDifferenceExceeds(launcher_last_change, now, PATIENCE_MS))
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

static bool
launcher_start_worker(InvalRosterWorker *db)
{
	BackgroundWorker worker = {0};
	MemoryContext old;
	bool		started;

	StaticAssertStmt(sizeof(db->key.target) < BGW_EXTRALEN, "no room for the target");

	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;	/* that is for us to do */
	worker.bgw_notify_pid = MyProcPid;
	worker.bgw_main_arg = ObjectIdGetDatum(db->key.database);
	strlcpy(worker.bgw_library_name, "inval", sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, "inval_worker_main",
			sizeof(worker.bgw_function_name));
	memcpy(worker.bgw_extra, &db->key.target, sizeof(db->key.target));
	worker.bgw_extra[sizeof(db->key.target)] = db->left ? 1 : 0;
	snprintf(worker.bgw_name, sizeof(worker.bgw_name),
			 db->key.target == 0 ? "inval worker for database %u" :
			 "inval worker for database %u, target %d", db->key.database, db->key.target);
	strlcpy(worker.bgw_type, "inval worker", sizeof(worker.bgw_type));

	inval_roster_say_visit(db, 0);
	old = MemoryContextSwitchTo(TopMemoryContext);
	started = RegisterDynamicBackgroundWorker(&worker, &db->handle);
	MemoryContextSwitchTo(old);
	if (started)
		db->visited = true;
	else
	{
		db->handle = NULL;
		inval_roster_say_visit(db, db->visit_at);
	}
	return started;
}
