/*
 * station.c
 *		A worker's place: taken, kept, and given to others.
 *
 * A worker leaves when its target or the extension is gone, and when somebody
 * waits for a worker's place (launcher.c): at once if it has nothing to do, else
 * when it has had its time.  Before that it says when one must come back at the
 * latest; who queues something for it asks for that before.
 */
#include "postgres.h"

#include <signal.h>

#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"

#include "base/activity.h"
#include "base/catalog.h"
#include "base/database.h"
#include "base/settings.h"
#include "base/transaction.h"
#include "key/lookup_role.h"
#include "outbox/ledger.h"
#include "outbox/read.h"
#include "outbox/replay.h"
#include "rule/tie.h"
#include "target/targets.h"
#include "worker/forget.h"
#include "worker/station.h"

/* While somebody waits, a worker that is busy stays for so long. */
#define STAY_MS		1000

static InvalTarget *target;		/* whose worker this is; NULL: not yet known */
static TimestampTz busy_since = 0;	/* it has come round once; 0: not yet */
static bool takes_turns = false;	/* it makes room for others, or has done so before */

static void station_find_target(void);
static bool station_claim(void);
static void station_exit(int code, Datum arg);
static bool station_has_extension(void);
static void station_look_at_targets(void);
static void station_leave(void);
static void station_end_others(void);
static void station_log(const char *what);

/*
 * Connects to a database and becomes the worker of the target that the launcher
 * has named.  Does not return if there is none, or it has one.
 */
InvalTarget *
inval_station_take(Oid database)
{
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);
	inval_role_take_sessions();

	/*
	 * Losing our last deletes in a crash means to deliver once more, so there
	 * is nothing to wait for, least of all a synchronous standby.
	 */
	SetConfigOption("synchronous_commit", "off", PGC_USERSET, PGC_S_OVERRIDE);

	if (!station_has_extension())
		station_leave();
	inval_ledger_attach();
	inval_outbox_never_wait();
	(void) inval_database();
	station_find_target();
	if (!station_claim())
		proc_exit(0);			/* there is one already */
	before_shmem_exit(station_exit, (Datum) 0);

	/*
	 * Who wants the database alone says so and then ends the workers it sees
	 * (ddl/command_guard.c); we have said that we are here, and look whether
	 * somebody does.
	 */
	pg_memory_barrier();
	if (GetCurrentTimestamp() < inval_database()->hold_until)
		proc_exit(0);
	inval_target_adopt(target);
	inval_activity_name(psprintf("inval worker %s", target->name));
	station_log("started");
	if (target->number == 0)
	{
		/* Where pg_upgrade or a dump has made rules without their ties */
		inval_transaction_begin();
		inval_tie_adopt();
		inval_transaction_commit();
	}
	return target;
}

/*
 * Finds the target that this is to be the worker of.  If there is none, it was
 * dropped, or whoever made it has not committed: its place is given back, and
 * claimed anew by whoever uses it.
 */
static void
station_find_target(void)
{
	InvalTarget *found;
	uint32		count;
	InvalTargetHealth *healths = inval_target_healths(&count);
	int32		number;
	uint32		i;

	memcpy(&number, MyBgworkerEntry->bgw_extra, sizeof(number));
	takes_turns = MyBgworkerEntry->bgw_extra[sizeof(number)] != 0;
	inval_transaction_begin();
	inval_targets_refresh();
	found = inval_target_by_number(number);
	inval_transaction_commit();
	if (found != NULL && inval_target_has_place(found->health))
	{
		target = found;
		return;
	}
	for (i = 0; i < count; i++)
		if (healths[i].database == MyDatabaseId &&
			inval_target_number(healths[i].name) == number)
			inval_target_give_back(&healths[i]);
	proc_exit(0);
}

/*
 * Returns false if the target has a worker.
 */
static bool
station_claim(void)
{
	InvalTargetHealth *health = target->health;
	bool		claimed;

	SpinLockAcquire(&health->mutex);
	claimed = health->worker_pid == 0;
	if (claimed)
	{
		health->worker_pid = MyProcPid;
		health->worker_latch = MyLatch;
		health->visit_at = 0;
	}
	SpinLockRelease(&health->mutex);
	if (claimed)
		inval_replay_come(health);
	return claimed;
}

