/*
 * operate.c
 *		SQL functions to operate inval: drain, start a worker.
 */
#include "postgres.h"

#include <math.h>

#include "access/xact.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "base/catalog.h"
#include "base/progress.h"
#include "base/settings.h"
#include "base/shared.h"
#include "outbox/ledger.h"
#include "outbox/paused.h"
#include "outbox/read.h"
#include "outbox/replay.h"
#include "outbox/rotate.h"
#include "redis/waiting.h"
#include "store/pauses.h"
#include "target/reach.h"
#include "target/delivery.h"
#include "target/targets.h"
#include "worker/drain.h"
#include "worker/launcher.h"
#include "worker/relook.h"

/* How long inval_drain waits before it looks again, in ms. */
#define DRAIN_PAUSE_MS		20

/* So many steps of the removal of many keys come between two looks. */
#define STEPS_PER_LOOK		16

static uint64 operate_timeout_us(Interval *timeout);
static void operate_empty_tables(void);
static uint64 operate_drain_target(InvalTarget *target, uint64 deadline,
								   bool *in_time);
static int64 operate_count(const InvalTarget *target);
static bool operate_count_row(InvalOutboxRow *row, void *arg);
static bool operate_drain_pass(InvalPass *pass, uint64 deadline);
static void operate_tell_paused(uint64 paused);
static void operate_wait(int milliseconds);

PG_FUNCTION_INFO_V1(inval_drain);
PG_FUNCTION_INFO_V1(inval_start_worker);

/*
 * inval_drain(timeout interval) RETURNS bigint
 *
 * Makes the look-ups that are left, whose keys are delivered with the commit, and
 * passes through the outbox until a pass finds nothing owed.  A target that is
 * down is tried again until the timeout, which is then no error: the caller
 * sees from the queue what is left.
 */
Datum
inval_drain(PG_FUNCTION_ARGS)
{
	uint64		timeout = operate_timeout_us(PG_GETARG_INTERVAL_P(0));
	uint64		deadline = inval_clock_us() + timeout;
	InvalTarget *target;
	uint64		confirmed = 0;
	uint64		found;
	bool		in_time = true;

	PreventCommandIfReadOnly("inval_drain()");
	PreventCommandDuringRecovery("inval_drain()");
	(void) inval_catalog(false);
	inval_ledger_attach();
	target = inval_target_default();
	if (target->health->worker_pid == 0)
		operate_empty_tables();
	found = inval_relook_in_transaction(GetCurrentTimestamp() + (TimestampTz) timeout, &in_time);
	for (; target != NULL; target = target->next)
		if (!target->dropped)
			confirmed += operate_drain_target(target, deadline, &in_time);
	if (in_time)
		confirmed += found;		/* by the commit, before anybody sees the number */
	else
		ereport(WARNING,
				(errmsg("the queue is not empty yet"),
				 errdetail("The timeout has passed."),
				 errhint("See inval_target_status for the state of the target.")));
	PG_RETURN_INT64((int64) confirmed);
}

/*
 * Empties the tables of the outbox that owe nothing, as a worker would.  That
 * cannot be rolled back, and what is owed may depend on what this transaction
 * has changed, so only if it has changed nothing.
 */
static void
operate_empty_tables(void)
{
	int			table;

	if (TransactionIdIsValid(GetTopTransactionIdIfAny()))
		return;
	for (table = 0; table < INVAL_OUTBOX_TABLES; table++)
		(void) inval_outbox_retire(table);
}

/*
 * Delivers what is queued for a target.  Returns how many were confirmed; clears
 * *in_time if that is not all.
 */
static uint64
operate_drain_target(InvalTarget *target, uint64 deadline, bool *in_time)
{
	InvalPass	pass;

	if (pg_atomic_read_u32(&target->health->paused) != 0)
	{
		ereport(NOTICE,
				(errmsg("target \"%s\" is paused", target->name),
				 errhint("Resume it by inval_resume.")));
		return 0;
	}
	inval_pass_begin(&pass, target, false);
	pass.removal = inval_removal_create(target, false);
	pass.progress = inval_progress_begin("drain", target->name, operate_count(target));
	while (!operate_drain_pass(&pass, deadline))
	{
		if (inval_clock_us() >= deadline)
		{
			*in_time = false;
			break;
		}
		operate_wait(DRAIN_PAUSE_MS);
	}
	inval_removal_stop(pass.removal);
	inval_progress_end(pass.progress);
	inval_pass_end(&pass);
	operate_tell_paused(pass.paused);
	return pass.confirmed;
}

