/*
 * owed.c
 *		Queues what one row owes under one rule.
 */
#include "postgres.h"

#include "access/xact.h"

#include "capture/derive.h"
#include "capture/owed.h"
#include "commit/commit.h"
#include "stats/stats.h"

static void owed_outside(InvalRule *rule, InvalTarget *target);
static void owed_error_context(void *arg);

/*
 * Queues what a row owes under a rule, at the end of the transaction: what
 * its foreign keys point to is there now, or will not be.
 */
void
inval_owed_late(InvalRule *rule, TupleTableSlot *row)
{
	InvalRowOwed owed = {.rule = rule};

	inval_owed_look_up(&owed, row);
	if (owed.missing)
		inval_owed_missing(&owed);
}

/*
 * Queues what a row owes under a rule that looks something up: as things are
 * now, and, if this transaction has written to where it looks, as they were
 * before.  What it has deleted by a cascade is found only so; and a row that
 * moved to another parent leaves both parents' keys stale.
 *
 * Where a foreign key leads nowhere now, the constraint may be deferred and
 * the row come yet.
 */
void
inval_owed_look_up(InvalRowOwed *owed, TupleTableSlot *row)
{
	InvalRule  *rule = owed->rule;
	ErrorContextCallback callback;

	callback.callback = owed_error_context;
	callback.arg = rule;
	callback.previous = error_context_stack;
	error_context_stack = &callback;

	owed->missing_now = inval_derive_each(rule, row, INVAL_STATE_NOW,
											 inval_owed_entry, owed) == INVAL_RENDER_MISSING;
	owed->missing = owed->missing_now;
	if (inval_rule_is_touched(rule))
		owed->missing &= inval_derive_each(rule, row, INVAL_STATE_BEFORE,
											  inval_owed_entry, owed) == INVAL_RENDER_MISSING;

	error_context_stack = callback.previous;
}

void
inval_owed_entry(const InvalEntry *entry, void *arg)
{
	InvalRowOwed *owed = arg;

	owed->found = true;
	inval_owed_queue(owed->rule, entry);
}

/*
 * Queues what a rule owes to its targets, as far as it lies within their
 * namespaces.
 */
void
inval_owed_queue(InvalRule *rule, const InvalEntry *entry)
{
	int			i;

	for (i = 0; i < rule->ntargets; i++)
	{
		InvalTarget *target = rule->targets[i];

		if (!inval_target_may_have(target, entry))
		{
			owed_outside(rule, target);
			continue;
		}
		if (rule->repeat_ms > 0 && rule->lane != INVAL_LANE_SHADOW)
			inval_commit_queue_repeat(target->number, rule->repeat_ms, entry);
		if (!inval_commit_queue(rule->lane, target->number, entry))
			inval_stats_tally(rule->id, target->number)->counts.coalesced++;
	}
}

/*
 * A key that must not be sent to the target.  Said once in a transaction,
 * counted each time; the key is data and is not shown.
 */
static void
owed_outside(InvalRule *rule, InvalTarget *target)
{
	inval_stats_tally(rule->id, target->number)->counts.skipped++;
	if (rule->warned_outside == GetCurrentTransactionStartTimestamp())
		return;
	rule->warned_outside = GetCurrentTransactionStartTimestamp();
	ereport(WARNING,
			(errcode(ERRCODE_WITH_CHECK_OPTION_VIOLATION),
			 errmsg("inval rule %u skips keys outside the namespace of target \"%s\"",
					rule->id, target->name),
			 errdetail("Keys of this target must start with \"%s\".", target->namespace),
			 errhint("inval_stats.skipped counts them.")));
}

/*
 * Counts a row that a rule looks at, for each of its targets.
 */
void
inval_owed_count_row(const InvalRule *rule)
{
	int			i;

	for (i = 0; i < rule->ntargets; i++)
		inval_stats_tally(rule->id, rule->targets[i]->number)->counts.rows++;
}

/*
 * The same for one that gives no key.
 */
void
inval_owed_count_skipped(const InvalRule *rule)
{
	int			i;

	for (i = 0; i < rule->ntargets; i++)
		inval_stats_tally(rule->id, rule->targets[i]->number)->counts.skipped++;
}

/*
 * A foreign key that leads nowhere: NOT VALID, or its triggers did not fire.
 * Said once in a transaction, counted each time.
 */
void
inval_owed_missing(InvalRowOwed *owed)
{
	inval_owed_count_skipped(owed->rule);
	if (owed->rule->warned == GetCurrentTransactionStartTimestamp())
		return;
	owed->rule->warned = GetCurrentTransactionStartTimestamp();
	ereport(WARNING,
			(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
			 errmsg("inval rule %u skips rows whose foreign key points to no row",
					owed->rule->id),
			 errhint("inval_stats.skipped counts them.")));
}

static void
owed_error_context(void *arg)
{
	errcontext("inval rule %u", ((InvalRule *) arg)->id);
}
