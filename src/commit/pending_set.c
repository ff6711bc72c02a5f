/*
 * pending_set.c
 *		The invalidations that a transaction owes to one target by one lane.
 *
 * There is a log of entries in the order they were added, in the format of the
 * outbox, and a hash table of positions in it that removes duplicates.
 * Subtransactions nest, so what a subtransaction (with those inside it) has
 * added is always the tail of the log: rolling back to a savepoint truncates.
 * A mark remembers where the tail of a nesting level begins; levels that add
 * nothing have none and cost nothing.
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"

#include "base/settings.h"
#include "commit/pending_set.h"

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

static void pending_mark_level(PendingSet *set);
static InvalEntry pending_read(const PendingSet *set, uint32 position);

/*
 * An empty set in a memory context.
 */
PendingSet *
inval_pending_set_create(MemoryContext context, InvalLane lane, int32 target, int after_ms)
{
	PendingSet *set = MemoryContextAllocZero(context, sizeof(PendingSet));

	set->lane = lane;
	set->target = target;
	set->after_ms = after_ms;
	set->context = context;
	return set;
}

/*
 * Makes the log hold an entry of "size" bytes more.
 */
void
inval_pending_set_reserve(PendingSet *set, Size size)
{
	Size		capacity;

	if (set->positions == NULL)
		set->positions = positions_create(set->context, 56, set);
	if (set->length + size <= set->capacity)
		return;

	/* Positions are 32 bits wide. */
	capacity = Max(Max(1024, set->capacity * 2), set->length + size);
	if (capacity > PG_UINT32_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many invalidations in one subtransaction"),
				 errhint("Lower inval.pending_memory.")));
	if (set->log == NULL)
		set->log = MemoryContextAllocHuge(set->context, capacity);
	else
		set->log = repalloc_huge(set->log, capacity);
	set->capacity = capacity;
}

/*
 * Adds an entry of "size" bytes, for which there is room.  Returns false if the
 * set has it already.
 */
bool
inval_pending_set_insert(PendingSet *set, const InvalEntry *entry, Size size)
{
	PositionEntry *position;
	bool		found;

	pending_mark_level(set);

	/* Written behind the end of the log first, kept if it is new. */
	inval_entry_write(set->log + set->length, entry);
	set->offered = size;
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
 * How much memory it takes, for a moment at least, to add an entry.
 */
Size
inval_pending_set_growth(const PendingSet *set, Size size)
{
	Size		growth = 0;

	if (set->length + size > set->capacity)
		growth += Max(set->capacity * 2, set->length + size);
	if (set->positions != NULL &&
		set->positions->members + 1 >= set->positions->grow_threshold)
		growth += set->positions->size * 2 * sizeof(PositionEntry);
	return growth;
}

Size
inval_pending_set_memory(const PendingSet *set)
{
	Size		memory = set->capacity;

	if (set->positions != NULL)
		memory += set->positions->size * sizeof(PositionEntry);
	return memory;
}

/*
 * Whether a set that has to grow is worth it.  What goes to the outbox early is
 * the worker's, so not as long as all of it could be delivered at commit.
 */
bool
inval_pending_set_pays(const PendingSet *set)
{
	uint32		entries = set->positions == NULL ? 0 : set->positions->members;

	return entries < KEEP_LOOKING || set->lane == INVAL_LANE_STRICT ||
		(set->lane == INVAL_LANE_COMMIT && entries <= (uint32) inval_commit_max_keys) ||
		set->duplicates > (entries + set->duplicates) * WORTH_LOOKING;
}

/*
 * Whether its memory should be given back rather than be kept for the next
 * transaction.
 */
bool
inval_pending_set_is_large(const PendingSet *set)
{
	return set->capacity > KEEP_LOG ||
		(set->positions != NULL && set->positions->size > KEEP_POSITIONS);
}

/*
 * Where in the log that begins which the current nesting level has added: at its
 * end if it has added nothing.
 */
Size
inval_pending_set_level_start(const PendingSet *set)
{
	int			level = GetCurrentTransactionNestLevel();

	if (level == 1)
		return 0;
	if (set->nmarks == 0 || set->marks[set->nmarks - 1].level < level)
		return set->length;
	return set->marks[set->nmarks - 1].length;
}

/*
 * Forgets the entries from "length" on.
 */
void
inval_pending_set_truncate(PendingSet *set, Size length)
{
	if (length == 0)
	{
		if (set->positions != NULL && set->positions->members > 0)
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

/*
 * Forgets all of them, of each nesting level.
 */
void
inval_pending_set_clear(PendingSet *set)
{
	set->nmarks = 0;
	inval_pending_set_truncate(set, 0);
}

/*
 * What nesting level "level" has added becomes part of the one around it.
 */
void
inval_pending_set_subcommit(PendingSet *set, int level)
{
	PendingMark *top = set->nmarks > 0 ? &set->marks[set->nmarks - 1] : NULL;

	if (top == NULL || top->level < level)
		return;
	if (level == 2 ||
		(set->nmarks > 1 && set->marks[set->nmarks - 2].level == level - 1))
		set->nmarks--;
	else
		top->level = level - 1;
}

/*
 * Forgets what nesting level "level" has added, and those inside it.
 */
void
inval_pending_set_subabort(PendingSet *set, int level)
{
	while (set->nmarks > 0 && set->marks[set->nmarks - 1].level >= level)
		inval_pending_set_truncate(set, set->marks[--set->nmarks].length);
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
			set->marks = MemoryContextAlloc(set->context, max * sizeof(PendingMark));
		else
			set->marks = repalloc(set->marks, max * sizeof(PendingMark));
		set->max_marks = max;
	}
	set->marks[set->nmarks].level = level;
	set->marks[set->nmarks].length = set->length;
	set->nmarks++;
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

	/* An entry says itself where it ends, and mostly the bytes are the same. */
	if ((a == set->length || b == set->length) &&
		memcmp(set->log + a, set->log + b, set->offered) == 0)
		return true;
	first = pending_read(set, a);
	second = pending_read(set, b);
	return inval_entry_equal(&first, &second);
}
