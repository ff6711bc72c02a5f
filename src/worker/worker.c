/*
 * worker.c
 *		The process that delivers to one target of one database.
 *
 * A turn: deliver what is owed and can be delivered now; then empty the tables
 * of the outbox that owe nothing any more.  Between turns it waits for its
 * latch, which sessions set when they leave something to it, or for the time
 * of the next try.  Each database step is a short transaction; none is open
 * while it waits, for the target or for work.
 *
 * It dies on any error and is started again by the launcher: everything it
 * needs to go on is in the outbox.
 */
#include "postgres.h"

#include <signal.h>

#include "access/relation.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "base/backoff.h"
#include "base/catalog.h"
#include "base/database.h"
#include "base/settings.h"
#include "base/transaction.h"
#include "outbox/ledger.h"
#include "outbox/replay.h"
#include "rule/tie.h"
#include "target/address.h"
#include "target/breaker.h"
#include "target/delivery.h"
#include "target/health.h"
#include "target/reach.h"
#include "target/target.h"
#include "target/targets.h"
#include "worker/backlog.h"
#include "worker/counters.h"
#include "worker/drain.h"
#include "worker/forget.h"
#include "worker/relook.h"
#include "worker/removal.h"
#include "worker/sweep.h"
#include "worker/worker.h"

/*
 * After a delivery, the pause before the next look, in ms: under load it makes
 * one batch of many transactions, and nobody needs to wake us.
 */
#define PAUSE_AFTER_DELIVERY	1

/* So often a long pass lets the rest have its turn. */
#define TURN_US			100000
/*
 * While a node of a cluster is away, each commit that it concerns asks for a
 * look that is in vain.  After such a look, the pause before the next, in ms.
 */
#define PAUSE_WHEN_STUCK	20

/*
 * Entries that a cluster does not take yet are tried again after that, in us, and
 * later at least that often: a replica may be promoted at any time.
 */
#define FIRST_STUCK_PAUSE	100000
#define LONGEST_STUCK_PAUSE	500000

/* But not before so many times as long as it took to find that out. */
#define STUCK_PAUSE_FACTOR	4
/*
 * A removal of many keys goes a step on after so many batches, in a long pass;
 * else after each pass.
 */
#define BATCHES_PER_STEP		4

static InvalTarget *target;	/* whose worker this is */
static InvalRemoval *removal;	/* of all keys that start alike, if one runs */
static uint64 first_xid;		/* transactions from here on are younger than we */
static TimestampTz next_look;	/* at all of the outbox, announced or not; 0:
								 * now, as the last pass did not get through */
static InvalPass pass;
static bool in_pass;			/* the last pass goes on */
static uint32 stuck;			/* looks in a row that had to leave something
								 * that a cluster does not take yet */

static void worker_start(Oid database_oid);
static void worker_find_target(void);
static void worker_look_at_targets(void);
static void worker_exit(int code, Datum arg);
static bool worker_has_extension(void);
static void worker_adopt(void);
static void worker_leave(void);
static void worker_end_others(void);
static void worker_reload(void);
static bool worker_deliver(void);
static void worker_note_stuck(uint64 open, bool whole);
static InvalRemovalResult worker_remove(bool on_trial);
static void worker_watch_backlog(void);
static void worker_wait(bool delivered);
static bool worker_reach_target(bool *probing);
static bool worker_look_at_standbys(void);
static long worker_timeout(void);

void
inval_worker_main(Datum database_oid)
{
	bool		adopted = false;

	worker_start(DatumGetObjectId(database_oid));
	inval_pass_begin(&pass, target, true);
	pass.note_from = first_xid;
	pass.removal = removal;

	for (;;)
	{
		bool		delivered;

		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
			worker_reload();
		if (!worker_has_extension())
			worker_leave();
		if (!adopted && target->number == 0)
			worker_adopt();
		adopted = true;

		pg_atomic_write_u32(&target->health->work, 0);
		inval_target_log_change(target);
		delivered = target->number == 0 && inval_relook();
		delivered |= worker_deliver();
		inval_target_log_change(target);
		worker_watch_backlog();
		if (target->number == 0)
		{
			inval_sweep();
			inval_counters_tidy();
		}
		pgstat_report_stat(false);
		worker_wait(delivered);
	}
}

