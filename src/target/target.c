/*
 * target.c
 *		One Redis deployment: where it is, and what we know of it.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "base/settings.h"
#include "base/shared.h"
#include "target/cluster.h"
#include "target/target.h"

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
 * Whether workers deliver to targets.  One may be away for a while: they take
 * turns, and one that died comes back.
 */
bool
inval_target_has_worker(void)
{
	return inval_shared_is_preloaded() && inval_workers > 0;
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
