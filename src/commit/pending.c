/*
 * pending.c
 *		The invalidations that this transaction owes: a set for each lane and target.
 *
 * Memory is bounded by inval.pending_memory.  Where a set would have to grow
 * beyond it, the entries of the current level go to the outbox early, in the
 * worker's lane, as rows of the current subtransaction: should that be rolled
 * back, so are they.  Entries of outer levels cannot go (their rows would be
 * rolled back with the inner level) and stay; so each open savepoint may hold
 * SPILL_MINIMUM on top of the bound.
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"

#include "base/settings.h"
#include "commit/pending.h"
#include "commit/pending_set.h"
#include "outbox/outbox.h"
#include "stats/stats.h"

/* Smaller tails are not worth a row in the outbox. */
#define SPILL_MINIMUM		8000

/* Each is allocated by itself, because its table points to it. */
static PendingSet **sets = NULL;
static int	nsets = 0;
static int	max_sets = 0;
static PendingSet *last_set = NULL;	/* that something was added to */

static MemoryContext pending_context = NULL;
static bool flushed = false;	/* the outbox has it all */
static bool spilled = false;	/* the outbox may have some already */

static PendingSet *pending_find(InvalLane lane, int32 target, int after_ms);
static bool pending_is_full(const PendingSet *set, Size size);
static void pending_spill(PendingSet *set);

/*
 * Adds an invalidation for a target, by its number.  Returns false if the lane
 * has it already (the rule is not part of what makes two of them the same).  May
 * write to the outbox, hence raise any error of a table insert.
 */
bool
inval_pending_add(InvalLane lane, int32 target, int after_ms, const InvalEntry *entry)
{
	PendingSet *set;
	Size		size = inval_entry_size(entry);

	if (unlikely(flushed))
	{
		/*
		 * Another extension's callback changed rows after ours had written
		 * the outbox.  Late, but still in the transaction.
		 */
		char	   *bytes = palloc(size);

		if (lane == INVAL_LANE_STRICT)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("inval rule %u is strict, and it is too late to fence its keys",
							entry->rule),
					 errdetail("The row was changed by what another extension does at commit.")));
		if (lane != INVAL_LANE_SHADOW)
		{
			inval_entry_write(bytes, entry);
			inval_outbox_write(bytes, size, inval_pending_worker_lane(lane), target, after_ms,
							   INVAL_OUTBOX_LASTING);
		}
		pfree(bytes);
		return true;
	}

	set = pending_find(lane, target, after_ms);
	if (pending_is_full(set, size))
		pending_spill(set);
	inval_pending_set_reserve(set, size);
	return inval_pending_set_insert(set, entry, size);
}

/*
 * Whether there is no more memory for an entry, so that adding it would move
 * others to the outbox.
 */
bool
inval_pending_is_full(InvalLane lane, int32 target, const InvalEntry *entry)
{
	PendingSet *set = pending_find(lane, target, 0);

	return set->log != NULL && !flushed && pending_is_full(set, inval_entry_size(entry));
}

/*
 * The set of a lane and a target, which may be empty.  Valid until it changes.
 */
InvalOwed
inval_pending_find_set(InvalLane lane, int32 target)
{
	InvalOwed	none = {lane, target, 0, NULL, 0};
	int			i;

	for (i = 0; i < nsets; i++)
		if (sets[i]->lane == lane && sets[i]->target == target)
			return inval_pending_set(i);
	return none;
}

/*
 * Forgets what a lane owes to a target, because it is in the outbox.
 */
void
inval_pending_forget(InvalLane lane, int32 target)
{
	inval_pending_set_clear(pending_find(lane, target, 0));
	spilled = true;
}

/*
 * How many sets there are; some may be empty.
 */
int
inval_pending_sets(void)
{
	return nsets;
}

/*
 * A set: its entries in the order they were added.  Valid until it changes.
 */
InvalOwed
inval_pending_set(int i)
{
	InvalOwed	owed = {sets[i]->lane, sets[i]->target, sets[i]->after_ms,
	sets[i]->log, sets[i]->length};

	return owed;
}

/*
 * Whether some of this transaction's invalidations went to the outbox early.
 */
bool
inval_pending_did_spill(void)
{
	return spilled;
}

/*
 * Says that some did.
 */
void
inval_pending_spilled(void)
{
	spilled = true;
}

/*
 * Says whether the outbox has it all: what comes then goes there directly.
 */
