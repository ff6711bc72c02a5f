/*
 * refill_failure.c
 *		What is counted and said of values that are put back, or not.
 */
#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/memutils.h"

#include "stats/stats.h"
#include "worker/refill_failure.h"

/* What the log was told of a rule last */
typedef struct RefillTold
{
	uint32		rule;
	char	   *why;
} RefillTold;

static List *told = NIL;		/* of RefillTold * */

static RefillTold *failure_told_of(uint32 rule);

/*
 * Counts a key that stays empty, and says why in the log, if it was not said last.
 */
void
inval_refill_failed(const InvalTarget *target, uint32 rule, const char *why)
{
	InvalStatsSlot *slot = inval_stats_slot(rule, target->name);
	RefillTold *known = failure_told_of(rule);
	MemoryContext old;

	if (slot != NULL)
		pg_atomic_fetch_add_u64(&slot->counts[INVAL_STATS_REFILL_FAILED], 1);
	if (known != NULL && strcmp(known->why, why) == 0)
		return;
	ereport(LOG,
			(errmsg("inval rule %u could not put a value back: %s", rule, why),
			 errdetail("The key stays empty. This is said once, until it is for another reason."),
			 errhint("inval_stats.refill_failed counts them.")));
	old = MemoryContextSwitchTo(TopMemoryContext);
	if (known == NULL)
	{
		known = palloc0(sizeof(RefillTold));
		known->rule = rule;
		told = lappend(told, known);
	}
	if (known->why != NULL)
		pfree(known->why);
	known->why = pstrdup(why);
	MemoryContextSwitchTo(old);
}

/*
 * Counts a value that was put back.  Should that fail again, it is news.
 */
void
inval_refill_worked(const InvalTarget *target, uint32 rule)
{
	InvalStatsSlot *slot = inval_stats_slot(rule, target->name);
	RefillTold *known = failure_told_of(rule);

	if (slot != NULL)
		pg_atomic_fetch_add_u64(&slot->counts[INVAL_STATS_REFILLED], 1);
	if (known != NULL)
		told = list_delete_ptr(told, known);
}

static RefillTold *
failure_told_of(uint32 rule)
{
	ListCell   *lc;

	foreach(lc, told)
	{
		RefillTold *known = lfirst(lc);

		if (known->rule == rule)
			return known;
	}
	return NULL;
}
