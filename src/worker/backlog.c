/*
 * backlog.c
 *		Bounds what a long outage of a target leaves in the queue.
 *
 * While its target is down, the worker measures from time to time what is queued
 * for it.  Beyond inval.backlog_max_keys or inval.backlog_max_age the backlog
 * collapses: in one transaction its rows are deleted, and one entry is queued
 * that removes everything in the target's namespace (removal.c).  That removes
 * more than was owed, and nothing less: a key's place in the backlog is taken by
 * the removal of all keys that start like it.
 *
 * So only rows collapse whose every entry removes a key within the namespace, or has
 * no more to do when the key is gone (a number starts from the clock then), and tells
 * nothing.
 * Others stay: repetitions that are not due, since the removal may come before
 * their time; what paused rules owe; entries that the target refuses by themselves,
 * which it would refuse then, too; keys from before the namespace was changed; what
 * this version cannot read.  What is queued after it waits for the target as usual,
 * and when it is too much in its turn, collapses into the same entry.
 *
 * Without a namespace, and while the target is paused, which somebody has decided
 * and will end, nothing is dropped and a warning says that the queue grows.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/xact.h"
#include "utils/rel.h"

#include "base/progress.h"
#include "base/settings.h"
#include "base/transaction.h"
#include "outbox/kept.h"
#include "outbox/outbox.h"
#include "outbox/paused.h"
#include "outbox/read.h"
#include "store/pauses.h"
#include "worker/backlog.h"
#include "worker/refusal.h"

/* So many rows are deleted between two notes of how far it is. */
#define PROGRESS_ROWS	1024

/* The next warning comes when things are so many times worse. */
#define WARN_AGAIN		10

typedef struct Backlog
{
	InvalTarget *target;
	TimestampTz now;
	Relation	relation;		/* that rows are deleted from */
	int64		entries;
	TimestampTz oldest;			/* of them */
	bool		had_removal;	/* among the rows that were deleted */
	bool		fence;			/* some of them void leases, too */
	bool		again;			/* some are repeated when standbys have replayed them */
	InvalProgress *progress;	/* where others see it */
	int			rows;			/* that were deleted */
} Backlog;

/* What was kept before the server started */
typedef struct BacklogOld
{
	const InvalTarget *target;
	int64		entries;
	TimestampTz since;
} BacklogOld;

static TimestampTz next_measure = 0;	/* 0: the outage has just begun */
static int64 spared = 0;		/* entries that did not collapse, and */
static TimestampTz collapsed = 0;	/* when that was; 0: never in this outage */
static double warned = 0;		/* how far beyond the limit it was; 0: not yet */

static bool backlog_visit_old(InvalOutboxRow *row, void *arg);
static void backlog_measure(Backlog *backlog);
static bool backlog_is_part(const Backlog *backlog, const InvalOutboxRow *row,
							bool *is_removal, bool *fence);
static bool backlog_is_covered(const InvalTarget *target, const InvalOutboxRow *row,
							   bool *is_removal, bool *fence);
static double backlog_excess(const Backlog *backlog);
static void backlog_collapse(Backlog *backlog);
static bool backlog_drop_row(InvalOutboxRow *row, void *arg);
static void backlog_queue_removal(const Backlog *backlog);
static void backlog_announce(const Backlog *backlog);
static void backlog_warn(const Backlog *backlog, double excess);

/*
 * Counts what was kept for a target before the server started, if nobody has yet.
 */
void
inval_backlog_begin(const InvalTarget *target)
{
	BacklogOld	old = {.target = target};
	bool		read = true;
	int			table;

	if (target->health->kept_known)
		return;
	inval_transaction_begin();
	for (table = INVAL_OUTBOX_KEPT; table < INVAL_OUTBOX_TABLES; table++)
		read &= inval_outbox_scan(table, 0, backlog_visit_old, &old);
	inval_transaction_commit();
	if (read)
		inval_kept_count_old(target, old.entries, old.since);
}

static bool
backlog_visit_old(InvalOutboxRow *row, void *arg)
{
	BacklogOld *old = arg;

	if (row->target != old->target->number || !inval_kept_is_old(old->target, row->xid) ||
		!inval_outbox_is_owed(row))
		return true;
	old->entries += row->entries;
	if (old->since == 0 || row->queued_at < old->since)
		old->since = row->queued_at;
	return true;
}

