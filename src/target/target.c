/*
 * target.c
 *		One Redis deployment: where it is, how it is, our connection to it.
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

#include "common/hashfn.h"
#include "common/pg_prng.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "base/settings.h"
#include "target/address.h"
#include "target/cluster.h"
#include "target/lost_node.h"
#include "target/target.h"

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

static void target_forget_place(InvalTargetHealth *health);
static bool target_connect_cluster(InvalTarget *target, uint64 deadline,
								   bool may_resolve);
static bool target_has_worker(const InvalTarget *target);

/*
 * Sees to it that the target is where the URL says, which was checked before.
 */
void
inval_target_configure(InvalTarget *target, const char *url)
{
	char		problem[INVAL_URL_PROBLEM_LEN];
	char	   *configured;

	if (target->health->database != MyDatabaseId)
		target->health = inval_target_health(target->name);
	if (target->configured != NULL && strcmp(target->configured, url) == 0)
		return;
	configured = MemoryContextStrdup(TopMemoryContext, url);
	inval_target_disconnect(target);
	if (target->configured != NULL)
		pfree(target->configured);
	target->configured = configured;
	if (!inval_url_parse(configured, &target->url, problem))
		elog(ERROR, "the URL of target \"%s\" was accepted and cannot be parsed",
			 target->name);
	target->url_hash = hash_bytes((const unsigned char *) configured,
								  (int) strlen(configured));
	if (target->url_hash == 0)
		target->url_hash = 1;

	if (inval_url_is_cluster(&target->url))
	{
		if (target->cluster == NULL)
			target->cluster = inval_cluster_create();
		inval_cluster_configure(target->cluster, &target->url);
	}

	/* Without a worker somebody has to say whose health this is. */
	if (!target_has_worker(target))
		inval_target_adopt(target);
}

/*
 * The shared health of a target in this database, claimed on first use.
 */
InvalTargetHealth *
inval_target_health(const char *name)
{
	InvalShared *shared = inval_shared();
	InvalTargetHealth *free_slot = NULL;
	InvalTargetHealth *found = NULL;
	uint32		i;

	/* Whoever looks at a target wants the database to have a worker. */
	(void) inval_shared_database();
	SpinLockAcquire(&shared->mutex);
	for (i = 0; i < shared->targets; i++)
	{
		InvalTargetHealth *health = &inval_shared_targets()[i];

		if (health->database == MyDatabaseId && strcmp(health->name, name) == 0)
		{
			found = health;
			break;
		}
		if (free_slot == NULL && !OidIsValid(health->database))
			free_slot = health;
	}
	if (found == NULL)
	{
		/* With none free, the last one's owners share their breaker. */
		found = free_slot ? free_slot : &inval_shared_targets()[shared->targets - 1];
		if (free_slot != NULL)
		{
			free_slot->database = MyDatabaseId;
			strlcpy(free_slot->name, name, sizeof(free_slot->name));
			free_slot->url_hash = 0;
			free_slot->address[0] = '\0';
			pg_atomic_write_u32(&free_slot->resolved_mark, 0);
			target_forget_place(free_slot);
			free_slot->progress[0] = '\0';
			free_slot->collapsed_at = 0;
			free_slot->collapsed_keys = 0;
			pg_atomic_write_u32(&free_slot->paused, 0);
			free_slot->pause_known = false;
		}
	}
	SpinLockRelease(&shared->mutex);
	return found;
}

/*
 * Makes the shared health that of the URL this process uses.  The worker does
 * so, since it is the one that delivers for the database.
 */
void
inval_target_adopt(InvalTarget *target)
{
	InvalTargetHealth *health = target->health;
	char		address[INVAL_ADDRESS_LEN];

	inval_url_address(&target->url, address, sizeof(address));
	SpinLockAcquire(&health->mutex);
	if (health->url_hash != target->url_hash)
	{
		health->url_hash = target->url_hash;
		strlcpy(health->address, address, sizeof(health->address));
		target_forget_place(health);
	}
	SpinLockRelease(&health->mutex);
}

/*
 * Forgets what is known of the servers that a target was at.  Down or up, it
 * stays so until the new place was tried, which is due now.  Under a mutex.
 */
