/*
 * refill_failure.c
 *		What is counted and said of values that are put back, or not.
 */
#include "postgres.h"

#include "stats/stats.h"
#include "worker/refill_failure.h"
#include "worker/told.h"

static List *told = NIL;		/* see told.h */

/*
 * Counts a key that stays empty, and says why in the log, if it was not said last.
 */
void
inval_refill_failed(const InvalTarget *target, uint32 rule, const char *why)
{
	InvalStatsSlot *slot = inval_stats_slot(rule, target->name);

	if (slot != NULL)
		pg_atomic_fetch_add_u64(&slot->counts[INVAL_STATS_REFILL_FAILED], 1);
	if (inval_told_is_news(&told, rule, why))
		ereport(LOG,
				(errmsg("inval rule %u could not put a value back: %s", rule, why),
				 errdetail("The key stays empty. This is said once, until it is for another reason."),
				 errhint("inval_stats.refill_failed counts them.")));
}

/*
 * Counts a value that was put back.  Should that fail again, it is news.
 */
void
inval_refill_worked(const InvalTarget *target, uint32 rule)
{
	InvalStatsSlot *slot = inval_stats_slot(rule, target->name);

	if (slot != NULL)
		pg_atomic_fetch_add_u64(&slot->counts[INVAL_STATS_REFILLED], 1);
	inval_told_forget(&told, rule);
}