/*
 * Looks, if it is time to, at what is queued for a target that takes nothing.
 * Returns whether it has collapsed.
 */
bool
inval_backlog_watch(InvalTarget *target)
{
	Backlog		backlog = {.target = target, .now = GetCurrentTimestamp()};
	double		excess;

	/* A moment's outage is none: the first look comes after a pause. */
	if (next_measure == 0)
		next_measure = TimestampTzPlusMilliseconds(backlog.now, inval_sweep_interval);
	if (backlog.now < next_measure)
		return false;
	backlog_measure(&backlog);
	excess = backlog_excess(&backlog);
	next_measure = TimestampTzPlusMilliseconds(backlog.now, inval_sweep_interval);
	if (excess <= 1)
		return false;
	if (target->namespace == NULL ||
		pg_atomic_read_u32(&target->health->paused) != 0)
	{
		backlog_warn(&backlog, excess);
		return false;
	}
	backlog_collapse(&backlog);
	(void) inval_kept_is_known(target, &spared, &backlog.oldest);
	collapsed = backlog.now;
	return backlog.entries > 0;
}

/*
 * The outage is over: the next one is warned of anew.
 */
void
inval_backlog_relax(void)
{
	warned = 0;
	spared = 0;
	collapsed = 0;
	next_measure = 0;
}

/*
 * Measures the backlog: what lies where rows for targets that are away are kept,
 * except for what an attempt to collapse it has left.
 */
static void
backlog_measure(Backlog *backlog)
{
	backlog->entries = 0;
	if (inval_backlog_max_keys == 0 && inval_backlog_max_age == 0)
		return;
	if (!inval_kept_is_known(backlog->target, &backlog->entries, &backlog->oldest))
		backlog->entries = 0;
	backlog->entries = Max(backlog->entries - spared, 0);
	backlog->oldest = Max(backlog->oldest, collapsed);
}

/*
 * Whether a row would collapse; "is_removal": it is what others have collapsed
 * into before; "fence": it voids leases.
 */
static bool
backlog_is_part(const Backlog *backlog, const InvalOutboxRow *row, bool *is_removal,
				bool *fence)
{
	InvalRefusal refusal;

	if (row->target != backlog->target->number || !inval_outbox_is_owed(row) ||
		(row->lane == INVAL_LANE_REPEAT && row->queued_at > backlog->now) ||
		inval_outbox_is_waiting(row) || inval_outbox_paused(row) > 0 ||
		!backlog_is_covered(backlog->target, row, is_removal, fence))
		return false;
	return *is_removal ||
		!inval_refusal_find(inval_outbox_entry_id(row->xid, row->first), &refusal);
}

/*
 * Whether the removal of the target's namespace does all that a row asks for.
 * Without a namespace every row that can be read counts.
 */
static bool
backlog_is_covered(const InvalTarget *target, const InvalOutboxRow *row,
				   bool *is_removal, bool *fence)
{
	const char *place = row->pack;
	int			i;

	*is_removal = *fence = false;
	for (i = 0; i < row->entries; i++)
	{
		InvalEntry	entry;

		place = inval_entry_read(place, row->pack + row->pack_length, &entry);
		if (place == NULL || !inval_target_may_have(target, &entry))
			return false;
		/* Leases of members are void with them. */
		*fence |= entry.fence || entry.action == INVAL_ACTION_MEMBERS;
		if (entry.action == INVAL_ACTION_PREFIX)
		{
			/* A purge's row in the log waits for what it has removed. */
			if (entry.field != NULL)
				return false;
			*is_removal = entry.key_length == target->namespace_length;
		}
		else if (entry.action == INVAL_ACTION_NONE || inval_entry_is_told(&entry))
			return false;
	}
	return true;
}

/*
 * How many times a limit the backlog is.
 */
static double
backlog_excess(const Backlog *backlog)
{
	double		keys = 0;
	double		age = 0;

	if (backlog->entries == 0)
		return 0;
	if (inval_backlog_max_keys > 0)
		keys = (double) backlog->entries / inval_backlog_max_keys;
	if (inval_backlog_max_age > 0)
		age = (double) (backlog->now - backlog->oldest) / USECS_PER_SEC /
			inval_backlog_max_age;
	return Max(keys, age);
}

