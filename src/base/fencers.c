/*
 * fencers.c
 *		The transactions that have fences now.
 *
 * A transaction with strict rules has fences in Redis from just before its commit
 * until its keys are removed.  Workers must know of it: they renew the fences of one
 * that takes long, end those that one has left behind, and bring no functions to a
 * server that has lost them while readers there are to be kept out.  None of that
 * needs to survive a restart: then all of them have ended, and their fences do.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "port/atomics.h"

#include "base/fencers.h"
#include "base/shared.h"

typedef struct FencersHead
{
	pg_atomic_uint32 count;		/* places taken */
} FencersHead;

static void fencers_initialize_head(void *element);

/* Transactions that commit at the same time, so there can be as many as sessions. */
static InvalSharedArea fencers_area = {
	.element_size = sizeof(InvalFencer),
	.layout = 1,
	.preloaded = 1024,
	.reserve = 16
};

static InvalSharedArea head_area = {
	.element_size = sizeof(FencersHead),
	.layout = 1,
	.preloaded = 1,
	.reserve = 1,
	.initialize = fencers_initialize_head
};

static InvalFencer *mine = NULL;	/* this session's place; NULL: none */
static FullTransactionId my_xid;

/*
 * Called by _PG_init.
 */
void
inval_fencers_init(void)
{
	inval_shared_add(&fencers_area);
	inval_shared_add(&head_area);
}

static void
fencers_initialize_head(void *element)
{
	pg_atomic_init_u32(&((FencersHead *) element)->count, 0);
}

static FencersHead *
fencers_head(void)
{
	return inval_shared_elements(&head_area);
}

/*
 * Says that this session's transaction is about to take fences, and where its rows
 * in the outbox are.  Returns false if there is no room for it.  To be called before
 * the first fence is sent.
 *
 * What others have left only keeps workers from forgetting it, so its place is taken
 * where there is no other: those fences end by themselves.  Else who has his commits
 * cancelled again and again would keep everybody from theirs.
 */
bool
inval_fencers_enter(FullTransactionId xid, const BlockNumber *blocks)
{
	InvalFencer *fencers = inval_shared_elements(&fencers_area);
	FencersHead *head = fencers_head();
	slock_t    *mutex = inval_shared_mutex();
	TimestampTz now = GetCurrentTimestamp();
	InvalFencer *left = NULL;	/* for the longest time */
	uint32		i;

	SpinLockAcquire(mutex);
	for (i = 0; i < fencers_area.count && mine == NULL; i++)
	{
		/* Mostly the place of before is free. */
		InvalFencer *place = &fencers[(i + (uint32) MyProcPid) % fencers_area.count];

		if (!FullTransactionIdIsValid(place->xid))
			mine = place;
		else if (place->left && (left == NULL || place->since < left->since))
			left = place;
	}
	if (mine != NULL)
		pg_atomic_fetch_add_u32(&head->count, 1);
	else
		mine = left;
	if (mine != NULL)
	{
		mine->database = MyDatabaseId;
		mine->since = now;
		mine->left = false;
		memcpy(mine->blocks, blocks, sizeof(mine->blocks));
		mine->xid = my_xid = xid;
	}
	SpinLockRelease(mutex);
	return mine != NULL;
}

/*
 * Says that this session's transaction was rolled back, before its fences are ended:
 * who has just renewed them must know.  Returns whether there was any such
 * transaction.  Cannot fail.
 */
bool
inval_fencers_roll_back(void)
{
	TimestampTz now = GetCurrentTimestamp();
	slock_t    *mutex;

	if (mine == NULL)
		return false;
	mutex = inval_shared_mutex();
	SpinLockAcquire(mutex);
	mine->left = true;
	mine->since = now;
	SpinLockRelease(mutex);
	return true;
}

/*
 * Says that this session's transaction is over, and whether its fences are ended, or
 * about to be by what lies in the outbox.  If not, its place is left to the workers.
 * Cannot fail.
 */
void
inval_fencers_leave(bool ended)
{
	slock_t    *mutex;

	if (mine == NULL)
		return;
	mutex = inval_shared_mutex();
	SpinLockAcquire(mutex);
	/* What was left may be forgotten, and somebody else's by now. */
	if (ended && FullTransactionIdEquals(mine->xid, my_xid))
	{
		mine->xid = InvalidFullTransactionId;
		pg_atomic_fetch_sub_u32(&fencers_head()->count, 1);
	}
	SpinLockRelease(mutex);
	mine = NULL;
}

/*
 * How many places there are to be looked at: none while nobody has fences.
 */
uint32
inval_fencers_count(void)
{
	return pg_atomic_read_u32(&fencers_head()->count) == 0 ? 0 : fencers_area.count;
}

/*
 * Copies what is in a place; false if nothing is.
 */
bool
inval_fencers_read(uint32 number, InvalFencer *copy)
{
	InvalFencer *fencers = inval_shared_elements(&fencers_area);
	slock_t    *mutex = inval_shared_mutex();

	SpinLockAcquire(mutex);
	*copy = fencers[number];
	SpinLockRelease(mutex);
	return FullTransactionIdIsValid(copy->xid);
}

/*
 * Frees the place of a transaction that has left it, if it still has it.
 */
void
inval_fencers_forget(uint32 number, FullTransactionId xid)
{
	InvalFencer *fencers = inval_shared_elements(&fencers_area);
	slock_t    *mutex = inval_shared_mutex();

	SpinLockAcquire(mutex);
	if (fencers[number].left && FullTransactionIdEquals(fencers[number].xid, xid))
	{
		fencers[number].xid = InvalidFullTransactionId;
		pg_atomic_fetch_sub_u32(&fencers_head()->count, 1);
	}
	SpinLockRelease(mutex);
}

/*
 * Whether a transaction of any database that took its fences before that time may be
 * about to become visible.
 */
bool
inval_fencers_were_before(TimestampTz time)
{
	uint32		count = inval_fencers_count();
	uint32		i;

	for (i = 0; i < count; i++)
	{
		InvalFencer fencer;

		if (inval_fencers_read(i, &fencer) && !fencer.left && fencer.since <= time)
			return true;
	}
	return false;
}
