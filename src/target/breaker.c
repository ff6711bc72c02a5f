/*
 * breaker.c
 *		Whether a target is up or down.
 *
 * Health is shared by the sessions of a database, as a circuit breaker: while it
 * is open ("down"; verdict.c says what opens it) they leave their keys to the
 * worker without trying.  Then only the worker tries (or, where there is none, one
 * session at a time), with pauses that double up to inval.retry_max; the first
 * confirmed delivery, or an answered PING when nothing is owed, closes it.
 *
 * The breaker may be opened in the commit callback, where nothing can be
 * logged; whoever next comes by in a safe place logs the change, once.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "base/settings.h"
#include "target/breaker.h"
#include "target/lost_node.h"
#include "target/trust.h"
#include "target/verdict.h"

/* The longest where another server may take over: it is to be found within 1 s. */
#define FAILOVER_PAUSE_US	500000

/*
 * A target that answers each time just before inval.commit_timeout would slow
 * every commit.  After so many answers in a row that took more than half of it,
 * it is down for commits until a PING is answered faster.
 */
#define SLOW_ANSWERS		5

/* Then it is asked again after that, in us. */
#define SLOW_PAUSE_US		100000

static void breaker_open(InvalTarget *target, const char *error);
static bool breaker_is_pausing(InvalTarget *target);
static void breaker_slow(InvalTargetHealth *health, uint64 round_trip_us);

/*
 * Whether this process may try to deliver.
 */
bool
inval_target_is_open(InvalTarget *target)
{
	if (pg_atomic_read_u32(&target->health->paused) != 0 || breaker_is_pausing(target))
		return false;
	return !inval_target_shares_health(target) ||
		pg_atomic_read_u32(&target->health->down) == 0;
}

/*
 * Whether it has just failed here, and nobody has seen it come up since.
 */
static bool
breaker_is_pausing(InvalTarget *target)
{
	if (likely(target->pause_until == 0))
		return false;
	if (inval_clock_us() < target->pause_until &&
		pg_atomic_read_u32(&target->health->recoveries) == target->pause_recoveries)
		return true;
	target->pause_until = 0;
	return false;
}

/*
 * Whether a target that is down should be tried now, by us.
 */
bool
inval_target_claim_probe(InvalTarget *target)
{
	InvalTargetHealth *health = target->health;
	bool		claimed;

	if (pg_atomic_read_u32(&health->paused) != 0 || breaker_is_pausing(target))
		return false;
	SpinLockAcquire(&health->mutex);
	claimed = inval_verdict_claim(&health->breaker, GetCurrentTimestamp());
	SpinLockRelease(&health->mutex);
	return claimed;
}

/*
 * Notes that the target could not be reached, or not used any more, by this
 * process, and disconnects.  If that says something of the target, it is down for
 * all.
 */
void
inval_target_failed(InvalTarget *target, InvalFault fault, const char *error)
{
	InvalTargetHealth *health = target->health;
	TimestampTz now = GetCurrentTimestamp();
	uint64		longest = (uint64) inval_retry_max * 1000;
	uint64		pause_us = INVAL_OWN_PAUSE_US;

	if (inval_target_shares_health(target))
	{
		bool		verdict;

		if (target->url.kind == INVAL_URL_SENTINEL)
			longest = Min(longest, FAILOVER_PAUSE_US);
		SpinLockAcquire(&health->mutex);
		verdict = inval_verdict(health, &health->breaker, fault, now);
		if (verdict || health->worker_pid == MyProcPid)
		{
			inval_verdict_pause(&health->breaker, now, longest);
			pause_us = (uint64) (health->breaker.next_try - now);
		}
		if (verdict)
			breaker_open(target, error);
		else
			strlcpy(health->last_error, error, sizeof(health->last_error));
		SpinLockRelease(&health->mutex);
	}
	target->pause_until = inval_clock_us() + pause_us;
	target->pause_recoveries = pg_atomic_read_u32(&health->recoveries);

	/* Last, because the error may be the connection's own. */
	inval_target_disconnect(target);
}

static void
breaker_open(InvalTarget *target, const char *error)
{
	InvalTargetHealth *health = target->health;

	strlcpy(health->last_error, error, sizeof(health->last_error));
	health->resolved[0] = '\0';	/* it may be elsewhere by now */
	pg_atomic_write_u32(&health->slow, 0);
	pg_atomic_write_u32(&health->down, 1);
}

/*
 * The worker has waited for an answer for long enough to know, and sessions have
 * complained as well; it goes on waiting.
 */