/*
 * Deletes the rows and queues the removal.  All or nothing is what one
 * transaction is for; whoever looks at the queue sees one or the other.
 */
static void
backlog_collapse(Backlog *backlog)
{
	int			table;

	inval_transaction_begin();
	inval_pauses_refresh();
	backlog->progress = inval_progress_begin("collapse", backlog->target->name,
											 backlog->entries);
	backlog->entries = 0;
	for (table = 0; table < INVAL_OUTBOX_TABLES; table++)
	{
		backlog->relation = inval_outbox_open(table, RowExclusiveLock);
		if (backlog->relation == NULL)
			break;				/* the extension is gone */
		(void) inval_outbox_scan(table, 0, backlog_drop_row, backlog);
		relation_close(backlog->relation, NoLock);
	}
	if (backlog->entries > 0 || backlog->had_removal)
		backlog_queue_removal(backlog);
	inval_transaction_commit();
	inval_progress_end(backlog->progress);
	if (backlog->entries > 0)
		backlog_announce(backlog);
}

/*
 * A row that somebody else is just delivering or moving is left to them.
 */
static bool
backlog_drop_row(InvalOutboxRow *row, void *arg)
{
	Backlog    *backlog = arg;
	bool		is_removal;
	bool		fence;

	if (!backlog_is_part(backlog, row, &is_removal, &fence) ||
		!inval_outbox_delete(backlog->relation, row))
		return true;
	backlog->fence |= fence;
	backlog->again |= row->again;
	if (is_removal)
	{
		backlog->had_removal = true;
		inval_refusal_forget(inval_outbox_entry_id(row->xid, row->first));
	}
	else
		backlog->entries += row->entries;
	if (++backlog->rows % PROGRESS_ROWS == 0)
		inval_progress_update(backlog->progress, backlog->entries);
	backlog->oldest = Min(backlog->oldest, row->queued_at);
	return true;
}

/*
 * The entry is as old as the oldest that it stands for.
 */
static void
backlog_queue_removal(const Backlog *backlog)
{
	InvalEntry	entry = {.action = INVAL_ACTION_PREFIX,
		.fence = backlog->fence,
		.key = backlog->target->namespace_key,
	.key_length = (uint32) backlog->target->namespace_length};
	InvalOutboxRow row = {.xid = GetTopFullTransactionId(),
		.target = backlog->target->number,
		.lane = INVAL_LANE_WORKER,
		.again = backlog->again,
		.entries = 1,
	.queued_at = backlog->oldest};
	char	   *pack = palloc(inval_entry_size(&entry));

	row.pack = pack;
	row.pack_length = (Size) (inval_entry_write(pack, &entry) - pack);
	inval_outbox_write_row(&row, false);
	pfree(pack);
}

static void
backlog_announce(const Backlog *backlog)
{
	InvalTargetHealth *health = backlog->target->health;

	SpinLockAcquire(&health->mutex);
	health->collapsed_at = backlog->now;
	health->collapsed_keys = backlog->entries;
	SpinLockRelease(&health->mutex);
	ereport(LOG,
			(errmsg("inval target \"%s\" is down, and its backlog of %lld invalidations is replaced by the removal of its namespace",
					backlog->target->name, (long long) backlog->entries),
			 errdetail("All keys that start with \"%s\" are removed when the target is back.",
					   backlog->target->namespace),
			 errhint("The limits are inval.backlog_max_keys and inval.backlog_max_age.")));
}

static void
backlog_warn(const Backlog *backlog, double excess)
{
	bool		paused = pg_atomic_read_u32(&backlog->target->health->paused) != 0;

	if (warned > 0 && excess < warned * WARN_AGAIN)
		return;
	warned = excess;
	ereport(WARNING,
			(errmsg("inval target \"%s\" is %s, and %lld invalidations are queued for it",
					backlog->target->name, paused ? "paused" : "down",
					(long long) backlog->entries),
			 paused ?
			 errdetail("Nothing is dropped while a target is paused, and the queue goes on growing.") :
			 errdetail("Nothing is dropped, because the target has no namespace, and the queue goes on growing."),
			 paused ? errhint("Resume the target by inval_resume.") :
			 errhint("The limits are inval.backlog_max_keys and inval.backlog_max_age.")));
}
