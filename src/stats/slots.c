/*
 * slots.c
 *		The shared counters of rules: which are whose.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "base/shared.h"
#include "stats/stats.h"

static InvalSharedArea stats_area = {
	.element_size = sizeof(InvalStatsSlot),
	.layout = 5,
	.preloaded = 16384,
	.reserve = 16
};

/* How many slots are taken; protected by the shared mutex */
typedef struct StatsUse
{
	uint32		taken;
} StatsUse;

static InvalSharedArea use_area = {
	.element_size = sizeof(StatsUse),
	.layout = 1,
	.preloaded = 1,
	.reserve = 1
};

static InvalStatsSlot *stats_slot(Oid database, uint32 rule, const char *target, bool *fresh);
static uint32 stats_reserved(void);
static void stats_slot_clear(InvalStatsSlot *slot);
static void stats_slot_free(InvalStatsSlot *slot);
static int	stats_compare(const void *a, const void *b);

/*
 * Called by _PG_init.
 */
void
inval_stats_init(void)
{
	inval_shared_add(&stats_area);
	inval_shared_add(&use_area);
}

/*
 * The shared counters of a rule on a target in this database, claimed on
 * first use.  When all are taken, those of all other rules on the target, which
 * is said once in the log; NULL if even these are: then it is not counted.
 */
InvalStatsSlot *
inval_stats_slot(uint32 rule, const char *target)
{
	bool		fresh;
	InvalStatsSlot *slot = stats_slot(MyDatabaseId, rule, target, &fresh);

	if (likely(slot != NULL))
		return slot;
	slot = stats_slot(MyDatabaseId, INVAL_STATS_OTHERS, target, &fresh);
	if (fresh)
		ereport(LOG,
				(errmsg("inval counts some rules together: all %u places for their counters are taken",
						stats_area.count),
				 errdetail("They are rule -1 in inval_stats. Places of rules that were dropped are given back by the worker."),
				 errhint("Without \"inval\" in shared_preload_libraries there are few places.")));
	return slot;
}

/*
 * The shared counters of a rule of any database, claimed on first use; NULL if all are
 * taken.
 */
InvalStatsSlot *
inval_stats_claim(Oid database, uint32 rule, const char *target)
{
	bool		fresh;

	return stats_slot(database, rule, target, &fresh);
}

/*
 * Finds or claims a slot; NULL if all are taken.  Says whether it was claimed.
 *
 * The first slots are for INVAL_STATS_OTHERS, the rest is a hash table with open
 * addressing.  What was given back keeps the name of its target: a search ends
 * at a slot that was never taken.
 */
static InvalStatsSlot *
stats_slot(Oid database, uint32 rule, const char *target, bool *fresh)
{
	slock_t    *mutex = inval_shared_mutex();
	uint32		all;
	InvalStatsSlot *slots = inval_stats_slots(&all);
	uint32		reserved = stats_reserved();
	uint32		first = rule == INVAL_STATS_OTHERS ? 0 : reserved;
	uint32		count = rule == INVAL_STATS_OTHERS ? reserved : all - reserved;
	uint32		start = (rule * 2654435761u + database * 2246822519u) % count;

	*fresh = false;
	for (;;)
	{
		InvalStatsSlot *free_slot = NULL;
		uint32		i;

		for (i = 0; i < count; i++)
		{
			InvalStatsSlot *slot = &slots[first + (start + i) % count];

			if (slot->database == database && slot->rule == rule &&
				strcmp(slot->target, target) == 0)
				return slot;
			if (OidIsValid(slot->database))
				continue;
			if (free_slot == NULL)
				free_slot = slot;
			if (slot->target[0] == '\0')
				break;
		}
		if (free_slot == NULL)
			return NULL;

		SpinLockAcquire(mutex);
		if (!OidIsValid(free_slot->database))
		{
			stats_slot_clear(free_slot);
			free_slot->rule = rule;
			strlcpy(free_slot->target, target, sizeof(free_slot->target));
			pg_write_barrier();
			free_slot->database = database;
			((StatsUse *) inval_shared_elements(&use_area))->taken++;
			SpinLockRelease(mutex);
			*fresh = true;
			return free_slot;
		}
		SpinLockRelease(mutex);
		/* Somebody else was faster; look again. */
	}
}

/*
 * How many slots are for INVAL_STATS_OTHERS: a few databases and targets.
 */
static uint32
stats_reserved(void)
{
	return Max(1, stats_area.count / 256);
}

/*
 * Whether more than half of all slots are taken: worth it to look for rules
 * that are gone.  Every worker asks, so it looks at none of them.
 */
bool
inval_stats_are_scarce(void)
{
	return ((StatsUse *) inval_shared_elements(&use_area))->taken > stats_area.count / 2;
}

/*
 * The rules of this database that have slots (a list of integers, some of them
 * several times).
 */
List *
inval_stats_rules(void)
{
	uint32		count;
	InvalStatsSlot *slots = inval_stats_slots(&count);
	List	   *rules = NIL;
	uint32		i;

	for (i = 0; i < count; i++)
	{
		InvalStatsSlot *slot = &slots[i];

		if (slot->database == MyDatabaseId && slot->rule != 0 &&
			slot->rule != INVAL_STATS_OTHERS)
			rules = lappend_int(rules, (int) slot->rule);
	}
	return rules;
}

/*
 * Gives back the slots of rules of this database that are gone (a sorted list of
 * integers): thousands at once, after a schema was dropped.
 */
void
inval_stats_give_back(const List *rules)
{
	slock_t    *mutex = inval_shared_mutex();
	uint32		count;
	InvalStatsSlot *slots = inval_stats_slots(&count);
	uint32		i;

	for (i = 0; i < count; i++)
	{
		InvalStatsSlot *slot = &slots[i];
		int			rule = (int) slot->rule;

		if (slot->database != MyDatabaseId ||
			bsearch(&rule, rules->elements, (size_t) rules->length, sizeof(ListCell),
					stats_compare) == NULL)
			continue;
		SpinLockAcquire(mutex);
		if (slot->database == MyDatabaseId && (int) slot->rule == rule)
			stats_slot_free(slot);
		SpinLockRelease(mutex);
	}
}

static int
stats_compare(const void *a, const void *b)
{
	int			rule = *(const int *) a;
	int			other = lfirst_int((const ListCell *) b);

	return rule < other ? -1 : rule > other;
}

/*
 * Under the shared mutex.
 */
static void
stats_slot_free(InvalStatsSlot *slot)
{
	slot->database = InvalidOid;
	((StatsUse *) inval_shared_elements(&use_area))->taken--;
}

static void
stats_slot_clear(InvalStatsSlot *slot)
{
	int			i;

	for (i = 0; i < INVAL_STATS_COUNTS; i++)
		pg_atomic_write_u64(&slot->counts[i], 0);
	pg_atomic_write_u64(&slot->lag_max_us, 0);
	pg_atomic_write_u64(&slot->last_delivery, 0);
	for (i = 0; i < INVAL_LAG_BUCKETS; i++)
		pg_atomic_write_u64(&slot->lag[i], 0);
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
 * Calls "visit" for the counters of each rule and target of this database.
 */
void
inval_stats_each(InvalStatsVisitor visit, void *arg)
{
	uint32		count;
	InvalStatsSlot *slots = inval_stats_slots(&count);
	uint32		i;

	for (i = 0; i < count; i++)
		if (slots[i].database == MyDatabaseId)
			visit(&slots[i], arg);
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
			stats_slot_free(&slots[i]);
}