/*
 * Waits for the next turn.
 */
static void
worker_wait(bool delivered)
{
	long		timeout = PAUSE_AFTER_DELIVERY;

	if (!delivered)
	{
		/* See inval_target_wake_worker. */
		pg_atomic_write_u32(&target->health->watching,
							inval_replay_next_look() != 0 ? 1 : 0);
		pg_atomic_write_u32(&target->health->idle, 1);
		pg_memory_barrier();
		timeout = worker_timeout();
		if (pg_atomic_read_u32(&target->health->work) != 0 && inval_target_is_open(target))
		{
			/* That is for us; what comes while we pause need not wake us. */
			timeout = stuck > 0 ? Min(timeout, PAUSE_WHEN_STUCK) : 0;
			pg_atomic_write_u32(&target->health->idle, 0);
		}
	}
	/* Whoever waited for replies may have reset the latch. */
	if (ConfigReloadPending)
		timeout = 0;
	if (timeout > 0)
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 timeout, PG_WAIT_EXTENSION);
	pg_atomic_write_u32(&target->health->idle, 0);
}

static void
worker_start(Oid database_oid)
{
	InvalTargetHealth *health;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnectionByOid(database_oid, InvalidOid, 0);

	/*
	 * Losing our last deletes in a crash means to deliver once more, so there
	 * is nothing to wait for, least of all a synchronous standby.
	 */
	SetConfigOption("synchronous_commit", "off", PGC_USERSET, PGC_S_OVERRIDE);

	if (!worker_has_extension())
		worker_leave();
	inval_ledger_attach();
	first_xid = U64FromFullTransactionId(ReadNextFullTransactionId());
	(void) inval_database();
	worker_find_target();
	health = target->health;
	SpinLockAcquire(&health->mutex);
	if (health->worker_pid == 0)
	{
		health->worker_pid = MyProcPid;
		health->worker_latch = MyLatch;
	}
	SpinLockRelease(&health->mutex);
	if (health->worker_pid != MyProcPid)
		proc_exit(0);			/* there is one already */
	before_shmem_exit(worker_exit, (Datum) 0);

	/*
	 * Who wants the database alone says so and then ends the workers it sees
	 * (ddl/command_guard.c); we have said that we are here, and look whether
	 * somebody does.
	 */
	pg_memory_barrier();
	if (GetCurrentTimestamp() < inval_database()->hold_until)
		proc_exit(0);
	inval_target_adopt(target);
	removal = inval_removal_create(target, true);
}

/*
 * Ties rules to what they need, where pg_upgrade or a dump has made them without.
 */
static void
worker_adopt(void)
{
	inval_transaction_begin();
	inval_tie_adopt();
	inval_transaction_commit();
}

/*
 * Finds the target that this is the worker of, or leaves if there is none.
 */
static void
worker_find_target(void)
{
	int32		number;

	memcpy(&number, MyBgworkerEntry->bgw_extra, sizeof(number));
	inval_transaction_begin();
	inval_targets_refresh();
	target = inval_target_by_number(number);
	inval_transaction_commit();
	if (target == NULL)
		proc_exit(0);
}

/*
 * Takes notice of changes of the targets.  The worker of "default" asks for those
 * of the others.
 */
static void
worker_look_at_targets(void)
{
	InvalTarget *other;

	inval_targets_refresh();
	if (target->dropped)
		proc_exit(0);
	inval_target_adopt(target);
	if (target->number != 0)
		return;
	for (other = target->next; other != NULL; other = other->next)
	{
		other->health->wanted = !other->dropped;
		if (other->health->wanted && other->health->worker_pid == 0)
			inval_database_wake_launcher();
	}
}

