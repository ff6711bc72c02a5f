/*
 * counters.c
 *		Gives back the counters of rules that are gone.
 *
 * A rule goes in many ways, most of which the server itself sees to, and its
 * going may be rolled back.  So nobody does it there and then: the worker looks
 * at intervals, where counters are scarce, which rules there are.
 *
 * A transaction that has made a rule and is about to commit may count for it
 * already.  So only a rule that is missing twice in a row is gone.
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/transaction.h"
#include "rule/carrier.h"
#include "stats/stats.h"
#include "worker/counters.h"

/* How often that is looked at, in ms */
#define TIDY_INTERVAL	20000

static TimestampTz next_tidy;
static List *missing = NIL;		/* rules that were the last time */

static List *counters_in_both(const List *first, const List *second);
static List *counters_missing(void);

/*
 * For the worker of the target "default".
 */
void
inval_counters_tidy(void)
{
	TimestampTz now = GetCurrentTimestamp();
	List	   *found = NIL;
	List	   *gone;

	if (now < next_tidy)
		return;
	next_tidy = TimestampTzPlusMilliseconds(now, TIDY_INTERVAL);
	if (inval_stats_are_scarce())
		found = counters_missing();
	gone = counters_in_both(missing, found);
	if (gone != NIL)
		inval_stats_give_back(gone);
	list_free(gone);
	list_free(missing);
	missing = found;
}

/*
 * What two sorted lists of integers have in common.
 */
static List *
counters_in_both(const List *first, const List *second)
{
	List	   *both = NIL;
	ListCell   *lc;
	int			next = 0;

	foreach(lc, first)
	{
		while (next < list_length(second) && list_nth_int(second, next) < lfirst_int(lc))
			next++;
		if (next < list_length(second) && list_nth_int(second, next) == lfirst_int(lc))
			both = lappend_int(both, lfirst_int(lc));
	}
	return both;
}

/*
 * The rules that have counters and are not there (a sorted list of integers, in
 * TopMemoryContext).
 */
static List *
counters_missing(void)
{
	List	   *counted;
	List	   *rules = NIL;
	List	   *result = NIL;
	MemoryContext old;
	ListCell   *lc;
	int			next = 0;

	inval_transaction_begin();
	counted = inval_stats_rules();
	foreach(lc, inval_carriers_all())
		rules = lappend_int(rules, inval_definition_id(lfirst(lc)));
	list_sort(counted, list_int_cmp);
	list_sort(rules, list_int_cmp);
	old = MemoryContextSwitchTo(TopMemoryContext);
	foreach(lc, counted)
	{
		int			rule = lfirst_int(lc);

		while (next < list_length(rules) && list_nth_int(rules, next) < rule)
			next++;
		if ((next == list_length(rules) || list_nth_int(rules, next) != rule) &&
			(result == NIL || llast_int(result) != rule))
			result = lappend_int(result, rule);
	}
	MemoryContextSwitchTo(old);
	inval_transaction_commit();
	return result;
}
