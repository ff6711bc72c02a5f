/*
 * targets.c
 *		The targets of this database, by name and by number.
 *
 * The target "default" is where inval.redis_url says.  The others are items of
 * the store (store/store.c): the server "inval_target_<name>" has their options, and
 * its user mapping for PUBLIC, which only superusers can read, the URL, which may
 * contain a password.  The server of "default" is there for its rights only
 * (usage.c); the extension brings it.  That a target is paused is an item of its
 * own, because a dump has of what the extension brings nothing but its rights.
 *
 * A target's number is what the outbox calls it by.  It is a hash of the name,
 * so that it is the same after a restore or an upgrade.  What this process knows
 * of a target, its connection included, is kept until the process ends, so that
 * a pointer to it stays good after the commit record too.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "base/database.h"
#include "base/encoding.h"
#include "base/entry.h"
#include "base/settings.h"
#include "store/secret.h"
#include "store/store.h"
#include "target/health.h"
#include "target/targets.h"

static InvalTarget *first = NULL;	/* the target "default", once there is any */
static uint64 known = 0;		/* generation of the store; 0: nothing is known */
static Oid	known_database = InvalidOid;

static void targets_read(void);
static InvalTarget *targets_find(const char *name);
static InvalTarget *targets_add(const char *name);
static void targets_read_options(InvalTarget *target, const InvalStored *stored);
static void targets_keep(const char **kept, const char *text);
static char *targets_copy(const char *text);

/*
 * The number of a target: 0 for "default", never 0 for another, nor that of none.
 */
int32
inval_target_number(const char *name)
{
	int32		number;

	if (strcmp(name, INVAL_DEFAULT_TARGET) == 0)
		return 0;
	number = (int32) hash_bytes((const unsigned char *) name, (int) strlen(name));
	return number != 0 && number != INVAL_LOOK_TARGET ? number : 1;
}

/*
 * Takes notice of what has changed in the store or the settings.  Reads system
 * catalogs, so not after the commit record.
 */
void
inval_targets_refresh(void)
{
	InvalTarget *target;

	if (first == NULL)
		(void) targets_add(INVAL_DEFAULT_TARGET);
	if (known != inval_store_generation() || known_database != MyDatabaseId)
	{
		uint64		generation = inval_store_generation();

		/* Should it fail half-way, it is done again. */
		known = 0;
		targets_read();
		known = generation;
		known_database = MyDatabaseId;
	}
	for (target = first; target != NULL; target = target->next)
		if (!target->dropped)
			inval_target_configure(target, target->number == 0 ? inval_redis_url :
								   target->stored_url);
}

/*
 * The first of the targets, in no order but that "default" is first; the others
 * follow by "next".  Those that are dropped say so.
 */
InvalTarget *
inval_targets(void)
{
	if (first == NULL)
		inval_targets_refresh();
	return first;
}

/*
 * The target "default" with the current settings.
 */
InvalTarget *
inval_target_default(void)
{
	inval_targets_refresh();
	return first;
}

/*
 * A target by its number, as it was when inval_targets_refresh was last called;
 * NULL if there is none.  Cannot fail once inval_targets was called.
 */
InvalTarget *
inval_target_by_number(int32 number)
{
	InvalTarget *target;

	/* One that was dropped may have had the number of another name. */
	for (target = inval_targets(); target != NULL; target = target->next)
		if (target->number == number && !target->dropped)
			return target;
	return NULL;
}

/*
 * A target by its name; without it NULL if missing_ok, else an error.
 */
InvalTarget *
inval_target_by_name(const char *name, bool missing_ok)
{
	InvalTarget *target;

	inval_targets_refresh();
	target = targets_find(name);
	if (target != NULL && !target->dropped)
		return target;
	if (!missing_ok)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("target \"%s\" does not exist", name),
				 errhint("There is \"%s\", which inval.redis_url sets, and those that inval_add_target has made.",
						 INVAL_DEFAULT_TARGET)));
	return NULL;
}

static void
targets_read(void)
{
	List	   *items = inval_store_list(INVAL_STORE_TARGET, CurrentMemoryContext);
	InvalTarget *target;
	bool		seen_default = false;
	ListCell   *lc;

	inval_database_learn_name();
	for (target = first->next; target != NULL; target = target->next)
		target->dropped = true;
	foreach(lc, items)
	{
		InvalStored *stored = lfirst(lc);

		target = targets_find(stored->name);
		if (target == NULL)
			target = targets_add(stored->name);
		targets_read_options(target, stored);
		seen_default |= target == first;
	}
	if (!seen_default)
		targets_read_options(first, NULL);
	for (target = first->next; target != NULL; target = target->next)
		if (target->dropped)
			inval_target_disconnect(target);
}

static InvalTarget *
targets_find(const char *name)
{
	InvalTarget *target;

	for (target = first; target != NULL; target = target->next)
		if (strcmp(target->name, name) == 0)
			return target;
	return NULL;
}

static InvalTarget *
targets_add(const char *name)
{
	InvalTarget *target = MemoryContextAllocZero(TopMemoryContext, sizeof(InvalTarget));
	InvalTarget **place = &first;

	target->name = targets_copy(name);
	target->number = inval_target_number(name);
	target->health = inval_target_health(name);
	while (*place != NULL)
		place = &(*place)->next;
	*place = target;
	return target;
}

static void
targets_read_options(InvalTarget *target, const InvalStored *stored)
{
	const char *region = stored ? inval_store_option(stored, "region") : NULL;
	const char *namespace = stored ? inval_store_option(stored, "namespace") : NULL;
	const char *max_rate = stored ? inval_store_option(stored, "max_rate") : NULL;
	const char *url = stored && target->number != 0 ? inval_store_secret(stored->oid) : NULL;
	bool		paused = inval_store_get(INVAL_STORE_PAUSE, target->name, true) != NULL;

	targets_keep(&target->region, region);
	targets_keep(&target->region_key, inval_encode_or_keep(region));
	targets_keep(&target->namespace, namespace);
	/* One that cannot be converted was not set by inval_add_target: no key begins with it. */
	targets_keep(&target->namespace_key, inval_encode_or_keep(namespace));
	target->namespace_length = target->namespace_key ? strlen(target->namespace_key) : 0;
	target->max_rate = max_rate ? pg_strtoint32(max_rate) : 0;
	targets_keep(&target->stored_url, url);

	/* After a restart the first to look says so; then inval_pause does. */
	SpinLockAcquire(&target->health->mutex);
	if (!target->health->pause_known)
		pg_atomic_write_u32(&target->health->paused, paused ? 1 : 0);
	target->health->pause_known = true;
	SpinLockRelease(&target->health->mutex);
	target->dropped = target->number != 0 && target->stored_url == NULL;
}

/*
 * Takes over a text, or that there is none, if it has changed.  What was there
 * before is small and may be in use.
 */
static void
targets_keep(const char **kept, const char *text)
{
	if (*kept != NULL && text != NULL && strcmp(*kept, text) == 0)
		return;
	*kept = text ? targets_copy(text) : NULL;
}

static char *
targets_copy(const char *text)
{
	return MemoryContextStrdup(TopMemoryContext, text);
}
