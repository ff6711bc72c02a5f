/*
 * pending.c
 *		The set of invalidations that this transaction owes.
 *
 * For each lane and target there is a log of entries in the order they were added, in the
 * format of the outbox, and a hash table of positions in it that removes
 * duplicates.  Subtransactions nest, so what a subtransaction (with those
 * inside it) has added is always the tail of the log: rolling back to a
 * savepoint truncates.  A mark remembers where the tail of a nesting level
 * begins; levels that add nothing have none and cost nothing.
 *
 * Memory is bounded by inval.pending_memory.  Where a log or a table would
 * have to grow beyond it, the entries of the current level go to the outbox
 * early, in the worker's lane, as rows of the current subtransaction: should
 * that be rolled back, so are they.  Entries of outer levels cannot go (their
 * rows would be rolled back with the inner level) and stay; so each open
 * savepoint may hold SPILL_MINIMUM on top of the bound.
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"

#include "base/settings.h"
#include "commit/pending.h"
#include "outbox/outbox.h"
#include "stats/stats.h"

/* Smaller tails are not worth a row in the outbox. */
#define SPILL_MINIMUM		8000

/*
 * From this many entries on, a table without duplicates is not worth the misses
 * of the processor's cache that each look into it takes.
 */
#define KEEP_LOOKING		32768

/* How many of the entries it was asked for must be in it to be worth them. */
#define WORTH_LOOKING		(1.0 / 16)

/* Kept from one transaction to the next; larger ones are given back. */
#define KEEP_LOG			(32 * 1024)
#define KEEP_POSITIONS		1024

typedef struct PositionEntry
{
	uint32		position;		/* of an entry in the log */
	uint32		hash;
	char		status;
} PositionEntry;

typedef struct PendingSet PendingSet;

/* The hash table's view of an entry in the log */
static uint32 pending_hash_at(const PendingSet *set, uint32 position);
static bool pending_equal_at(const PendingSet *set, uint32 a, uint32 b);

#define SH_PREFIX positions
#define SH_ELEMENT_TYPE PositionEntry
#define SH_KEY_TYPE uint32
#define SH_KEY position
#define SH_HASH_KEY(tb, key) pending_hash_at((PendingSet *) (tb)->private_data, key)
#define SH_EQUAL(tb, a, b) pending_equal_at((PendingSet *) (tb)->private_data, a, b)
#define SH_STORE_HASH
#define SH_GET_HASH(tb, a) ((a)->hash)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

typedef struct PendingMark
{
	int			level;			/* transaction nesting level, from 2 on */
	Size		length;			/* the log when that level began to add */
} PendingMark;

struct PendingSet
{
	InvalLane	lane;
	int32		target;
	int			after_ms;		/* see InvalOwed */
	char	   *log;
	Size		length;
	Size		capacity;
	struct positions_hash *positions;	/* NULL until first used */
	PendingMark *marks;
	int			nmarks;
	int			max_marks;
	uint32		duplicates;		/* found since the table was last empty */
};

/* Each is allocated by itself, because its table points to it. */
static PendingSet **sets = NULL;
static int	nsets = 0;
static int	max_sets = 0;
static PendingSet *last_set = NULL;	/* that something was added to */

static MemoryContext pending_context = NULL;
static bool flushed = false;	/* the outbox has it all */
static bool spilled = false;	/* the outbox may have some already */

static PendingSet *pending_find(InvalLane lane, int32 target, int after_ms);
static void pending_mark_level(PendingSet *set);
static void pending_make_room(PendingSet *set, Size size);
static Size pending_growth(const PendingSet *set, Size size);
static bool pending_is_worth_it(const PendingSet *set);
static Size pending_memory(void);
static void pending_spill(PendingSet *set);
static void pending_truncate(PendingSet *set, Size length);
static InvalEntry pending_read(const PendingSet *set, uint32 position);

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
	PositionEntry *position;
	bool		found;

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
	pending_make_room(set, size);
	pending_mark_level(set);

	/* Written behind the end of the log first, kept if it is new. */
	inval_entry_write(set->log + set->length, entry);
	position = positions_insert_hash(set->positions, (uint32) set->length,
									 inval_entry_hash(entry), &found);
	if (found)
	{
		/* Too much, should this level be rolled back, does no harm. */
		inval_entry_merge(set->log + position->position, entry);
		set->duplicates++;
	}
	else
		set->length += size;
	return !found;
}

/*
 * Whether there is no more memory for an entry, so that adding it would move
 * others to the outbox.
 */
bool
inval_pending_is_full(InvalLane lane, int32 target, const InvalEntry *entry)
{
	PendingSet *set = pending_find(lane, target, 0);
	Size		growth = set->positions == NULL ? 0 :
		pending_growth(set, inval_entry_size(entry));

	return growth > 0 && !flushed &&
		(pending_memory() + growth > (Size) inval_pending_memory * 1024 ||
		 !pending_is_worth_it(set));
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
	PendingSet *set = pending_find(lane, target, 0);

	set->nmarks = 0;
	pending_truncate(set, 0);
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
	{
		PendingSet *set = sets[i];
		PendingMark *top = set->nmarks > 0 ? &set->marks[set->nmarks - 1] : NULL;

		if (top == NULL || top->level < level)
			continue;
		if (level == 2 ||
			(set->nmarks > 1 && set->marks[set->nmarks - 2].level == level - 1))
			set->nmarks--;
		else
			top->level = level - 1;
	}
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
	{
		PendingSet *set = sets[i];

		while (set->nmarks > 0 && set->marks[set->nmarks - 1].level >= level)
			pending_truncate(set, set->marks[--set->nmarks].length);
	}
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
	{
		PendingSet *set = sets[i];

		set->nmarks = 0;
		set->length = 0;
		set->duplicates = 0;
		if (set->capacity > KEEP_LOG ||
			(set->positions && set->positions->size > KEEP_POSITIONS))
			keep = false;
	}
	if (!keep)
	{
		sets = NULL;
		nsets = max_sets = 0;
		last_set = NULL;
		MemoryContextReset(pending_context);
		return;
	}
	for (i = 0; i < nsets; i++)
		if (sets[i]->positions && sets[i]->positions->members > 0)
			positions_reset(sets[i]->positions);
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
	last_set = MemoryContextAllocZero(pending_context, sizeof(PendingSet));
	last_set->lane = lane;
	last_set->target = target;
	last_set->after_ms = after_ms;
	sets[nsets++] = last_set;
	return last_set;
}

