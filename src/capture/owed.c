/*
 * owed.c
 *		Queues what one row owes under one rule.
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"

#include "capture/owed.h"
#include "commit/commit.h"
#include "rule/broken.h"
#include "stats/stats.h"

static void owed_outside(InvalRule *rule, InvalTarget *target);

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
inval_owed_missing(InvalRule *rule)
{
	static TimestampTz at = 0;	/* the transaction, by its start, in which */
	static List *warned = NIL;	/* these rules, as OIDs, were told of */
	MemoryContext old;

	inval_owed_count_skipped(rule);
	if (at != GetCurrentTransactionStartTimestamp())
		warned = NIL;
	at = GetCurrentTransactionStartTimestamp();
	if (list_member_oid(warned, rule->id))
		return;
	old = MemoryContextSwitchTo(TopTransactionContext);
	warned = lappend_oid(warned, rule->id);
	MemoryContextSwitchTo(old);
	ereport(WARNING,
			(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
			 errmsg("inval rule %u skips rows whose foreign key points to no row",
					rule->id),
			 errhint("inval_stats.skipped counts them.")));
}

/*
 * Counts a row that a rule is not applied to because it is broken, and says so
 * once in a session.
 */
void
inval_owed_broken(const InvalRule *rule)
{
	inval_rule_warn_broken(rule->id, rule->broken);
	inval_stats_tally(rule->id, 0)->counts.skipped++;
}
