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

#include "access/xact.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "base/entry.h"
#include "stats/stats.h"
#include "target/targets.h"

static HTAB *tallies = NULL;
static InvalTally *active = NULL;
static InvalTally *last = NULL; /* the one that was asked for last */

static void stats_mark_level(InvalTally *tally);

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
		stats_add(&slot->counts[INVAL_STATS_ROWS_SEEN], tally->counts.rows);
		stats_add(&slot->counts[INVAL_STATS_KEYS_QUEUED], tally->counts.queued);
		stats_add(&slot->counts[INVAL_STATS_KEYS_COALESCED], tally->counts.coalesced);
		stats_add(&slot->counts[INVAL_STATS_SKIPPED], tally->counts.skipped);
		stats_add(&slot->counts[INVAL_STATS_REFILL_FAILED], tally->counts.refill_failed);
		stats_add(&slot->counts[INVAL_STATS_ORPHANS], tally->counts.orphans);
		stats_add(&slot->counts[INVAL_STATS_ORPHANS_IDLE_S], tally->counts.orphans_idle_s);
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
			pg_atomic_fetch_add_u64(&tally->slot->counts[INVAL_STATS_FAILED_TRIES],
									(int64) tally->counts.at_commit);
	}
}

/*
 * Counts how many keys were there of those that a shipment of this transaction has
 * removed.
 */
void
inval_stats_commit_removed(const InvalShipment *shipment)
{
	InvalTally *tally = NULL;
	int			i;

	for (i = 0; i < shipment->commands.pipeline.count; i++)
	{
		const InvalCommand *command = &shipment->commands.commands[i];

		if (command->removed == 0)
			continue;
		if (tally == NULL || tally->key.rule != command->rule)
			for (tally = active; tally != NULL; tally = tally->next)
				if (tally->key.rule == command->rule &&
					tally->key.target == shipment->target->number)
					break;
		if (tally != NULL && tally->slot != NULL)
			stats_add(&tally->slot->counts[INVAL_STATS_KEYS_REMOVED], command->removed);
	}
}

/*
 * The same for a shipment of a worker.
 */
void
inval_stats_removed(const InvalShipment *shipment)
{
	int			i;

	for (i = 0; i < shipment->commands.pipeline.count; i++)
	{
		const InvalCommand *command = &shipment->commands.commands[i];

		inval_stats_count_removed(command->rule, shipment->target->name, command->removed);
	}
}

/*
 * The same for so many keys.
 */
void
inval_stats_count_removed(uint32 rule, const char *target, uint64 keys)
{
	InvalStatsSlot *slot = keys == 0 ? NULL : inval_stats_slot(rule, target);

	if (slot != NULL)
		stats_add(&slot->counts[INVAL_STATS_KEYS_REMOVED], keys);
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
