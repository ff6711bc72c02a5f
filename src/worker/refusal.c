/*
 * refusal.c
 *		Entries that their target refuses by themselves.
 *
 * Places in shared memory: how often each was tried, when the next try is due and
 * what the target said.  It is only there to space the tries and to be shown.
 * They are found by a hash of the entry.  Entries that find no place are all
 * tried at the same time, as seldom as the others in the end.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"

#include "base/backoff.h"
#include "base/settings.h"
#include "base/shared.h"
#include "worker/refusal.h"

/* The first pause; doubles up to so many times inval.retry_max. */
#define FIRST_PAUSE_US	1000000
#define LONGEST_PAUSE	60

/* An entry's place is one of so many that follow each other. */
#define PLACES			16

typedef struct RefusalHead
{
	slock_t		mutex;			/* protects the places and how many are taken */
	uint32		used;			/* places taken */
	TimestampTz others_due;		/* when those without a place are */
} RefusalHead;

static void refusal_initialize_head(void *element);
static RefusalHead *refusal_head(void);
static InvalRefusal *refusal_lookup(int64 id);
static InvalRefusal *refusal_place(int64 id, uint32 number);

static InvalSharedArea refusal_area = {
	.element_size = sizeof(InvalRefusal),
	.layout = 2,
	.preloaded = 4096,
	.reserve = 8
};

static InvalSharedArea head_area = {
	.element_size = sizeof(RefusalHead),
	.layout = 2,
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
	uint32		i;

	for (i = 0; i < PLACES; i++)
	{
		InvalRefusal *place = refusal_place(id, i);

		if (place->database == MyDatabaseId && place->id == id)
			return place;
	}
	return NULL;
}

/*
 * The places that an entry may have.
 */
static InvalRefusal *
refusal_place(int64 id, uint32 number)
{
	InvalRefusal *refusals = inval_shared_elements(&refusal_area);
	uint32		hash = hash_combine(hash_bytes((const unsigned char *) &id, sizeof(id)),
									MyDatabaseId);

	return &refusals[(hash + number) % refusal_area.count];
}

/*
 * Whether an entry may be tried now.  "alone": it is by itself in its row, as those
 * that were refused are.
 */
bool
inval_refusal_is_due(int64 id, bool alone, TimestampTz now)
{
	InvalRefusal found;

	if (inval_refusal_find(id, &found))
		return found.next_try <= now;
	return !alone || refusal_head()->others_due <= now;
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
	uint64		max_us = (uint64) inval_retry_max * 1000 * LONGEST_PAUSE;
	InvalRefusal *place;
	uint32		i;

	SpinLockAcquire(&head->mutex);
	place = refusal_lookup(id);
	for (i = 0; place == NULL && i < PLACES; i++)
	{
		InvalRefusal *candidate = refusal_place(id, i);

		if (!OidIsValid(candidate->database))
		{
			place = candidate;
			place->database = MyDatabaseId;
			place->id = id;
			place->attempts = 0;
			head->used++;
		}
	}
	if (place == NULL)
		head->others_due = now + (int64) max_us;
	else
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

	for (i = 0; i < refusal_area.count; i++)
	{
		if (refusals[i].database != database)
			continue;
		SpinLockAcquire(&head->mutex);
		if (refusals[i].database == database)
		{
			refusals[i].database = InvalidOid;
			head->used--;
		}
		SpinLockRelease(&head->mutex);
	}
}
