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

#include "access/transam.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "storage/latch.h"

#include "base/activity.h"
#include "base/backoff.h"
#include "base/settings.h"
#include "base/transaction.h"
#include "outbox/replay.h"
#include "redis/waiting.h"
#include "target/address.h"
#include "target/breaker.h"
#include "target/delivery.h"
#include "target/health.h"
#include "target/library.h"
#include "target/reach.h"
#include "target/target.h"
#include "target/trust.h"
#include "target/vitals.h"
#include "worker/audits.h"
#include "worker/backlog.h"
#include "worker/counters.h"
#include "worker/drain.h"
#include "worker/relook.h"
#include "worker/removal.h"
#include "worker/renewal.h"
#include "worker/show.h"
#include "worker/station.h"
#include "worker/sweep.h"
#include "worker/worker.h"

/*
 * After a delivery, the pause before the next look, in ms: under load it makes
 * one batch of many transactions, and nobody needs to wake us.  Where it has made one of
 * so many entries, the next pause is the longer one.
 */
#define PAUSE_AFTER_DELIVERY	1
#define PAUSE_UNDER_LOAD		5
#define LOAD_ENTRIES			10

/* So often a long pass lets the rest have its turn. */
#define TURN_US			100000

/*
 * How often, in ms, a database that has no worker, because others have, is looked
 * at without being asked to: who commits what was prepared announces nothing,
 * and tables are to be emptied.
 */
#define VISIT_INTERVAL	60000

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
static TimestampTz next_look;	/* at all of the outbox, announced or not; 0:
								 * now, as the last pass did not get through */
static InvalPass pass;
static bool in_pass;			/* the last pass goes on */
static bool look_at_kept = true;	/* there may be something for our target where
									 * what is owed to those that are away lies */
static bool replayed;			/* by standbys: what the last pass has gone by may be
								 * due */
static uint32 stuck;			/* looks in a row that had to leave something
								 * that a cluster does not take yet */
static bool under_load;			/* the last turn has delivered many entries */

static bool worker_deliver(void);
static void worker_note_pass(void);
static void worker_note_stuck(uint64 open, bool whole);
static InvalRemovalResult worker_remove(bool on_trial);
static void worker_watch_backlog(void);
static TimestampTz worker_next_visit(void);
static void worker_wait(bool delivered);
static bool worker_reach_target(bool *probing);
static void worker_find_target(void);
static bool worker_look_at_standbys(void);
static long worker_timeout(void);

void
inval_worker_main(Datum database_oid)
{
	target = inval_station_take(DatumGetObjectId(database_oid));
	removal = inval_removal_create(target, true);
	inval_pass_begin(&pass, target, true);
	/* Younger than we: see drain_settle. */
	pass.note_from = U64FromFullTransactionId(ReadNextFullTransactionId());
	pass.removal = removal;
	pass.refills = inval_refills_create(target);
	inval_backlog_begin(target);

	for (;;)
	{
		bool		delivered;

		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		inval_station_check();
		pg_atomic_write_u32(&target->health->work, 0);
		inval_target_log_change(target);
		delivered = target->number == 0 && inval_relook();
		delivered |= worker_deliver();
		inval_target_log_change(target);
		worker_watch_backlog();
		if (target->number == 0)
		{
			delivered |= inval_sweep();
			inval_counters_tidy();
		}
		pgstat_report_stat(false);
		inval_station_give_place(delivered || removal->running ||
								 inval_replay_next_look() != 0, worker_next_visit());
		worker_wait(delivered);
	}
}

/*
 * If we leave, when somebody must come back at the latest, although nobody has
 * announced anything.
 */
static TimestampTz
worker_next_visit(void)
{
	TimestampTz next = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), VISIT_INTERVAL);

	if (pg_atomic_read_u32(&target->health->paused) != 0)
		return next;
	if (!inval_target_is_open(target))
	{
		SpinLockAcquire(&target->health->mutex);
		next = Min(next, target->health->breaker.next_try);
		SpinLockRelease(&target->health->mutex);
		return next;
	}
	if (pass.next_due != 0)
		next = Min(next, pass.next_due);
	if (inval_audits_next(target) != 0)
		next = Min(next, inval_audits_next(target));
	if (stuck > 0)
		next = Min(next, next_look);
	return next;
}

/*
 * Waits for the next turn.
 */
