/*
 * breaker.c
 *		Whether a target is up or down.
 *
 * Health is shared by the sessions of a database, as a circuit breaker: the
 * first who fails to reach the target opens it ("down"), and the others then
 * leave their keys to the worker without trying.  While it is open, only the
 * worker tries (or, where there is none, one session at a time), with pauses
 * that double up to inval.retry_max; the first confirmed delivery, or an
 * answered PING when nothing is owed, closes it.
 *
 * The breaker may be opened in the commit callback, where nothing can be
 * logged; whoever next comes by in a safe place logs the change, once.
 */
#include "postgres.h"

#include "base/backoff.h"
#include "base/settings.h"
#include "target/breaker.h"
#include "target/lost_node.h"

/* The first pause after a failure; doubles with each further one. */
#define FIRST_PAUSE_US	100000

/* The longest where another server may take over: it is to be found within 1 s. */
#define FAILOVER_PAUSE_US	500000

/*
 * A target that answers each time just before inval.commit_timeout would slow
 * every commit.  After so many answers in a row that took more than half of it,
 * it is down for commits until a PING is answered faster.
 */
#define SLOW_ANSWERS		5

/*
 * Whether a commit may try to deliver.
 */
bool
inval_target_is_open(InvalTarget *target)
{
	if (pg_atomic_read_u32(&target->health->paused) != 0)
		return false;
	return !inval_target_shares_health(target) ||
		pg_atomic_read_u32(&target->health->down) == 0;
}

/*
 * Whether a target that is down should be tried now, by us.  Moves the time
 * of the next try ahead, so that nobody else does.
 */
bool
inval_target_claim_probe(InvalTarget *target)
{
	InvalTargetHealth *health = target->health;
	TimestampTz now = GetCurrentTimestamp();
	bool		claimed = false;

	if (pg_atomic_read_u32(&health->paused) != 0)
		return false;
	SpinLockAcquire(&health->mutex);
	if (now >= health->next_try)
	{
		claimed = true;
		health->next_try = now + (int64) inval_retry_max * 1000;
	}
	SpinLockRelease(&health->mutex);
	return claimed;
}

/*
 * Notes that the target could not be reached or refused everything, and opens
 * the breaker.
 */
void
inval_target_failed(InvalTarget *target, const char *error)
{
	InvalTargetHealth *health = target->health;
	TimestampTz now = GetCurrentTimestamp();
	uint64		longest = (uint64) inval_retry_max * 1000;
	uint32		attempts;

	if (!inval_target_shares_health(target))
	{
		inval_target_disconnect(target);
		return;
	}

	attempts = health->attempts;
	now += (int64) inval_backoff_us(attempts, FIRST_PAUSE_US,
									target->url.kind == INVAL_URL_SENTINEL ?
									Min(longest, FAILOVER_PAUSE_US) : longest);
	SpinLockAcquire(&health->mutex);
	health->attempts++;
	health->next_try = now;
	strlcpy(health->last_error, error, sizeof(health->last_error));
	health->resolved[0] = '\0';	/* it may be elsewhere by now */
	pg_atomic_write_u32(&health->slow, 0);
	pg_atomic_write_u32(&health->slow_answers, 0);
	pg_atomic_write_u32(&health->down, 1);
	SpinLockRelease(&health->mutex);

	/* Last, because the error may be the connection's own. */
	inval_target_disconnect(target);
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
	snprintf(health->last_error, sizeof(health->last_error),
			 "answers took more than half of inval.commit_timeout, the last one %u ms",
			 (uint32) Min(round_trip_us / 1000, PG_UINT32_MAX));
	pg_atomic_write_u32(&health->slow, 1);
	pg_atomic_write_u32(&health->down, 1);
	SpinLockRelease(&health->mutex);
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
	SpinLockAcquire(&health->mutex);
	health->attempts = 0;
	health->round_trip_us = (uint32) Min(round_trip_us, PG_UINT32_MAX);
	if (pg_atomic_read_u32(&health->slow) != 0)
		health->next_try = now + FIRST_PAUSE_US;
	else
	{
		health->next_try = 0;
		pg_atomic_write_u32(&health->down, 0);
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
 * Logs a change between up and down that nobody has logged yet.
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
