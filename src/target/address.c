/*
 * address.c
 *		Where a target is now.
 *
 * A URL may hold a host name, or sentinels that know which server is the
 * master.  To ask takes time that no COMMIT has: resolving has no deadline, and
 * sentinels may be as dead as the master.  So the worker asks and publishes the
 * answer in the target's health, which is all that sessions look at; only where
 * there is no worker a session asks by itself.
 *
 * What was published is forgotten with every failure of the target
 * (inval_target_failed), which also opens the breaker: whoever tries the target
 * next asks anew.  An old master that goes on answering as if nothing had
 * happened causes no failure; therefore the sentinels are also asked at
 * intervals, and a session that sees another address than that of its
 * connection makes a new one.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"

#include "base/settings.h"
#include "redis/await.h"
#include "target/address.h"
#include "target/resolve.h"
#include "target/sentinel.h"
#include "target/trust.h"

/*
 * How often the sentinels are asked while all seems well, or the master is
 * waited for: for that long keys may be removed from a master that was replaced
 * and does not know it yet.
 */
#define ASK_INTERVAL_US		500000

/* The same after no sentinel answered, because trying takes the worker's time. */
#define ASK_PAUSE_US		10000000

/* Of a name that has more addresses, so many are tried. */
#define ADDRESSES			8

static bool address_may_ask(InvalTarget *target, bool may_resolve);
static bool address_is_due(InvalTarget *target);
static bool address_ask(InvalTarget *target, uint64 deadline, bool is_known,
						InvalUrl *url, char *error, Size error_size);
static bool address_choose(const InvalTarget *target, uint64 deadline, InvalUrl *url,
						   char *error, Size error_size);
static uint32 address_mark(const InvalUrl *url);
static void address_publish(InvalTarget *target, const InvalUrl *url, bool is_known);

/*
 * Whether the connection may lead to where the target no longer is, so that
 * inval_address_find is to be called.  Cheap: every commit asks it.
 */
bool
inval_address_is_questionable(InvalTarget *target)
{
	if (target->connected_mark == 0 || !inval_target_shares_health(target))
		return false;
	return pg_atomic_read_u32(&target->health->resolved_mark) != target->connected_mark ||
		(address_is_due(target) && address_may_ask(target, false));
}

/*
 * Gives the URL with the address to connect to, and its mark, which is 0 if it
 * stands in the URL as it is.  Returns false and a message if it could not be
 * found out; with an empty message, if that is left to the worker.
 */
bool
inval_address_find(InvalTarget *target, uint64 deadline, bool may_resolve,
				   InvalUrl *url, uint32 *mark, char *error, Size error_size)
{
	InvalTargetHealth *health = target->health;
	bool		shares_health = inval_target_shares_health(target);
	bool		may_ask = address_may_ask(target, may_resolve);
	TimestampTz now = GetCurrentTimestamp();
	bool		is_known;

	*url = target->url;
	*mark = 0;
	error[0] = '\0';
	if (url->kind == INVAL_URL_UNIX ||
		(url->kind != INVAL_URL_SENTINEL && inval_url_is_address(url->host)))
		return true;

	url->host[0] = '\0';
	if (shares_health)
	{
		SpinLockAcquire(&health->mutex);
		strlcpy(url->host, health->resolved, sizeof(url->host));
		url->port = health->resolved_port;
		SpinLockRelease(&health->mutex);
	}
	is_known = url->host[0] != '\0';
	if (!is_known && !may_ask)
		return false;
	if (!is_known || (may_ask && address_is_due(target)))
	{
		if (!address_ask(target, deadline, is_known, url, error, error_size))
			return false;
		if (shares_health)
		{
			address_publish(target, url, is_known);
			inval_trust_renew(target, now);
		}
	}
	/* What a sentinel names is a server like any other. */
	if (url->kind == INVAL_URL_SENTINEL)
		url->kind = INVAL_URL_TCP;
	*mark = address_mark(url);
	return true;
}

/*
 * Whether somebody has published another address than our connection leads to:
 * what was confirmed there counts for nothing.  Cannot fail.
 */
bool
inval_address_has_changed(const InvalTarget *target)
{
	return target->connected_mark != 0 && inval_target_shares_health(target) &&
		pg_atomic_read_u32(&target->health->resolved_mark) != target->connected_mark;
}

/*
 * Whether the target is known to be elsewhere than our connection leads to.  For
 * who waits for its replies, and may be interrupted.
 */
bool
inval_address_has_moved(InvalTarget *target)
{
	uint64		deadline = inval_clock_us() + (uint64) inval_connect_timeout * 1000;
	char		error[INVAL_ERROR_LEN];
	InvalUrl	url;
	uint32		mark;

	if (target->connected_mark == 0 || !inval_target_shares_health(target))
		return false;
	if (address_may_ask(target, false) &&
		!inval_address_find(target, deadline, false, &url, &mark, error, sizeof(error)))
		return false;
	if (pg_atomic_read_u32(&target->health->resolved_mark) == target->connected_mark)
		return false;
	/* If somebody found the old one down, that says nothing of the new one. */
	SpinLockAcquire(&target->health->mutex);
	target->health->breaker.next_try = 0;
	SpinLockRelease(&target->health->mutex);
	return true;
}

