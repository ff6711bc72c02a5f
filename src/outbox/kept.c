/*
 * kept.c
 *		How much lies in the tables for targets that are away.
 *
 * A target that is away for hours may be owed millions of rows, and whoever asks
 * how many must not read them.  So shared memory has a count for each target.
 * Rows of transactions that are younger than the target's place there are
 * counted when their transaction commits, and so is their removal; those that
 * are older, of before the server started, are counted once by the target's worker.
 * It is for people and for limits only: what is owed, the tables say.
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"

#include "outbox/kept.h"
#include "target/targets.h"

/* What the current transaction changes, at one nesting level */
typedef struct KeptChange
{
	int32		target;
	int			level;
	int64		entries;
	bool		old;			/* rows from before the target's place */
	TimestampTz since;			/* the oldest that was added */
} KeptChange;

static KeptChange *changes = NULL;
static int	nchanges = 0;
static int	max_changes = 0;

static void kept_apply(InvalTargetHealth *health, int64 entries, TimestampTz since);
static void kept_xact_callback(XactEvent event, void *arg);
static void kept_subxact_callback(SubXactEvent event, SubTransactionId mine,
								  SubTransactionId parent, void *arg);

/*
 * Called by _PG_init.
 */
void
inval_kept_init(void)
{
	RegisterXactCallback(kept_xact_callback, NULL);
	RegisterSubXactCallback(kept_subxact_callback, NULL);
}

/*
 * Whether a transaction's rows are counted by inval_kept_count_old.
 */
bool
inval_kept_is_old(const InvalTarget *target, FullTransactionId xid)
{
	return U64FromFullTransactionId(xid) < target->health->kept_xid;
}

/*
 * Says that the current transaction adds a row of so many entries for a target to
 * those tables, or, with a negative number, removes it.
 */
void
inval_kept_change(int32 number, FullTransactionId xid, int64 entries,
				  TimestampTz queued_at)
{
	InvalTarget *target = inval_target_by_number(number);
	int			level = GetCurrentTransactionNestLevel();
	KeptChange *change;
	bool		old;
	int			i;

	if (target == NULL)
		return;
	old = inval_kept_is_old(target, xid);
	for (i = nchanges - 1; i >= 0; i--)
		if (changes[i].target == number && changes[i].level == level &&
			changes[i].old == old)
			break;
	if (i < 0)
	{
		if (nchanges == max_changes)
		{
			max_changes = Max(8, max_changes * 2);
			changes = changes == NULL ?
				MemoryContextAlloc(TopMemoryContext, max_changes * sizeof(KeptChange)) :
				repalloc(changes, max_changes * sizeof(KeptChange));
		}
		i = nchanges++;
		memset(&changes[i], 0, sizeof(KeptChange));
		changes[i].target = number;
		changes[i].level = level;
		changes[i].old = old;
	}
	change = &changes[i];
	change->entries += entries;
	if (entries > 0 && (change->since == 0 || queued_at < change->since))
		change->since = queued_at;
}

/*
 * Changes a target's count.  Cannot fail.
 */
static void
kept_apply(InvalTargetHealth *health, int64 entries, TimestampTz since)
{
	SpinLockAcquire(&health->mutex);
	if (health->kept <= 0 || (since != 0 && since < health->kept_since))
		health->kept_since = since;
	health->kept = Max(health->kept + entries, 0);
	SpinLockRelease(&health->mutex);
}

/*
 * After the commit record nothing here can fail: no target is looked for that was
 * not found before.
 */
static void
kept_xact_callback(XactEvent event, void *arg)
{
	int			i;

	(void) arg;
	if (likely(nchanges == 0) || event == XACT_EVENT_PRE_COMMIT ||
		event == XACT_EVENT_PRE_PREPARE)
		return;
	for (i = 0; i < nchanges; i++)
	{
		InvalTarget *target = inval_target_by_number(changes[i].target);

		/* Nobody will know, when what is prepared commits, that it has drained. */
		if (event != XACT_EVENT_COMMIT &&
			(event != XACT_EVENT_PREPARE || changes[i].entries > 0))
			continue;
		if (target != NULL && (!changes[i].old || target->health->kept_known))
			kept_apply(target->health, changes[i].entries, changes[i].since);
	}
	nchanges = 0;
}

static void
kept_subxact_callback(SubXactEvent event, SubTransactionId mine,
					  SubTransactionId parent, void *arg)
{
	int			level = GetCurrentTransactionNestLevel();
	int			left = 0;
	int			i;

	(void) mine;
	(void) parent;
	(void) arg;
	if (event == SUBXACT_EVENT_COMMIT_SUB)
	{
		for (i = 0; i < nchanges; i++)
			changes[i].level = Min(changes[i].level, level - 1);
	}
	else if (event == SUBXACT_EVENT_ABORT_SUB)
	{
		for (i = 0; i < nchanges; i++)
			if (changes[i].level < level)
				changes[left++] = changes[i];
		nchanges = left;
	}
}

/*
 * Says how much there is from before the target had its place in shared memory.
 */
void
inval_kept_count_old(const InvalTarget *target, int64 entries, TimestampTz since)
{
	if (entries > 0)
		kept_apply(target->health, entries, since);
	target->health->kept_known = true;
}

/*
 * How many entries are kept for a target, and since when.  False: nobody has
 * counted yet.
 */
bool
inval_kept_is_known(const InvalTarget *target, int64 *entries, TimestampTz *since)
{
	InvalTargetHealth *health = target->health;
	bool		known;

	SpinLockAcquire(&health->mutex);
	known = health->kept_known;
	*entries = health->kept;
	*since = health->kept_since;
	SpinLockRelease(&health->mutex);
	return known;
}
