/*
 * stats.c
 *		Counters of rules.
 *
 * While a transaction runs, each rule it meets has a tally in this process.
 * Before the commit record the tally is given its slot in shared memory; after
 * it, the tally is added there with atomic additions, which cannot fail.  What
 * is rolled back counts nowhere.
 */
#include "postgres.h"

#include <math.h>

#include "access/xact.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "base/entry.h"
#include "base/shared.h"
#include "stats/stats.h"
#include "target/targets.h"

static InvalSharedArea stats_area = {
	.element_size = sizeof(InvalStatsSlot),
	.layout = 1,
	.preloaded = 1024,
	.reserve = 16
};

static HTAB *tallies = NULL;
static InvalTally *active = NULL;
static InvalTally *last = NULL; /* the one that was asked for last */

static void stats_mark_level(InvalTally *tally);
static int	stats_lag_bucket(uint64 lag_us);
static void stats_slot_clear(InvalStatsSlot *slot);

/*
 * Called by _PG_init.
 */
void
inval_stats_init(void)
{
	inval_shared_add(&stats_area);
}

/*
 * The tally of a rule for a target, put on this transaction's list.
 */
InvalTally *
inval_stats_tally(uint32 rule, int32 target)
{
	InvalTallyKey key = {rule, target};
	InvalTally *tally;
	bool		found;

	if (tallies == NULL)
	{
		HASHCTL		ctl = {0};

		ctl.keysize = sizeof(InvalTallyKey);
		ctl.entrysize = sizeof(InvalTally);
		tallies = hash_create("inval tallies", 32, &ctl, HASH_ELEM | HASH_BLOBS);
	}
	tally = last;
	if (tally == NULL || tally->key.rule != rule || tally->key.target != target)
	{
		tally = hash_search(tallies, &key, HASH_ENTER, &found);
		if (!found)
		{
			memset(tally, 0, sizeof(*tally));
			tally->key = key;
		}
		last = tally;
	}
	if (!tally->active)
	{
		tally->active = true;
		tally->next = active;
		active = tally;
	}
	stats_mark_level(tally);
	return tally;
}

/*
 * Remembers the counts at the begin of the current nesting level, for the case
 * that it is rolled back.
 */
static void
stats_mark_level(InvalTally *tally)
{
	int			level = GetCurrentTransactionNestLevel();

	if (level == 1 ||
		(tally->nmarks > 0 && tally->marks[tally->nmarks - 1].level >= level))
		return;
	if (tally->nmarks == tally->max_marks)
	{
		int			max = Max(4, tally->max_marks * 2);

		if (tally->marks == NULL)
			tally->marks = MemoryContextAlloc(TopMemoryContext,
											  max * sizeof(InvalTallyMark));
		else
			tally->marks = repalloc(tally->marks, max * sizeof(InvalTallyMark));
		tally->max_marks = max;
	}
	tally->marks[tally->nmarks].level = level;
	tally->marks[tally->nmarks].counts = tally->counts;
	tally->nmarks++;
}

/*
 * The current subtransaction becomes part of its parent.
 */
void
inval_stats_subcommit(void)
{
	int			level = GetCurrentTransactionNestLevel();
	InvalTally *tally;

	for (tally = active; tally != NULL; tally = tally->next)
	{
		InvalTallyMark *top = tally->nmarks > 0 ?
			&tally->marks[tally->nmarks - 1] : NULL;

		if (top == NULL || top->level < level)
			continue;
		if (level == 2 ||
			(tally->nmarks > 1 && tally->marks[tally->nmarks - 2].level == level - 1))
			tally->nmarks--;
		else
			top->level = level - 1;
	}
}

/*
 * The current subtransaction never happened.
 */
void
inval_stats_subabort(void)
{
	int			level = GetCurrentTransactionNestLevel();
	InvalTally *tally;

	for (tally = active; tally != NULL; tally = tally->next)
		while (tally->nmarks > 0 && tally->marks[tally->nmarks - 1].level >= level)
			tally->counts = tally->marks[--tally->nmarks].counts;
}

/*
 * Counts entries that go to the outbox now, each for its rule.
 */
