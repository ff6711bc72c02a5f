/*
 * refusal.c
 *		Entries that their target refuses by themselves.
 *
 * A few places in shared memory: how often each was tried, when the next try
 * is due and what the target said.  It is only there to space the tries and to
 * be shown; an entry that finds no place is simply tried at every turn.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "base/backoff.h"
#include "base/settings.h"
#include "worker/refusal.h"

/* The first pause; doubles up to 60 times inval.retry_max. */
#define FIRST_PAUSE_US	1000000

static InvalRefusal *refusal_lookup(int64 id);

/*
 * Finds an entry's place, or NULL; under the mutex.
 */
static InvalRefusal *
refusal_lookup(int64 id)
{
	InvalRefusal *refusals = inval_shared_refusals();
	uint32		i;

	for (i = 0; i < inval_shared()->refusals; i++)
		if (refusals[i].database == MyDatabaseId && refusals[i].id == id)
			return &refusals[i];
	return NULL;
}

/*
 * Whether an entry may be tried now.
 */
bool
inval_refusal_is_due(int64 id, TimestampTz now)
{
	InvalRefusal found;

	return !inval_refusal_find(id, &found) || found.next_try <= now;
}

/*
 * Copies what is known of an entry; false if nothing is.
 */
bool
inval_refusal_find(int64 id, InvalRefusal *copy)
{
	InvalShared *shared = inval_shared();
	InvalRefusal *found;

	/* Read without the mutex: a place just being filled can wait. */
	if (shared->refusals_used == 0)
		return false;
	SpinLockAcquire(&shared->refusal_mutex);
	found = refusal_lookup(id);
	if (found != NULL)
		*copy = *found;
	SpinLockRelease(&shared->refusal_mutex);
	return found != NULL;
}

/*
 * Notes one more refusal.
 */
void
inval_refusal_note(int64 id, const char *error)
{
	InvalShared *shared = inval_shared();
	TimestampTz now = GetCurrentTimestamp();
	uint64		max_us = (uint64) inval_retry_max * 1000 * 60;
	InvalRefusal *place;
	uint32		i;

	SpinLockAcquire(&shared->refusal_mutex);
	place = refusal_lookup(id);
	for (i = 0; place == NULL && i < shared->refusals; i++)
	{
		InvalRefusal *candidate = &inval_shared_refusals()[i];

		if (!OidIsValid(candidate->database))
		{
			place = candidate;
			place->database = MyDatabaseId;
			place->id = id;
			place->attempts = 0;
			shared->refusals_used++;
		}
	}
	if (place != NULL)
	{
		place->next_try = now + (int64) inval_backoff_us(place->attempts,
														 FIRST_PAUSE_US, max_us);
		place->attempts++;
		strlcpy(place->error, error, sizeof(place->error));
	}
	SpinLockRelease(&shared->refusal_mutex);
}

/*
 * The entry was confirmed after all.
 */
void
inval_refusal_forget(int64 id)
{
	InvalShared *shared = inval_shared();
	InvalRefusal *found;

	if (shared->refusals_used == 0)
		return;
	SpinLockAcquire(&shared->refusal_mutex);
	found = refusal_lookup(id);
	if (found != NULL)
	{
		found->database = InvalidOid;
		shared->refusals_used--;
	}
	SpinLockRelease(&shared->refusal_mutex);
}