void
inval_target_doubted(InvalTarget *target, const char *error)
{
	InvalTargetHealth *health = target->health;

	if (health->worker_pid != MyProcPid || !inval_target_shares_health(target) ||
		pg_atomic_read_u32(&health->down) != 0)
		return;
	SpinLockAcquire(&health->mutex);
	if (health->breaker.complaints > 0)
	{
		inval_verdict_pause(&health->breaker, GetCurrentTimestamp(), FAILOVER_PAUSE_US);
		breaker_open(target, error);
		health->doubted = true;
	}
	SpinLockRelease(&health->mutex);
}

/*
 * Notes how long the target took to answer a commit, or a PING.  Cannot fail.
 */
void
inval_target_measured(InvalTarget *target, uint64 round_trip_us)
{
	InvalTargetHealth *health = target->health;
	uint64		limit = (uint64) inval_commit_timeout * 1000 / 2;

	if (!inval_target_shares_health(target) || limit == 0)
		return;
	if (round_trip_us <= limit)
	{
		if (unlikely(pg_atomic_read_u32(&health->slow_answers) != 0))
		{
			pg_atomic_write_u32(&health->slow_answers, 0);
			pg_atomic_write_u32(&health->slow, 0);
		}
		return;
	}
	if (pg_atomic_add_fetch_u32(&health->slow_answers, 1) < SLOW_ANSWERS)
		return;
	SpinLockAcquire(&health->mutex);
	breaker_slow(health, round_trip_us);
	SpinLockRelease(&health->mutex);
}

/*
 * It is too slow for commits.  Under the mutex.
 */
static void
breaker_slow(InvalTargetHealth *health, uint64 round_trip_us)
{
	snprintf(health->last_error, sizeof(health->last_error),
			 "answers took more than half of inval.commit_timeout, the last one %u ms",
			 (uint32) Min(round_trip_us / 1000, PG_UINT32_MAX));
	pg_atomic_write_u32(&health->slow_answers, SLOW_ANSWERS);
	pg_atomic_write_u32(&health->slow, 1);
	pg_atomic_write_u32(&health->down, 1);
}

/*
 * Notes that the target confirmed that many keys (or answered a PING, with
 * none) and closes the breaker, unless it is too slow for commits.
 */
void
inval_target_succeeded(InvalTarget *target, uint64 keys, uint64 round_trip_us)
{
	InvalTargetHealth *health = target->health;
	TimestampTz now = GetCurrentTimestamp();
	int64		second = now / USECS_PER_SEC;

	if (!inval_target_shares_health(target))
		return;
	target->pause_until = 0;
	SpinLockAcquire(&health->mutex);
	inval_verdict_answered(&health->breaker, now);
	health->round_trip_us = (uint32) Min(round_trip_us, PG_UINT32_MAX);
	/* So it was late, not silent. */
	if (health->doubted && round_trip_us > (uint64) inval_commit_timeout * 1000 / 2)
		breaker_slow(health, round_trip_us);
	health->doubted = false;
	if (pg_atomic_read_u32(&health->slow) != 0)
		health->breaker.next_try = now + SLOW_PAUSE_US;
	else
	{
		if (pg_atomic_read_u32(&health->lost_nodes) == 0)
			health->last_error[0] = '\0';
		if (pg_atomic_exchange_u32(&health->down, 0) != 0)
			(void) pg_atomic_add_fetch_u32(&health->recoveries, 1);
	}
	if (keys > 0)
		health->last_delivery = now;
	if (second != health->window_second && keys > 0)
	{
		health->rate = health->window_keys;
		health->window_second = second;
		health->window_keys = 0;
	}
	health->window_keys += keys;
	SpinLockRelease(&health->mutex);
}

/*
 * Logs a change between up and down that nobody has logged yet, and draws the
 * conclusion that takes a lock.
 */
void
inval_target_log_change(InvalTarget *target)
{
	InvalTargetHealth *health = target->health;
	uint32		down = pg_atomic_read_u32(&health->down);
	uint32		logged = down ^ 1;
	char		error[INVAL_ERROR_LEN];
	char		address[INVAL_ADDRESS_LEN];

	inval_lost_node_log(health);
	if (likely(pg_atomic_read_u32(&health->logged_down) == down))
		return;
	if (!pg_atomic_compare_exchange_u32(&health->logged_down, &logged, down))
		return;
	SpinLockAcquire(&health->mutex);
	strlcpy(error, health->last_error, sizeof(error));
	strlcpy(address, health->address, sizeof(address));
	SpinLockRelease(&health->mutex);
	if (down)
		inval_trust_end(target);
	if (down)
		ereport(LOG,
				(errmsg("inval target \"%s\" is down: %s", target->name, error),
				 errdetail("Its address is %s. Invalidations are queued.", address),
				 errhidestmt(true)));
	else
		ereport(LOG,
				(errmsg("inval target \"%s\" is up", target->name),
				 errdetail("Its address is %s.", address),
				 errhidestmt(true)));
}
