/*
 * target.c
 *		One Redis deployment: where it is, and what we know of it.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "base/settings.h"
#include "base/shared.h"
#include "target/target.h"

/* So often it is looked at the files that a URL names, in us */
#define PREPARED_US		1000000

static bool target_has_key(const InvalTarget *target, const char *key, Size length);
static void target_hang_up(InvalConnection **place);

/*
 * Sees to it that the target is where the URL says, which was checked before.
 */
void
inval_target_configure(InvalTarget *target, const char *url)
{
	char		problem[INVAL_URL_PROBLEM_LEN];
	char	   *configured;

	if (target->health->database != MyDatabaseId ||
		strcmp(target->health->name, target->name) != 0)
	{
		inval_target_disconnect(target);
		target->health = inval_target_health(target->name);
	}
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

	target->pause_until = 0;
	if (inval_url_is_cluster(&target->url))
	{
		if (target->cluster == NULL)
			target->cluster = MemoryContextAlloc(TopMemoryContext, sizeof(InvalCluster));
		memset(target->cluster, 0, sizeof(InvalCluster));
		inval_slot_map_clear(&target->cluster->map);
	}

	/* Without a worker somebody has to say whose health this is. */
	if (!inval_target_has_worker())
		inval_target_adopt(target);
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
		inval_target_forget_place(health);
	}
	SpinLockRelease(&health->mutex);
}

/*
 * Whether a key may be sent to the target at all.
 */
bool
inval_target_may_have(const InvalTarget *target, const InvalEntry *entry)
{
	return target_has_key(target, entry->key, entry->key_length);
}

/*
 * The same for the stream that is told of it, if any.
 */
bool
inval_target_may_have_stream(const InvalTarget *target, const InvalEntry *entry)
{
	return entry->stream == NULL ||
		target_has_key(target, entry->stream, entry->stream_length);
}

static bool
target_has_key(const InvalTarget *target, const char *key, Size length)
{
	return target->namespace == NULL ||
		(length >= target->namespace_length &&
		 memcmp(key, target->namespace_key, target->namespace_length) == 0);
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
 * Whether workers deliver to targets.  One may be away for a while: they take
 * turns, and one that died comes back.  On a standby there are none.
 */
bool
inval_target_has_worker(void)
{
	return inval_shared_is_preloaded() && inval_workers > 0 && !RecoveryInProgress();
}

/*
 * Does what connecting takes and nobody bounds, the reading of certificates: to be
 * called before a commit's clock runs.  What goes wrong is seen in connecting.
 */
void
inval_target_prepare(InvalTarget *target)
{
	const char *error;
	uint64		now;

	if (target->url.kind != INVAL_URL_TLS && target->url.kind != INVAL_URL_CLUSTER_TLS)
		return;
	now = inval_clock_us();
	if (target->prepared_at != 0 && now - target->prepared_at < PREPARED_US)
		return;
	(void) inval_tls_prepare(&target->url, &error);
	target->prepared_at = inval_clock_us();
}

/*
 * Closes all connections.  Cannot fail.
 */
void
inval_target_disconnect(InvalTarget *target)
{
	InvalCluster *cluster = target->cluster;
	int			i;

	target_hang_up(&target->connection);
	for (i = 0; cluster != NULL && i < INVAL_MAP_NODES; i++)
		target_hang_up(&cluster->connections[i]);
	for (i = 0; cluster != NULL && i < INVAL_ASKED_MAX; i++)
		target_hang_up(&cluster->asked[i]);
	inval_seat_leave(&target->seat);
}

static void
target_hang_up(InvalConnection **place)
{
	InvalConnection *connection = *place;

	*place = NULL;
	if (connection != NULL)
		inval_connection_close(connection);
}