static void
station_exit(int code, Datum arg)
{
	InvalTargetHealth *health = target->health;

	(void) code;
	(void) arg;
	SpinLockAcquire(&health->mutex);
	if (health->worker_pid == MyProcPid)
	{
		inval_replay_leave();
		health->worker_pid = 0;
		health->worker_latch = NULL;
		health->progress[0] = '\0';
		pg_atomic_write_u32(&health->idle, 0);
		pg_atomic_write_u32(&health->watching, 0);
	}
	SpinLockRelease(&health->mutex);
	station_log("stopped");
	/* It may be another launcher than the one that has started us. */
	inval_database_wake_launcher();
}

/*
 * Between two turns: takes notice of what has changed, and leaves if there is
 * nothing for a worker here any more.
 */
void
inval_station_check(void)
{
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
	}
	if (!station_has_extension())
		station_leave();
}

/*
 * Leaves if somebody waits for a place.  "busy": there is more to do at once, so
 * not before our time is up; else one is to come back at that time.  Our time begins
 * when we have come here once: to connect may take longer, and what takes several
 * rounds would never be done.
 */
void
inval_station_give_place(bool busy, TimestampTz visit_at)
{
	TimestampTz now = GetCurrentTimestamp();

	if (busy_since == 0)
		busy_since = now;
	if (likely(!inval_database_somebody_waits()) ||
		(busy && !TimestampDifferenceExceeds(busy_since, now, STAY_MS)) ||
		!inval_database_make_room())
		return;
	target->health->visit_at = busy ? now : Max(visit_at, 1);
	takes_turns = true;
	proc_exit(0);
}

static bool
station_has_extension(void)
{
	bool		found;

	inval_transaction_begin();
	found = inval_catalog(true) != NULL;
	if (found && target != NULL)
		station_look_at_targets();
	inval_transaction_commit();
	return found;
}

/*
 * Takes notice of changes of the targets.  The worker of "default" gives back the
 * places of those that are gone; and says which have none.
 */
static void
station_look_at_targets(void)
{
	static bool warned = false;
	InvalTarget *other;

	inval_targets_refresh();
	if (target->dropped)
	{
		inval_target_give_back(target->health);
		proc_exit(0);
	}
	inval_target_adopt(target);
	if (target->number != 0)
		return;
	for (other = target->next; other != NULL; other = other->next)
	{
		InvalTargetHealth *health = other->health;

		if (other->dropped)
		{
			if (strcmp(health->name, other->name) == 0)
				inval_target_give_back(health);
		}
		else if (!inval_target_has_place(health) && !warned)
		{
			warned = true;
			ereport(WARNING,
					(errmsg("inval target \"%s\" has no worker, because there are too many targets",
							other->name),
					 errhint("Raise inval.max_targets and restart the server, or drop targets that are not needed.")));
		}
	}
}

/*
 * There is nothing for a worker here.  The database's slot is given back, so
 * that the launcher starts none until somebody asks again.  Who has made the
 * extension since we looked may have asked already, in vain.
 */
static void
station_leave(void)
{
	if (target == NULL || target->number == 0)
	{
		station_end_others();
		inval_forget_database(MyDatabaseId);
		if (station_has_extension())
			(void) inval_database();
	}
	proc_exit(0);
}

/*
 * Ends the workers of the other targets.  They would notice by themselves, but
 * not while they wait for their targets; and once they are forgotten, nobody
 * else knows whom to end before the database can be dropped.
 */
static void
station_end_others(void)
{
	uint32		count;
	InvalTargetHealth *healths = inval_target_healths(&count);
	uint32		i;

	for (i = 0; i < count; i++)
	{
		InvalTargetHealth *other = &healths[i];
		pid_t		pid = other->worker_pid;

		if (other->database == MyDatabaseId && pid != 0 && pid != MyProcPid)
			(void) kill(pid, SIGTERM);
	}
}

/*
 * A line for each change, but not where workers come and go, as those do that take
 * turns.
 */
static void
station_log(const char *what)
{
	bool		turns = takes_turns || inval_database_somebody_waits();

	ereport(turns ? DEBUG1 : LOG,
			(errmsg("inval worker of target \"%s\" has %s", target->name, what),
			 errdetail("In database \"%s\", process %d.", inval_database_name(), MyProcPid)));
}