/*
 * When the sentinels are due to be asked, as inval_clock_us gives it; 0 if there
 * are none.
 */
uint64
inval_address_next_question(const InvalTarget *target)
{
	return target->url.kind == INVAL_URL_SENTINEL ? Max(target->next_question, 1) : 0;
}

/*
 * While there is a worker, sentinels are its to ask: who waits for an answer
 * (may_resolve) waits until it has published one.  Unless it knows nothing of
 * our URL, it being another than its own.
 */
static bool
address_may_ask(InvalTarget *target, bool may_resolve)
{
	pid_t		worker = target->health->worker_pid;

	if (worker == 0 || worker == MyProcPid)
		return true;
	return may_resolve && (target->url.kind != INVAL_URL_SENTINEL ||
						   !inval_target_shares_health(target));
}

/*
 * Whether it is time to ask the sentinels although all seems well.
 */
static bool
address_is_due(InvalTarget *target)
{
	return target->url.kind == INVAL_URL_SENTINEL &&
		(target->health->resolved[0] == '\0' ||
		 inval_clock_us() >= target->next_question);
}

/*
 * Sets host and port of the URL.  If they are known already, that no sentinel
 * answers is no failure, and leaves time to connect; and if they stay as they
 * are, the master is not asked whether it is one: it would say so by itself.
 */
static bool
address_ask(InvalTarget *target, uint64 deadline, bool is_known, InvalUrl *url,
			char *error, Size error_size)
{
	InvalSentinelVerdict verdict;
	uint64		now = inval_clock_us();

	if (url->kind != INVAL_URL_SENTINEL)
	{
		url->port = target->url.port;
		return address_choose(target, deadline, url, error, error_size);
	}

	if (is_known)
		deadline = now + (Max(deadline, now) - now) / 2;
	verdict = inval_sentinel_find_master(&target->url, deadline, url->host,
										 &url->port, error, error_size);
	target->next_question = inval_clock_us() +
		(verdict == INVAL_SENTINEL_SILENT ? ASK_PAUSE_US : ASK_INTERVAL_US);
	return verdict == INVAL_SENTINEL_MASTER ||
		(verdict == INVAL_SENTINEL_SILENT && is_known);
}

/*
 * Sets the host to the address of a name.  Where it has several, all are tried at
 * once, in half of the time, and the first that answers is taken; or else the first
 * where somebody is, as it is he who knows what is wrong: "localhost" is often ::1, too.
 */
static bool
address_choose(const InvalTarget *target, uint64 deadline, InvalUrl *url,
			   char *error, Size error_size)
{
	char		addresses[ADDRESSES][INVAL_RESOLVED_LEN];
	InvalConnection *connections[ADDRESSES];
	InvalConnection *volatile chosen = NULL;
	int			count = inval_resolve_all(target->url.host, addresses, ADDRESSES,
										  error, error_size);
	uint64		now = inval_clock_us();
	int			i;

	if (count == 0)
		return false;
	for (i = 0; count > 1 && i < count; i++)
	{
		strlcpy(url->host, addresses[i], INVAL_RESOLVED_LEN);
		connections[i] = inval_connection_open(url, true);
	}
	PG_TRY();
	{
		if (count > 1)
			chosen = inval_await_any(connections, count, now + (Max(deadline, now) - now) / 2,
									 INVAL_WAIT_INTERRUPTIBLE);
	}
	PG_FINALLY();
	{
		for (i = 0; count > 1 && chosen == NULL && i < count; i++)
			if (connections[i]->taken)
				chosen = connections[i];
		strlcpy(url->host, addresses[0], INVAL_RESOLVED_LEN);
		for (i = 0; count > 1 && i < count; i++)
		{
			if (connections[i] == chosen)
				strlcpy(url->host, addresses[i], INVAL_RESOLVED_LEN);
			inval_connection_close(connections[i]);
		}
	}
	PG_END_TRY();
	return true;
}

static uint32
address_mark(const InvalUrl *url)
{
	uint32		mark = hash_bytes((const unsigned char *) url->host,
								  (int) strlen(url->host)) ^ (uint32) url->port;

	return mark != 0 ? mark : 1;
}

/*
 * Tells the others.  A move of which the log does not tell otherwise, the target
 * not being down, is a line of its own.
 */
static void
address_publish(InvalTarget *target, const InvalUrl *url, bool is_known)
{
	InvalTargetHealth *health = target->health;
	InvalUrl	found = *url;
	char		address[INVAL_ADDRESS_LEN];
	bool		moved;

	if (found.kind == INVAL_URL_SENTINEL)
		found.kind = INVAL_URL_TCP;
	else
		found = target->url;	/* a name says more than an address */
	inval_url_address(&found, address, sizeof(address));
	SpinLockAcquire(&health->mutex);
	moved = strcmp(health->address, address) != 0;
	strlcpy(health->resolved, url->host, sizeof(health->resolved));
	health->resolved_port = url->port;
	strlcpy(health->address, address, sizeof(health->address));
	pg_atomic_write_u32(&health->resolved_mark, address_mark(url));
	SpinLockRelease(&health->mutex);
	if (moved)
		inval_trust_end(target);
	if (moved && is_known)
		ereport(LOG,
				(errmsg("inval target \"%s\" has moved", target->name),
				 errdetail("Its address is %s.", address),
				 errhidestmt(true)));
}
