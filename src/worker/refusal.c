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
#include "base/shared.h"
#include "worker/refusal.h"

/* The first pause; doubles up to 60 times inval.retry_max. */
#define FIRST_PAUSE_US	1000000

typedef struct RefusalHead
{
	slock_t		mutex;			/* protects the places and how many are taken */
	uint32		used;			/* places taken */
} RefusalHead;

static void refusal_initialize_head(void *element);
static RefusalHead *refusal_head(void);
static InvalRefusal *refusal_lookup(int64 id);

static InvalSharedArea refusal_area = {
	.element_size = sizeof(InvalRefusal),
	.layout = 1,
	.preloaded = 256,
	.reserve = 8
};

static InvalSharedArea head_area = {
	.element_size = sizeof(RefusalHead),
	.layout = 1,
	.preloaded = 1,
	.reserve = 1,
	.initialize = refusal_initialize_head
};

/*
 * Called by _PG_init.
 */
void
inval_refusal_init(void)
{
	inval_shared_add(&refusal_area);
	inval_shared_add(&head_area);
}

static void
refusal_initialize_head(void *element)
{
	SpinLockInit(&((RefusalHead *) element)->mutex);
}

static RefusalHead *
refusal_head(void)
{
	return inval_shared_elements(&head_area);
}

/*
 * Finds an entry's place, or NULL; under the mutex.
 */
static InvalRefusal *
refusal_lookup(int64 id)
{
	InvalRefusal *refusals = inval_shared_elements(&refusal_area);
	uint32		i;

	for (i = 0; i < refusal_area.count; i++)
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
	RefusalHead *head = refusal_head();
	InvalRefusal *found;

	/* Read without the mutex: a place just being filled can wait. */
	if (head->used == 0)
		return false;
	SpinLockAcquire(&head->mutex);
	found = refusal_lookup(id);
	if (found != NULL)
		*copy = *found;
	SpinLockRelease(&head->mutex);
	return found != NULL;
}

/*
 * Notes one more refusal.
 */
void
inval_refusal_note(int64 id, const char *error)
{
	RefusalHead *head = refusal_head();
	TimestampTz now = GetCurrentTimestamp();
	uint64		max_us = (uint64) inval_retry_max * 1000 * 60;
	InvalRefusal *refusals = inval_shared_elements(&refusal_area);
	InvalRefusal *place;
	uint32		i;

	SpinLockAcquire(&head->mutex);
	place = refusal_lookup(id);
	for (i = 0; place == NULL && i < refusal_area.count; i++)
	{
		InvalRefusal *candidate = &refusals[i];

		if (!OidIsValid(candidate->database))
		{
			place = candidate;
			place->database = MyDatabaseId;
			place->id = id;
			place->attempts = 0;
			head->used++;
		}
	}
	if (place != NULL)
	{
		place->next_try = now + (int64) inval_backoff_us(place->attempts,
														 FIRST_PAUSE_US, max_us);
		place->attempts++;
		strlcpy(place->error, error, sizeof(place->error));
	}
	SpinLockRelease(&head->mutex);
}

/*
 * The entry was confirmed after all.
 */
void
inval_refusal_forget(int64 id)
{
	RefusalHead *head = refusal_head();
	InvalRefusal *found;

	if (head->used == 0)
		return;
	SpinLockAcquire(&head->mutex);
	found = refusal_lookup(id);
	if (found != NULL)
	{
		found->database = InvalidOid;
		head->used--;
	}
	SpinLockRelease(&head->mutex);
}

/*
 * Gives back the places of a database.
 */
void
inval_refusal_free_database(Oid database)
{
	RefusalHead *head = refusal_head();
	InvalRefusal *refusals = inval_shared_elements(&refusal_area);
	uint32		i;

	SpinLockAcquire(&head->mutex);
	for (i = 0; i < refusal_area.count; i++)
		if (refusals[i].database == database)
		{
			refusals[i].database = InvalidOid;
			head->used--;
		}
	SpinLockRelease(&head->mutex);
}