static void
target_forget_place(InvalTargetHealth *health)
{
	health->attempts = 0;
	health->next_try = 0;
	health->last_error[0] = '\0';
	health->resolved[0] = '\0';
	memset(health->lost, 0, sizeof(health->lost));
	pg_atomic_write_u32(&health->lost_nodes, 0);
	pg_atomic_write_u32(&health->lost_news, 0);
	pg_atomic_write_u32(&health->slow_answers, 0);
	pg_atomic_write_u32(&health->slow, 0);
}

/*
 * Whether a key may be sent to the target at all.
 */
bool
inval_target_may_have(const InvalTarget *target, const InvalEntry *entry)
{
	return target->namespace == NULL ||
		(entry->key_length >= target->namespace_length &&
		 memcmp(entry->key, target->namespace_key, target->namespace_length) == 0);
}

/*
 * Whether what this process experiences is the shared health's concern.  A
 * superuser's session may have been told to use another URL than the worker.
 */
bool
inval_target_shares_health(const InvalTarget *target)
{
	return target->health->url_hash == target->url_hash ||
		target->health->url_hash == 0;
}

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

static bool
target_has_worker(const InvalTarget *target)
{
	return target->health->worker_pid != 0;
}

/*
 * Makes sure that there is a connection that can be used; for a cluster, that
 * its nodes are known.  On failure opens the breaker and returns false.
 * Interruptible: before the commit record only.
 */
bool
inval_target_connect(InvalTarget *target, uint64 deadline, bool may_resolve)
{
	char		error[INVAL_ERROR_LEN] = "";
	InvalUrl	url;
	uint32		mark;

	if (inval_url_is_cluster(&target->url))
		return target_connect_cluster(target, deadline, may_resolve);
	if (inval_target_is_connected(target) && !inval_address_is_questionable(target))
		return true;
	if (!inval_address_find(target, deadline, may_resolve, &url, &mark,
							error, sizeof(error)))
	{
		/* Without a reason it is the worker's to find out. */
		if (error[0] != '\0')
			inval_target_failed(target, error);
		return false;
	}
	if (inval_target_is_connected(target) && target->connected_mark == mark)
		return true;
	inval_target_disconnect(target);
	target->connection = inval_redis_connect(&url, deadline, error, sizeof(error));
	target->connected_mark = mark;
	if (target->connection != NULL)
	{
		target->connections++;
		return true;
	}
	inval_target_failed(target, error);
	return false;
}

/*
 * Whether there is a connection that can be used; for a cluster, perhaps to some
 * of its nodes.
 */
bool
inval_target_is_connected(InvalTarget *target)
{
	if (inval_url_is_cluster(&target->url))
		return target->cluster->loaded;
	return target->connection != NULL && inval_redis_is_usable(target->connection);
}

/*
 * A cluster that is down shows that it is back by telling its nodes; whether
 * those take anything, the next delivery shows.
 */
static bool
target_connect_cluster(InvalTarget *target, uint64 deadline, bool may_resolve)
{
	InvalCluster *cluster = target->cluster;
	bool		down = !inval_target_is_open(target);
	char		error[INVAL_ERROR_LEN];

	cluster->health = inval_target_shares_health(target) ? target->health : NULL;
	cluster->may_probe = cluster->health != NULL &&
		(may_resolve || !target_has_worker(target));
	if (inval_cluster_find_nodes(cluster, deadline, may_resolve, down,
								 error, sizeof(error)))
	{
		if (down && cluster->may_probe)
			inval_lost_node_retry_all(cluster->health);
		return true;
	}
	if (error[0] != '\0')
		inval_target_failed(target, error);
	return false;
}

void
inval_target_disconnect(InvalTarget *target)
{
	InvalConnection *connection = target->connection;

	target->connection = NULL;
	if (connection != NULL)
		inval_redis_close(connection);
	if (target->cluster != NULL)
		inval_cluster_disconnect(target->cluster);
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

/*
 * The pause after a number of failures: doubles up to a bound, less up to a
 * quarter, so that many who failed together do not return together.  Cannot
 * fail.
 */
uint64
inval_backoff_us(uint32 attempts, uint64 first_us, uint64 max_us)
{
	uint64		pause = first_us << Min(attempts, 20);

	pause = Min(pause, max_us);
	return (uint64) ((double) pause *
					 (0.75 + 0.25 * pg_prng_double(&pg_global_prng_state)));
}