static void
worker_wait(bool delivered)
{
	long		timeout = under_load && !in_pass ? PAUSE_UNDER_LOAD : PAUSE_AFTER_DELIVERY;

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
	if (timeout > PAUSE_UNDER_LOAD)
		inval_show_idle(target, removal);
	if (timeout > 0)
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 timeout, inval_waiting(INVAL_WAITING_WORKER));
	pg_atomic_write_u32(&target->health->idle, 0);
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
	bool		refilled;
	bool		audited;
	bool		standbys;

	under_load = false;
	if (!worker_reach_target(&probing))
	{
		next_look = 0;
		look_at_kept = true;
		in_pass = false;
		inval_show_delivery(&pass, in_pass);
		return false;
	}
	standbys = worker_look_at_standbys();
	replayed |= standbys;
	if (in_pass && standbys)
		pass.look_again = 0;
	if (!in_pass || probing)
	{
		bool		whole = replayed || probing || GetCurrentTimestamp() >= next_look;

		if (whole)
			next_look = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
													inval_sweep_interval);
		inval_pass_rewind(&pass, whole, look_at_kept);
		replayed = false;
	}
	if (pass.progress == NULL)
		inval_activity_busy("delivering to \"%s\"", target->name);
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
	refilled = result == INVAL_DRAIN_PASSED && inval_refills_run(pass.refills);
	audited = result == INVAL_DRAIN_PASSED && !probing && inval_audits_run(target);

	if (result == INVAL_DRAIN_FAILED)
	{
		next_look = 0;
		look_at_kept = true;
	}
	else if (result == INVAL_DRAIN_PASSED)
		worker_note_pass();
	inval_show_delivery(&pass, in_pass);
	/* A connection that was closed meanwhile is no reason to wait. */
	if (result == INVAL_DRAIN_FAILED && inval_target_is_open(target))
		pg_atomic_write_u32(&target->health->work, 1);

	/* An answered PING is all there is to go by when nothing is owed. */
	if (probing && result == INVAL_DRAIN_PASSED && pass.found == 0)
		inval_target_succeeded(target, 0, 0);
	if (result != INVAL_DRAIN_FAILED)
	{
		inval_library_keep(target);
		inval_vitals_look(target);
	}
	under_load = pass.confirmed - confirmed >= LOAD_ENTRIES;
	return in_pass || replayed || refilled || audited || pass.confirmed > confirmed;
}

/*
 * A pass has come to its end: when is the next look at all of the outbox?  Reading
 * what is owed to others must not take more than a small share of the time.
 */
static void
worker_note_pass(void)
{
	TimestampTz now = GetCurrentTimestamp();

	worker_note_stuck(pass.open, pass.whole);
	if (pass.whole && !replayed)
		inval_replay_rest();
	if (pass.whole && pass.found == 0)
		next_look = Max(next_look, now + (int64) pass.look_us * INVAL_LOOK_SHARE);
	if (pass.next_due != 0)
		next_look = Max(Min(next_look, pass.next_due),
						now + (int64) pass.look_us * STUCK_PAUSE_FACTOR);

	/* Only a look there that meets nothing shows that there is nothing. */
	if (pass.kept_met)
		look_at_kept = true;
	else if (pass.whole && pass.kept)
		look_at_kept = false;
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
			STUCK_PAUSE_FACTOR * (int64) (inval_clock_us() - pass.started));
	/* Looks at what is new come more often, and say nothing of the rest. */
	if (whole || stuck == 0)
		stuck++;
	next_look = Min(next, next_look);
}

/*
 * Goes a step on with what removes many keys; where others wait for their turn, a
 * look at everything finds them.  While nothing else has shown
 * whether the target takes anything, until a key was removed, or it was long
 * enough.
 */
static InvalRemovalResult
worker_remove(bool on_trial)
{
	uint64		deadline = inval_clock_us() + (uint64) inval_reply_timeout * 1000;
	uint64		before = removal->wipe.removed;
	InvalRemovalResult result;

	do
	{
		CHECK_FOR_INTERRUPTS();
		result = inval_removal_step(removal);
	} while (on_trial && result == INVAL_REMOVAL_MORE && removal->wipe.removed == before &&
			 inval_clock_us() < deadline);
	if (!removal->running && removal->waiting)
	{
		removal->waiting = false;
		next_look = GetCurrentTimestamp();
	}
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
	{
		worker_find_target();
		return false;
	}
	*probing = !inval_target_is_open(target);
	if (*probing && !inval_target_claim_probe(target))
		return false;
	if (!inval_target_connect(target, deadline, true))
		return false;
	/* It may be down because it is slow: see inval_target_measured. */
	deadline = Max(deadline, inval_clock_us() + (uint64) inval_commit_timeout * 1000 * 2);
	return (!*probing || inval_delivery_ping(target, deadline)) && inval_renewal_look(target);
}

/*
 * Although nothing is to be sent, finds out where the target is: what it has
 * confirmed before is not settled otherwise.
 */
static void
worker_find_target(void)
{
	uint64		deadline = inval_clock_us() + (uint64) inval_connect_timeout * 1000;
	char		error[INVAL_ERROR_LEN];
	InvalUrl	url;
	uint32		mark;

	if (inval_trust_is_limited(target) &&
		!inval_address_find(target, deadline, true, &url, &mark, error, sizeof(error)))
		inval_trust_end(target);
}

/*
 * Whether standbys have replayed what was waited for.
 */
static bool
worker_look_at_standbys(void)
{
	bool		news;

	if (!inval_replay_is_to_look())
		return false;
	inval_transaction_begin();
	news = inval_replay_look();
	inval_transaction_commit();
	/* Before the look at what is announced: who sees it later wakes us. */
	if (inval_replay_next_look() == 0)
		pg_atomic_write_u32(&target->health->watching, 0);
	return news;
}

/*
 * How long to wait, in ms, if nobody wakes us.
 */
static long
worker_timeout(void)
{
	TimestampTz next_try;
	TimestampTz next_audit = inval_audits_next(target);
	uint64		question = inval_address_next_question(target);
	uint64		now = inval_clock_us();
	long		timeout = Min(inval_sweep_interval, inval_renewal_wait_ms());

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
		if (next_audit != 0)
			timeout = Min(timeout,
						  TimestampDifferenceMilliseconds(GetCurrentTimestamp(), next_audit) + 1);
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