void
inval_stats_count_queued(int32 target, const char *entries, Size length, bool at_commit)
{
	const char *end = entries + length;
	InvalTally *tally = NULL;
	InvalEntry	entry;

	while (entries < end)
	{
		entries = inval_entry_read(entries, end, &entry);
		Assert(entries != NULL);
		if (tally == NULL || tally->key.rule != entry.rule)
			tally = inval_stats_tally(entry.rule, target);
		tally->counts.queued++;
		if (at_commit)
			tally->counts.at_commit++;
	}
}

/*
 * Gives every active tally its slot.
 */
void
inval_stats_prepare(void)
{
	InvalTally *tally;

	for (tally = active; tally != NULL; tally = tally->next)
	{
		InvalTarget *target = inval_target_by_number(tally->key.target);

		tally->slot = target ? inval_stats_slot(tally->key.rule, target->name) : NULL;
	}
}

/* Sessions share these: leave them alone where nothing changes. */
static inline void
stats_add(pg_atomic_uint64 *counter, uint64 count)
{
	if (count > 0)
		pg_atomic_fetch_add_u64(counter, (int64) count);
}

/*
 * Adds the tallies to the shared counters.
 */
void
inval_stats_commit(void)
{
	InvalTally *tally;

	for (tally = active; tally != NULL; tally = tally->next)
	{
		InvalStatsSlot *slot = tally->slot;

		if (slot == NULL)
			continue;
		stats_add(&slot->rows_seen, tally->counts.rows);
		stats_add(&slot->keys_queued, tally->counts.queued);
		stats_add(&slot->keys_coalesced, tally->counts.coalesced);
		stats_add(&slot->skipped, tally->counts.skipped);
	}
}

/*
 * Counts what the commit callback has tried to send to a target: confirmed,
 * lag_us after the commit, or not.
 */
void
inval_stats_commit_target(int32 target, bool delivered, uint64 lag_us)
{
	InvalTally *tally;

	for (tally = active; tally != NULL; tally = tally->next)
	{
		if (tally->slot == NULL || tally->key.target != target ||
			tally->counts.at_commit == 0)
			continue;
		if (delivered)
			inval_stats_delivered(tally->slot, tally->counts.at_commit, lag_us, false);
		else
			pg_atomic_fetch_add_u64(&tally->slot->failed_tries,
									(int64) tally->counts.at_commit);
	}
}

/*
 * Empties the tallies at the end of the transaction.
 */
void
inval_stats_forget(void)
{
	while (active != NULL)
	{
		InvalTally *tally = active;

		active = tally->next;
		tally->active = false;
		tally->next = NULL;
		tally->slot = NULL;
		tally->nmarks = 0;
		memset(&tally->counts, 0, sizeof(tally->counts));
	}
}

/*
 * The shared counters of a rule on a target in this database, claimed on
 * first use.  NULL if all are taken: such a rule is not counted.
 */
InvalStatsSlot *
inval_stats_slot(uint32 rule, const char *target)
{
	slock_t    *mutex = inval_shared_mutex();
	uint32		count;
	InvalStatsSlot *slots = inval_stats_slots(&count);
	uint32		start = (rule * 2654435761u + MyDatabaseId) % count;
	InvalStatsSlot *free_slot = NULL;
	uint32		i;

	/*
	 * Slots are claimed at the first free place of the probe sequence; those
	 * before it may have been given back since, so look past free ones.
	 */
	for (i = 0; i < count; i++)
	{
		InvalStatsSlot *slot = &slots[(start + i) % count];

		if (slot->database == MyDatabaseId && slot->rule == rule &&
			strcmp(slot->target, target) == 0)
			return slot;
		if (free_slot == NULL && !OidIsValid(slot->database))
			free_slot = slot;
	}
	if (free_slot == NULL)
		return NULL;

	SpinLockAcquire(mutex);
	if (OidIsValid(free_slot->database))
	{
		/* Somebody else was faster; look again. */
		SpinLockRelease(mutex);
		return inval_stats_slot(rule, target);
	}
	stats_slot_clear(free_slot);
	free_slot->rule = rule;
	strlcpy(free_slot->target, target, sizeof(free_slot->target));
	pg_write_barrier();
	free_slot->database = MyDatabaseId;
	SpinLockRelease(mutex);
	return free_slot;
}

