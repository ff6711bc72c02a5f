/*
 * owed.c
 *		Queues what one row owes under one rule.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "capture/owed.h"
#include "commit/commit.h"
#include "rule/broken.h"
#include "stats/stats.h"
#include "store/pauses.h"
#include "target/targets.h"

static void owed_queue_for(InvalRule *rule, InvalTarget *target, const InvalEntry *entry);
static void owed_repeat(const InvalRule *rule, int32 target, const InvalEntry *entry);
static void owed_outside(InvalRule *rule, InvalTarget *target);
static bool owed_is_told(const InvalRule *rule);

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
			owed_outside(rule, target);
		else if (unlikely(!inval_target_may_have_stream(target, entry)))
		{
			InvalEntry	untold = *entry;

			/* A stream is a key, too.  What is done to the other is done all the same. */
			owed_outside(rule, target);
			untold.stream = NULL;
			untold.stream_length = 0;
			if (untold.action != INVAL_ACTION_NONE || inval_entry_is_told(&untold))
				owed_queue_for(rule, target, &untold);
		}
		else
			owed_queue_for(rule, target, entry);
	}
}

/*
 * What a worker finds at its second look was visible before it could be fenced, and
 * must not keep it from its work should the target be down.
 */
static void
owed_queue_for(InvalRule *rule, InvalTarget *target, const InvalEntry *entry)
{
	InvalLane	lane = rule->lane;
	InvalEntry	unfenced;

	if (rule->repeat_ms > 0 && rule->lane != INVAL_LANE_SHADOW)
		owed_repeat(rule, target->number, entry);
	if (unlikely(lane == INVAL_LANE_STRICT &&
				 inval_target_default()->health->worker_pid == MyProcPid))
	{
		unfenced = *entry;
		unfenced.strict = false;
		entry = &unfenced;
		lane = INVAL_LANE_COMMIT;
	}
	/* It is for the worker to see, when it comes to it, whether it still is. */
	inval_pauses_refresh();
	if (unlikely(inval_pauses_any()) && lane == INVAL_LANE_COMMIT &&
		inval_pauses_have(rule->id))
		lane = INVAL_LANE_WORKER;
	if (!inval_commit_queue(lane, target->number, entry))
		inval_stats_tally(rule->id, target->number)->counts.coalesced++;
}

/*
 * The fence of a strict rule is over when the key is removed once more.
 */
static void
owed_repeat(const InvalRule *rule, int32 target, const InvalEntry *entry)
{
	InvalEntry	again = *entry;

	again.strict = false;
	inval_commit_queue_repeat(target, rule->repeat_ms, &again);
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
 * The same for a rule that is not made ready, because it is not to be applied.
 */
void
inval_owed_count_unasked(const InvalDefinition *definition)
{
	ListCell   *lc;

	inval_commit_begin();
	foreach(lc, inval_definition_list(definition, RULE_TARGETS))
	{
		InvalTarget *target = inval_target_by_name(lfirst(lc), true);

		if (target != NULL)
			inval_stats_tally((uint32) inval_definition_id(definition),
							  target->number)->counts.skipped++;
	}
}

/*
 * A foreign key that leads nowhere: NOT VALID, or its triggers did not fire.
 * Said once in a transaction, counted each time.
 */
void
inval_owed_missing(const InvalRule *rule)
{
	inval_owed_count_skipped(rule);
	if (owed_is_told(rule))
		return;
	ereport(WARNING,
			(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
			 errmsg("inval rule %u skips rows whose foreign key points to no row",
					rule->id),
			 errhint("inval_stats.skipped counts them.")));
}

/*
 * A row of which nobody knows what it fed: what is read for it has changed in
 * this transaction, by whom the rule could not be asked for.
 */
void
inval_owed_lost(const InvalRule *rule)
{
	inval_owed_count_skipped(rule);
	if (owed_is_told(rule))
		return;
	ereport(WARNING,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("inval rule %u misses keys that rows have fed before", rule->id),
			 errdetail("What it reads was truncated, rewritten, detached or replaced in this transaction, and belongs to a role whose rights the owner of the tracked table has not."),
			 errhint("inval_stats.skipped counts the rows.")));
}

/*
 * A row whose keys could not be looked up, because the rule's query has failed where
 * that must not stop others.
 */
void
inval_owed_failed(const InvalRule *rule, const ErrorData *error)
{
	inval_owed_count_skipped(rule);
	if (owed_is_told(rule))
		return;
	ereport(WARNING,
			(errcode(error->sqlerrcode),
			 errmsg("inval rule %u skips rows whose keys cannot be looked up: %s", rule->id,
					error->message),
			 errhint("inval_stats.skipped counts them.")));
}

/*
 * A key at which no value is put back, although the rule has a query for it.
 */
void
inval_owed_not_refilled(const InvalRule *rule, const char *why)
{
	int			i;

	for (i = 0; i < rule->ntargets; i++)
		inval_stats_tally(rule->id, rule->targets[i]->number)->counts.refill_failed++;
	if (owed_is_told(rule))
		return;
	ereport(WARNING,
			(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
			 errmsg("inval rule %u puts no values back at its keys: %s", rule->id, why),
			 errdetail("The keys are removed as ever."),
			 errhint("inval_stats.refill_failed counts them.")));
}

/*
 * Whether a rule's skipping rows was said in this transaction.
 */
static bool
owed_is_told(const InvalRule *rule)
{
	static TimestampTz at = 0;	/* the transaction, by its start, in which */
	static List *told = NIL;	/* these rules were told of */
	MemoryContext old;

	if (at != GetCurrentTransactionStartTimestamp())
		told = NIL;
	at = GetCurrentTransactionStartTimestamp();
	if (list_member_int(told, (int) rule->id))
		return true;
	old = MemoryContextSwitchTo(TopTransactionContext);
	told = lappend_int(told, (int) rule->id);
	MemoryContextSwitchTo(old);
	return false;
}

/*
 * Counts a row that a rule is not applied to because it is broken, and says so
 * once in a session.
 */
void
inval_owed_broken(const InvalRule *rule)
{
	inval_rule_warn_broken(rule->id, rule->broken);
	inval_owed_count_skipped(rule);
}