static void
worker_exit(int code, Datum arg)
{
	InvalTargetHealth *health = target->health;

	(void) code;
	(void) arg;
	SpinLockAcquire(&health->mutex);
	if (health->worker_pid == MyProcPid)
	{
		health->worker_pid = 0;
		health->worker_latch = NULL;
		health->progress[0] = '\0';
		pg_atomic_write_u32(&health->idle, 0);
		pg_atomic_write_u32(&health->watching, 0);
	}
	SpinLockRelease(&health->mutex);
}

static bool
worker_has_extension(void)
{
	bool		found;

	inval_transaction_begin();
	found = inval_catalog(true) != NULL;
	if (found && target != NULL)
		worker_look_at_targets();
	inval_transaction_commit();
	return found;
}

/*
 * There is nothing for a worker here.  The database's slot is given back, so
 * that the launcher starts none until somebody asks again.  Who has made the
 * extension since we looked may have asked already, in vain.
 */
static void
worker_leave(void)
{
	if (target == NULL || target->number == 0)
	{
		worker_end_others();
		inval_forget_database(MyDatabaseId);
		if (worker_has_extension())
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
worker_end_others(void)
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

static void
worker_reload(void)
{
	ConfigReloadPending = false;
	ProcessConfigFile(PGC_SIGHUP);
	inval_transaction_begin();
	inval_targets_refresh();
	inval_transaction_commit();
	inval_target_adopt(target);
}

/*
 * Delivers what is left and can be delivered now, for a turn.  Returns whether
 * there was any.
 */
static bool
worker_deliver(void)
{
	InvalDrainResult result = INVAL_DRAIN_MORE;
	uint64		turn_ends;
	uint64		confirmed = pass.confirmed;
	static uint64 batches = 0;
	bool		probing = false;
	bool		standbys;

	if (!worker_reach_target(&probing))
	{
		next_look = 0;
		in_pass = false;
		return false;
	}
	standbys = worker_look_at_standbys();
	if (in_pass && standbys)
		pass.look_again = 0;
	if (!in_pass || probing)
	{
		bool		whole = standbys || probing || GetCurrentTimestamp() >= next_look;

		if (whole)
			next_look = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
													inval_sweep_interval);
		inval_pass_rewind(&pass, whole);
	}
	turn_ends = inval_clock_us() + TURN_US;
	while (result == INVAL_DRAIN_MORE && inval_clock_us() < turn_ends &&
		   pg_atomic_read_u32(&target->health->paused) == 0)
	{
		CHECK_FOR_INTERRUPTS();
		result = inval_drain_batch(&pass);
		if ((result == INVAL_DRAIN_PASSED ||
			 (result == INVAL_DRAIN_MORE && ++batches % BATCHES_PER_STEP == 0)) &&
			worker_remove(probing && pass.found == 0) == INVAL_REMOVAL_FAILED)
			result = INVAL_DRAIN_FAILED;
	}
	in_pass = result == INVAL_DRAIN_MORE;

	if (result == INVAL_DRAIN_FAILED)
		next_look = 0;
	else if (result == INVAL_DRAIN_PASSED)
	{
		worker_note_stuck(pass.open, pass.whole_pass);
		if (pass.next_due != 0)
			next_look = Min(next_look, pass.next_due);
	}
	/* A connection that was closed meanwhile is no reason to wait. */
	if (result == INVAL_DRAIN_FAILED && inval_target_is_open(target))
		pg_atomic_write_u32(&target->health->work, 1);

	/* An answered PING is all there is to go by when nothing is owed. */
	if (probing && result == INVAL_DRAIN_PASSED && pass.found == 0)
		inval_target_succeeded(target, 0, 0);
	return in_pass || pass.confirmed > confirmed;
}

/*
 * What a cluster does not take yet, because a node is lost or a slot on its
 * way, is tried again after pauses that double.
 */
static void
worker_note_stuck(uint64 open, bool whole)
{
	TimestampTz next;

	if (open == 0)
	{
		/* Only a look at everything shows that nothing is left. */
		if (whole)
			stuck = 0;
		return;
	}
	next = GetCurrentTimestamp() +
		Max((int64) inval_backoff_us(stuck, FIRST_STUCK_PAUSE, LONGEST_STUCK_PAUSE),
			STUCK_PAUSE_FACTOR * (int64) (inval_clock_us() - pass.pass_started));
	/* Looks at what is new come more often, and say nothing of the rest. */
	if (whole || stuck == 0)
		stuck++;
	next_look = Min(next, next_look);
}

/*
 * Goes a step on with what removes many keys.  While nothing else has shown
 * whether the target takes anything, until a key was removed, or it was long
 * enough.
 */
static InvalRemovalResult
worker_remove(bool on_trial)
{
	uint64		deadline = inval_clock_us() + (uint64) inval_reply_timeout * 1000;
	uint64		before = removal->removed;
	InvalRemovalResult result;

	do
	{
		CHECK_FOR_INTERRUPTS();
		result = inval_removal_step(removal);
	} while (on_trial && result == INVAL_REMOVAL_MORE && removal->removed == before &&
			 inval_clock_us() < deadline);
	return result;
}

/*
 * While nothing can be delivered, sees to it that not too much is queued.
 */
static void
worker_watch_backlog(void)
{
	if (inval_target_is_open(target))
		inval_backlog_relax();
	else if (inval_backlog_watch(target))
		inval_removal_stop(removal);	/* there is another in its place */
}

/*
 * Whether there is a connection to deliver over.  "probing": the target was
 * down and has answered a PING, no more is known.
 */
static bool
worker_reach_target(bool *probing)
{
	uint64		deadline = inval_clock_us() + (uint64) inval_connect_timeout * 1000;

	if (pg_atomic_read_u32(&target->health->paused) != 0)
		return false;
	*probing = !inval_target_is_open(target);
	if (*probing && !inval_target_claim_probe(target))
		return false;
	if (!inval_target_connect(target, deadline, true))
		return false;
	/* It may be down because it is slow: see inval_target_measured. */
	deadline = Max(deadline, inval_clock_us() + (uint64) inval_commit_timeout * 1000 * 2);
	return !*probing || inval_delivery_ping(target, deadline);
}

/*
 * Whether standbys have replayed what was waited for.
 */
static bool
worker_look_at_standbys(void)
{
	bool		news;

	if (inval_replay_next_look() == 0 || inval_replay_next_look() > GetCurrentTimestamp())
		return false;
	inval_transaction_begin();
	news = inval_replay_look();
	inval_transaction_commit();
	return news;
}

/*
 * How long to wait, in ms, if nobody wakes us.
 */
static long
worker_timeout(void)
{
	TimestampTz next_try;
	uint64		question = inval_address_next_question(target);
	uint64		now = inval_clock_us();
	long		timeout = inval_sweep_interval;

	/* Of a target that is down they are asked with the next try. */
	if (question != 0 && inval_target_is_open(target))
		timeout = Min(timeout, (long) (question > now ? (question - now) / 1000 + 1 : 1));

	/* A repetition that is due before the next regular look. */
	if (next_look != 0)
		timeout = Min(timeout,
					  TimestampDifferenceMilliseconds(GetCurrentTimestamp(), next_look) + 1);
	if (pg_atomic_read_u32(&target->health->paused) != 0)
		return timeout;
	if (inval_target_is_open(target))
	{
		timeout = Min(timeout, inval_removal_wait_ms(removal));
		if (inval_replay_next_look() != 0)
			timeout = Min(timeout,
						  TimestampDifferenceMilliseconds(GetCurrentTimestamp(),
														  inval_replay_next_look()) + 1);
	}
	else
	{
		SpinLockAcquire(&target->health->mutex);
		next_try = target->health->breaker.next_try;
		SpinLockRelease(&target->health->mutex);
		timeout = Min(timeout,
					  TimestampDifferenceMilliseconds(GetCurrentTimestamp(),
													  next_try) + 1);
	}
	return timeout;
}