/*
 * Remembers where the current nesting level begins, if it has not yet.
 */
static void
pending_mark_level(PendingSet *set)
{
	int			level = GetCurrentTransactionNestLevel();

	if (level == 1 ||
		(set->nmarks > 0 && set->marks[set->nmarks - 1].level >= level))
		return;
	if (set->nmarks == set->max_marks)
	{
		int			max = Max(8, set->max_marks * 2);

		if (set->marks == NULL)
			set->marks = MemoryContextAlloc(pending_context, max * sizeof(PendingMark));
		else
			set->marks = repalloc(set->marks, max * sizeof(PendingMark));
		set->max_marks = max;
	}
	set->marks[set->nmarks].level = level;
	set->marks[set->nmarks].length = set->length;
	set->nmarks++;
}

/*
 * Makes sure that an entry of "size" bytes fits, and one more position.
 */
static void
pending_make_room(PendingSet *set, Size size)
{
	Size		growth;

	if (set->positions == NULL)
		set->positions = positions_create(pending_context, 56, set);

	growth = pending_growth(set, size);
	if (growth == 0)
		return;
	if (pending_memory() + growth > (Size) inval_pending_memory * 1024 ||
		!pending_is_worth_it(set))
		pending_spill(set);

	if (set->length + size > set->capacity)
	{
		Size		capacity = Max(Max(1024, set->capacity * 2), set->length + size);

		/* Positions are 32 bits wide. */
		if (capacity > PG_UINT32_MAX)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("too many invalidations in one subtransaction"),
					 errhint("Lower inval.pending_memory.")));
		if (set->log == NULL)
			set->log = MemoryContextAllocHuge(pending_context, capacity);
		else
			set->log = repalloc_huge(set->log, capacity);
		set->capacity = capacity;
	}
}

/*
 * How much memory it takes, for a moment at least, to add an entry.
 */
static Size
pending_growth(const PendingSet *set, Size size)
{
	Size		growth = 0;

	if (set->length + size > set->capacity)
		growth += Max(set->capacity * 2, set->length + size);
	if (set->positions->members + 1 >= set->positions->grow_threshold)
		growth += set->positions->size * 2 * sizeof(PositionEntry);
	return growth;
}

/*
 * Whether a set that has to grow is worth it.  What goes to the outbox early is
 * the worker's, so not as long as all of it could be delivered at commit.
 */
static bool
pending_is_worth_it(const PendingSet *set)
{
	uint32		entries = set->positions->members;

	return entries < KEEP_LOOKING || set->lane == INVAL_LANE_STRICT ||
		(set->lane == INVAL_LANE_COMMIT && entries <= (uint32) inval_commit_max_keys) ||
		set->duplicates > (entries + set->duplicates) * WORTH_LOOKING;
}

static Size
pending_memory(void)
{
	Size		memory = 0;
	int			i;

	for (i = 0; i < nsets; i++)
	{
		memory += sets[i]->capacity;
		if (sets[i]->positions != NULL)
			memory += sets[i]->positions->size * sizeof(PositionEntry);
	}
	return memory;
}

/*
 * Moves what the current level has added to the outbox, if it is worth a row.
 */
static void
pending_spill(PendingSet *set)
{
	int			level = GetCurrentTransactionNestLevel();
	Size		start = 0;

	if (level > 1)
	{
		if (set->nmarks == 0 || set->marks[set->nmarks - 1].level < level)
			return;				/* this level has added nothing */
		start = set->marks[set->nmarks - 1].length;
	}
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
	pending_truncate(set, start);
	spilled = true;
}

/*
 * Forgets the entries from "length" on.  Cannot fail.
 */
static void
pending_truncate(PendingSet *set, Size length)
{
	if (length == 0)
	{
		positions_reset(set->positions);
		set->duplicates = 0;
	}
	else
	{
		const char *place = set->log + length;
		const char *end = set->log + set->length;

		while (place < end)
		{
			InvalEntry	entry;
			uint32		position = (uint32) (place - set->log);

			place = inval_entry_read(place, end, &entry);
			positions_delete(set->positions, position);
		}
	}
	set->length = length;
}

static InvalEntry
pending_read(const PendingSet *set, uint32 position)
{
	InvalEntry	entry;

	(void) inval_entry_read(set->log + position, set->log + set->capacity, &entry);
	return entry;
}

static uint32
pending_hash_at(const PendingSet *set, uint32 position)
{
	InvalEntry	entry = pending_read(set, position);

	return inval_entry_hash(&entry);
}

static bool
pending_equal_at(const PendingSet *set, uint32 a, uint32 b)
{
	InvalEntry	first;
	InvalEntry	second;

	if (a == b)
		return true;
	first = pending_read(set, a);
	second = pending_read(set, b);
	return inval_entry_equal(&first, &second);
}