/*
 * What the last pass has met and left, which is why the queue is not empty.
 */
static void
operate_tell_paused(uint64 paused)
{
	if (paused > 0)
		ereport(NOTICE,
				(errmsg_plural("%llu invalidation of paused rules is held back",
							   "%llu invalidations of paused rules are held back",
							   (unsigned long) paused, (unsigned long long) paused),
				 errhint("inval_rule.paused shows the rules. Resume them by inval_resume.")));
}

typedef struct OperateCount
{
	const InvalTarget *target;
	int64		entries;
} OperateCount;

/*
 * How much there is to be delivered to a target.
 */
static int64
operate_count(const InvalTarget *target)
{
	OperateCount count = {target, 0};

	inval_pauses_refresh();
	inval_outbox_scan_all(INVAL_OUTBOX_TABLES, operate_count_row, &count);
	return count.entries;
}

static bool
operate_count_row(InvalOutboxRow *row, void *arg)
{
	OperateCount *count = arg;

	if (row->target == count->target->number && row->lane != INVAL_LANE_REFILL &&
		inval_outbox_is_owed(row))
		count->entries += row->entries - inval_outbox_paused(row);
	return true;
}

/*
 * One pass.  Returns true if nothing was owed.  Where there is no worker, we
 * are who waits for the standbys.
 */
static bool
operate_drain_pass(InvalPass *pass, uint64 deadline)
{
	uint64		connect_deadline = inval_clock_us() +
		(uint64) inval_connect_timeout * 1000;
	bool		no_worker = pass->target->health->worker_pid == 0;
	InvalDrainResult result;
	InvalRemovalResult removed = INVAL_REMOVAL_MORE;
	int			steps;

	if (no_worker)
		(void) inval_replay_look();
	if (!inval_target_connect(pass->target, Min(connect_deadline, deadline), true))
		return false;
	inval_pass_rewind(pass, true, true);
	do
	{
		CHECK_FOR_INTERRUPTS();
		result = inval_drain_batch(pass);
		inval_progress_update(pass->progress, (int64) pass->confirmed);
	} while (result == INVAL_DRAIN_MORE && inval_clock_us() < deadline);
	for (steps = 0; steps < STEPS_PER_LOOK && result == INVAL_DRAIN_PASSED &&
		 removed == INVAL_REMOVAL_MORE && inval_clock_us() < deadline; steps++)
		removed = inval_removal_step(pass->removal);
	if (removed == INVAL_REMOVAL_DONE)
		pass->confirmed += (uint64) pass->removal->confirmed;
	return result == INVAL_DRAIN_PASSED && pass->found == 0 &&
		removed == INVAL_REMOVAL_NONE &&
		!(no_worker && inval_replay_next_look() != 0);
}

static void
operate_wait(int milliseconds)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 milliseconds, inval_waiting(INVAL_WAITING_DRAIN));
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

/*
 * An interval as microseconds, a month being 30 days.
 */
static uint64
operate_timeout_us(Interval *timeout)
{
	double		seconds = (double) timeout->time / USECS_PER_SEC +
		(double) timeout->day * SECS_PER_DAY +
		(double) timeout->month * DAYS_PER_MONTH * SECS_PER_DAY;

	if (seconds < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("timeout must not be negative")));
	/* A year is as good as forever, and far from overflow. */
	return (uint64) (Min(seconds, 365.0 * SECS_PER_DAY) * USECS_PER_SEC);
}

/*
 * Asks for a worker in this database, as soon as this transaction is committed
 * and the launcher can see the extension.  CREATE EXTENSION calls it.
 */
Datum
inval_start_worker(PG_FUNCTION_ARGS)
{
	(void) fcinfo;
	if (!inval_shared_is_preloaded())
		ereport(WARNING,
				(errmsg("inval is not in shared_preload_libraries"),
				 errdetail("This is for trying it: keys are removed at commit, and no worker delivers what could not be removed then, or keeps the queue small."),
				 errhint("Add \"inval\" to shared_preload_libraries and restart the server, or call inval_drain() regularly.")));
	else
		inval_launcher_request_worker();
	PG_RETURN_VOID();
}