static void
stats_slot_clear(InvalStatsSlot *slot)
{
	int			i;

	pg_atomic_write_u64(&slot->rows_seen, 0);
	pg_atomic_write_u64(&slot->keys_queued, 0);
	pg_atomic_write_u64(&slot->keys_coalesced, 0);
	pg_atomic_write_u64(&slot->delivered_at_commit, 0);
	pg_atomic_write_u64(&slot->delivered_by_worker, 0);
	pg_atomic_write_u64(&slot->failed_tries, 0);
	pg_atomic_write_u64(&slot->skipped, 0);
	pg_atomic_write_u64(&slot->lag_max_us, 0);
	pg_atomic_write_u64(&slot->last_delivery, 0);
	for (i = 0; i < INVAL_LAG_BUCKETS; i++)
		pg_atomic_write_u32(&slot->lag[i], 0);
}

/*
 * Counts confirmed keys.  Cannot fail.
 */
void
inval_stats_delivered(InvalStatsSlot *slot, uint64 keys, uint64 lag_us,
					  bool by_worker)
{
	uint64		max;

	if (slot == NULL || keys == 0)
		return;
	pg_atomic_fetch_add_u64(by_worker ? &slot->delivered_by_worker :
							&slot->delivered_at_commit, keys);
	pg_atomic_fetch_add_u32(&slot->lag[stats_lag_bucket(lag_us)], (int32) keys);
	max = pg_atomic_read_u64(&slot->lag_max_us);
	while (lag_us > max &&
		   !pg_atomic_compare_exchange_u64(&slot->lag_max_us, &max, lag_us))
		;
	pg_atomic_write_u64(&slot->last_delivery, (uint64) GetCurrentTimestamp());
}

/*
 * Bucket 4 * n + q holds lags from 2^n * (1 + q/4) microseconds on.
 */
static int
stats_lag_bucket(uint64 lag_us)
{
	int			octave;
	int			bucket;

	if (lag_us < 4)
		return (int) lag_us;
	octave = pg_leftmost_one_pos64(lag_us);
	bucket = octave * 4 + (int) ((lag_us >> (octave - 2)) & 3);
	return Min(bucket, INVAL_LAG_BUCKETS - 1);
}

/*
 * The lag, in ms, that the given share of all deliveries stays under: the
 * upper edge of the bucket, so never too good.  NAN without deliveries.
 */
double
inval_stats_lag_ms(const uint64 *buckets, double share)
{
	uint64		total = 0;
	uint64		seen = 0;
	int			i;

	for (i = 0; i < INVAL_LAG_BUCKETS; i++)
		total += buckets[i];
	if (total == 0)
		return NAN;
	for (i = 0; i < INVAL_LAG_BUCKETS; i++)
	{
		seen += buckets[i];
		if ((double) seen >= share * (double) total)
			break;
	}
	i = Min(i, INVAL_LAG_BUCKETS - 1) + 1;
	if (i < 8)
		return i / 1000.0;
	return ldexp(1.0 + (i % 4) / 4.0, i / 4) / 1000.0;
}

/*
 * Sets the counters of this database to zero.
 */
void
inval_stats_clear(void)
{
	uint32		count;
	InvalStatsSlot *slots = inval_stats_slots(&count);
	uint32		i;

	for (i = 0; i < count; i++)
		if (slots[i].database == MyDatabaseId)
			stats_slot_clear(&slots[i]);
}

/*
 * The counters of all databases, and how many slots there are.
 */
InvalStatsSlot *
inval_stats_slots(uint32 *count)
{
	InvalStatsSlot *slots = inval_shared_elements(&stats_area);

	*count = stats_area.count;
	return slots;
}

/*
 * Gives back the slots of a database.  Under the shared mutex.
 */
void
inval_stats_free_database(Oid database)
{
	uint32		count;
	InvalStatsSlot *slots = inval_stats_slots(&count);
	uint32		i;

	for (i = 0; i < count; i++)
		if (slots[i].database == database)
			slots[i].database = InvalidOid;
}
