/*
 * operate.c
 *		SQL functions to operate inval: drain, pause, resume, start a worker.
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

#include "catalog.h"
#include "delivery.h"
#include "drain.h"
#include "launcher.h"
#include "ledger.h"
#include "outbox.h"
#include "settings.h"

/* How long inval_drain waits before it looks again, in ms. */
#define DRAIN_PAUSE_MS		20

static uint64 operate_timeout_us(Interval *timeout);
static bool operate_drain_pass(InvalDrain *drain, uint64 deadline);
static void operate_wait(int milliseconds);
static void operate_set_paused(char *target, bool paused);

PG_FUNCTION_INFO_V1(inval_drain);
PG_FUNCTION_INFO_V1(inval_pause);
PG_FUNCTION_INFO_V1(inval_resume);
PG_FUNCTION_INFO_V1(inval_start_worker);

/*
 * inval_drain(timeout interval) RETURNS bigint
 *
 * Passes through the outbox until a pass finds nothing owed.  A target that is
 * down is tried again until the timeout, which is then no error: the caller
 * sees from the queue what is left.
 */
Datum
inval_drain(PG_FUNCTION_ARGS)
{
	uint64		deadline = inval_clock_us() +
		operate_timeout_us(PG_GETARG_INTERVAL_P(0));
	InvalTarget *target;
	InvalDrain	drain;

	PreventCommandIfReadOnly("inval_drain()");
	PreventCommandDuringRecovery("inval_drain()");
	(void) inval_catalog(false);
	inval_ledger_attach();
	target = inval_target_default();
	if (pg_atomic_read_u32(&target->health->paused) != 0)
	{
		ereport(NOTICE,
				(errmsg("target \"%s\" is paused", target->name),
				 errhint("Resume it by inval_resume.")));
		PG_RETURN_INT64(0);
	}

	if (inval_shared_database()->worker_pid == 0)
		inval_outbox_sweep(false);
	inval_drain_begin(&drain, target, false);
	while (!operate_drain_pass(&drain, deadline))
	{
		if (inval_clock_us() >= deadline)
		{
			ereport(WARNING,
					(errmsg("the queue is not empty yet"),
					 errdetail("The timeout has passed."),
					 errhint("See inval_target_status for the state of the target.")));
			break;
		}
		operate_wait(DRAIN_PAUSE_MS);
	}
	inval_drain_end(&drain);
	PG_RETURN_INT64((int64) drain.confirmed);
}

/*
 * One pass.  Returns true if nothing was owed.
 */
static bool
operate_drain_pass(InvalDrain *drain, uint64 deadline)
{
	uint64		connect_deadline = inval_clock_us() +
		(uint64) inval_connect_timeout * 1000;
	InvalDrainResult result;

	if (!inval_target_connect(drain->target, Min(connect_deadline, deadline), true))
		return false;
	inval_drain_rewind(drain, true);
	do
	{
		CHECK_FOR_INTERRUPTS();
		result = inval_drain_batch(drain);
	} while (result == INVAL_DRAIN_MORE && inval_clock_us() < deadline);
	return result == INVAL_DRAIN_PASSED && drain->found == 0;
}

static void
operate_wait(int milliseconds)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 milliseconds, PG_WAIT_EXTENSION);
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

Datum
inval_pause(PG_FUNCTION_ARGS)
{
	operate_set_paused(text_to_cstring(PG_GETARG_TEXT_PP(0)), true);
	PG_RETURN_VOID();
}

Datum
inval_resume(PG_FUNCTION_ARGS)
{
	operate_set_paused(text_to_cstring(PG_GETARG_TEXT_PP(0)), false);
	PG_RETURN_VOID();
}

/*
 * Takes effect at once, in all sessions, whether or not the caller commits.
 */
static void
operate_set_paused(char *target, bool paused)
{
	if (!inval_target_exists(target))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("target \"%s\" does not exist", target),
				 errhint("This version of inval has the target \"default\", which inval.redis_url sets.")));
	pg_atomic_write_u32(&inval_target_health(target)->paused, paused ? 1 : 0);
	if (!paused)
		inval_shared_wake_worker(inval_shared_database());
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
				 errdetail("Keys are removed at commit, and no worker delivers what could not be removed then."),
				 errhint("Add \"inval\" to shared_preload_libraries and restart the server, or call inval_drain() regularly.")));
	else
		inval_launcher_request_worker();
	PG_RETURN_VOID();
}