void
inval_pending_flushed(bool all)
{
	flushed = all;
}

bool
inval_pending_is_flushed(void)
{
	return flushed;
}

/*
 * The current subtransaction becomes part of its parent.
 */
void
inval_pending_subcommit(void)
{
	int			level = GetCurrentTransactionNestLevel();
	int			i;

	for (i = 0; i < nsets; i++)
		inval_pending_set_subcommit(sets[i], level);
}

/*
 * The current subtransaction never happened.
 */
void
inval_pending_subabort(void)
{
	int			level = GetCurrentTransactionNestLevel();
	int			i;

	for (i = 0; i < nsets; i++)
		inval_pending_set_subabort(sets[i], level);
}

/*
 * Forgets everything, at the end of the transaction.
 */
void
inval_pending_reset(void)
{
	bool		keep = true;
	int			i;

	flushed = false;
	spilled = false;
	if (pending_context == NULL)
		return;
	for (i = 0; i < nsets; i++)
		if (inval_pending_set_is_large(sets[i]))
			keep = false;
	if (!keep)
	{
		sets = NULL;
		nsets = max_sets = 0;
		last_set = NULL;
		MemoryContextReset(pending_context);
		return;
	}
	for (i = 0; i < nsets; i++)
		inval_pending_set_clear(sets[i]);
}

/*
 * The lane of what goes to the outbox early, or late, or is prepared: it is the
 * worker's.
 */
InvalLane
inval_pending_worker_lane(InvalLane lane)
{
	return inval_pending_is_counted(lane) ? INVAL_LANE_WORKER : lane;
}

/*
 * Whether a lane is of invalidations that are counted where they are queued: not of
 * what comes later, or once more.
 */
bool
inval_pending_is_counted(InvalLane lane)
{
	return lane != INVAL_LANE_REPEAT && lane != INVAL_LANE_LOOK && lane != INVAL_LANE_REFILL;
}

/*
 * The set of a lane and a target, made on first use.
 */
static PendingSet *
pending_find(InvalLane lane, int32 target, int after_ms)
{
	int			i;

	if (likely(last_set != NULL && last_set->lane == lane && last_set->target == target &&
			   last_set->after_ms == after_ms))
		return last_set;
	for (i = 0; i < nsets; i++)
		if (sets[i]->lane == lane && sets[i]->target == target &&
			sets[i]->after_ms == after_ms)
			return last_set = sets[i];

	if (pending_context == NULL)
		pending_context = AllocSetContextCreate(TopMemoryContext, "inval pending",
												ALLOCSET_DEFAULT_SIZES);
	if (nsets == max_sets)
	{
		int			max = Max(4, max_sets * 2);

		if (sets == NULL)
			sets = MemoryContextAlloc(pending_context, max * sizeof(PendingSet *));
		else
			sets = repalloc(sets, max * sizeof(PendingSet *));
		max_sets = max;
	}
	last_set = inval_pending_set_create(pending_context, lane, target, after_ms);
	sets[nsets++] = last_set;
	return last_set;
}

/*
 * Whether a set would have to grow for an entry of "size" bytes, and must not.
 */
static bool
pending_is_full(const PendingSet *set, Size size)
{
	Size		memory = inval_pending_set_growth(set, size);
	int			i;

	if (likely(memory == 0))
		return false;
	for (i = 0; i < nsets; i++)
		memory += inval_pending_set_memory(sets[i]);
	return memory > (Size) inval_pending_memory * 1024 || !inval_pending_set_pays(set);
}

/*
 * Moves what the current level has added to the outbox, if it is worth a row.
 */
static void
pending_spill(PendingSet *set)
{
	Size		start = inval_pending_set_level_start(set);

	if (set->length - start < SPILL_MINIMUM)
		return;
	if (set->lane == INVAL_LANE_STRICT)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many keys of strict rules in one transaction"),
				 errdetail("All of them must be fenced before the commit, and there is no more memory to note them."),
				 errhint("Raise inval.pending_memory, or change fewer rows in one transaction.")));

	if (inval_pending_is_counted(set->lane))
		inval_stats_count_queued(set->target, set->log + start, set->length - start, false);
	if (set->lane != INVAL_LANE_SHADOW)
		inval_outbox_write(set->log + start, set->length - start,
						   inval_pending_worker_lane(set->lane), set->target, set->after_ms,
						   INVAL_OUTBOX_LASTING);
	inval_pending_set_truncate(set, start);
	spilled = true;
}
