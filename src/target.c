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

#include <arpa/inet.h>
#include <netdb.h>

#include "common/hashfn.h"
#include "common/pg_prng.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "settings.h"
#include "target.h"

/* The first pause after a failure; doubles with each further one. */
#define FIRST_PAUSE_US	100000

static bool target_resolve(InvalTarget *target, bool may_resolve,
						   InvalUrl *url, char *error, Size error_size);
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
			free_slot->attempts = 0;
			free_slot->last_error[0] = '\0';
			free_slot->resolved[0] = '\0';
			free_slot->address[0] = '\0';
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
		health->attempts = 0;
		health->next_try = 0;
		health->last_error[0] = '\0';
		health->resolved[0] = '\0';
		strlcpy(health->address, address, sizeof(health->address));
		pg_atomic_write_u32(&health->down, 0);
	}
	SpinLockRelease(&health->mutex);
}

/*
 * Whether a key may be sent to the target at all.
 */
bool
inval_target_may_have(const InvalTarget *target, const InvalEntry *entry)
{
	return target->namespace == NULL ||
		(entry->key_length >= target->namespace_length &&
		 memcmp(entry->key, target->namespace, target->namespace_length) == 0);
}

/*
 * Whether what this process experiences is the shared health's concern.  A
 * superuser's session may have been told to use another URL than the worker.
 */
bool
inval_target_shares_health(InvalTarget *target)
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
 * Makes sure that there is a connection that can be used.  On failure opens
 * the breaker and returns false.  Interruptible: before the commit record only.
 */
bool
inval_target_connect(InvalTarget *target, uint64 deadline, bool may_resolve)
{
	char		error[INVAL_ERROR_LEN];
	InvalUrl	url;

	if (target->connection != NULL)
	{
		if (inval_redis_is_usable(target->connection))
			return true;
		inval_target_disconnect(target);
	}
	if (!target_resolve(target, may_resolve, &url, error, sizeof(error)))
	{
		if (may_resolve)
			inval_target_failed(target, error);
		return false;
	}
	target->connection = inval_redis_connect(&url, deadline, error, sizeof(error));
	if (target->connection != NULL)
		return true;

	/* The name may mean another address by now. */
	SpinLockAcquire(&target->health->mutex);
	target->health->resolved[0] = '\0';
	SpinLockRelease(&target->health->mutex);
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
}

/*
 * Replaces a host name by the address it means.  Resolving has no deadline, so
 * a session leaves it to the worker, which publishes what it finds; only where
 * there is no worker a session resolves by itself.
 */
static bool
target_resolve(InvalTarget *target, bool may_resolve, InvalUrl *url,
			   char *error, Size error_size)
{
	InvalTargetHealth *health = target->health;
	struct in6_addr ignored;
	struct addrinfo hints = {0};
	struct addrinfo *found = NULL;
	char		host[INVAL_RESOLVED_LEN] = "";
	int			problem;

	*url = target->url;
	if (url->is_unix || inet_pton(AF_INET, url->host, &ignored) == 1 ||
		inet_pton(AF_INET6, url->host, &ignored) == 1)
		return true;

	if (inval_target_shares_health(target))
	{
		SpinLockAcquire(&health->mutex);
		strlcpy(host, health->resolved, sizeof(host));
		SpinLockRelease(&health->mutex);
	}
	if (host[0] == '\0')
	{
		if (!may_resolve && target_has_worker(target))
			return false;
		hints.ai_socktype = SOCK_STREAM;
		problem = getaddrinfo(url->host, NULL, &hints, &found);
		if (problem == 0)
		{
			struct addrinfo *address = found;
			uint32		skip = health->attempts;

			/* After each failure the next of its addresses has its turn. */
			while (skip-- > 0)
				address = address->ai_next ? address->ai_next : found;
			problem = getnameinfo(address->ai_addr, address->ai_addrlen, host,
								  sizeof(host), NULL, 0, NI_NUMERICHOST);
		}
		if (found != NULL)
			freeaddrinfo(found);
		if (problem != 0)
		{
			snprintf(error, error_size, "could not resolve the host name: %s",
					 gai_strerror(problem));
			return false;
		}
		if (inval_target_shares_health(target))
		{
			SpinLockAcquire(&health->mutex);
			strlcpy(health->resolved, host, sizeof(health->resolved));
			SpinLockRelease(&health->mutex);
		}
	}
	strlcpy(url->host, host, sizeof(url->host));
	return true;
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
	uint32		attempts;

	if (!inval_target_shares_health(target))
	{
		inval_target_disconnect(target);
		return;
	}

	attempts = health->attempts;
	now += (int64) inval_backoff_us(attempts, FIRST_PAUSE_US,
									(uint64) inval_retry_max * 1000);
	SpinLockAcquire(&health->mutex);
	health->attempts++;
	health->next_try = now;
	strlcpy(health->last_error, error, sizeof(health->last_error));
	pg_atomic_write_u32(&health->down, 1);
	SpinLockRelease(&health->mutex);

	/* Last, because the error may be the connection's own. */
	inval_target_disconnect(target);
}

/*
 * Notes that the target confirmed that many keys (or answered a PING, with
 * none) and closes the breaker.
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
	health->next_try = 0;
	health->round_trip_us = (uint32) Min(round_trip_us, PG_UINT32_MAX);
	pg_atomic_write_u32(&health->down, 0);
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
				 errdetail("Its address is %s. Invalidations are queued.", address)));
	else
		ereport(LOG,
				(errmsg("inval target \"%s\" is up", target->name),
				 errdetail("Its address is %s.", address)));
}

/*
 * The pause after a number of failures: doubles up to a bound, spread by a
 * quarter to either side, so that many who failed together do not return
 * together.  Cannot fail.
 */
uint64
inval_backoff_us(uint32 attempts, uint64 first_us, uint64 max_us)
{
	uint64		pause = first_us << Min(attempts, 20);

	pause = Min(pause, max_us);
	return (uint64) ((double) pause *
					 (0.75 + 0.5 * pg_prng_double(&pg_global_prng_state)));
}
