/*
 * capture.c
 *		From a changed row to the invalidations it owes.
 *
 * The triggers of a tracked table.  Both are ENABLE ALWAYS, so that they also
 * fire where rows are applied for replication.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "commands/trigger.h"
#include "utils/datum.h"
#include "utils/rel.h"

#include "capture/capture.h"
#include "capture/deferred.h"
#include "capture/derive.h"
#include "capture/scan.h"
#include "commit/commit.h"
#include "stats/stats.h"

/* A rule being applied to a row */
typedef struct Capture
{
	InvalRule  *rule;
	bool		found;			/* an entry at least */
	bool		missing_now;	/* a foreign key leads nowhere */
	bool		missing;		/* nor did it before this transaction */
} Capture;

static void capture_check_trigger(FunctionCallInfo fcinfo, const char *function,
								  bool truncate);
static bool capture_changes(InvalRule *rule, TupleDesc desc,
							TupleTableSlot *old_row, TupleTableSlot *new_row);
static void capture_rule(InvalRule *rule, Relation relation,
						 TupleTableSlot *row, InvalRowAge age);
static void capture_update(InvalRule *rule, Relation relation,
						   TupleTableSlot *old_row, TupleTableSlot *new_row);
static void capture_look_up(Capture *capture, TupleTableSlot *row);
static bool capture_is_own(TupleTableSlot *row);
static void capture_entry(const InvalEntry *entry, void *arg);
static void capture_missing(Capture *capture);
static void capture_outside(InvalRule *rule, InvalTarget *target);
static void capture_error_context(void *arg);

PG_FUNCTION_INFO_V1(inval_capture_row);
PG_FUNCTION_INFO_V1(inval_capture_truncate);

/*
 * AFTER ROW trigger: the keys of the old row and of the new one.
 */
Datum
inval_capture_row(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	Relation	relation;
	InvalRelationRules *rules;
	TriggerEvent event;
	int			i;

	capture_check_trigger(fcinfo, "inval_capture_row", false);

	inval_commit_begin();
	relation = trigdata->tg_relation;
	event = trigdata->tg_event;
	rules = inval_rules_of(relation);
	for (i = 0; i < rules->nrules; i++)
	{
		InvalRule  *rule = &rules->rules[i];

		inval_capture_count_row(rule);
		if (!TRIGGER_FIRED_BY_UPDATE(event))
			capture_rule(rule, relation, trigdata->tg_trigslot,
						 TRIGGER_FIRED_BY_INSERT(event) ? INVAL_ROW_NEW : INVAL_ROW_OLD);
		else if (capture_changes(rule, RelationGetDescr(relation),
								 trigdata->tg_trigslot, trigdata->tg_newslot))
			capture_update(rule, relation, trigdata->tg_trigslot,
						   trigdata->tg_newslot);
	}
	return PointerGetDatum(NULL);
}

/*
 * BEFORE TRUNCATE trigger: the keys of all the rows that are about to go.
 * PostgreSQL holds an AccessExclusiveLock on the table, so what is committed
 * now, or was done by this transaction, is all there is.
 */
Datum
inval_capture_truncate(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;

	capture_check_trigger(fcinfo, "inval_capture_truncate", true);
	inval_scan_relation(trigdata->tg_relation, inval_rules_of(trigdata->tg_relation),
						INVAL_ROW_OLD);
	return PointerGetDatum(NULL);
}

/*
 * Queues what a row owes under all the rules.  Leaks into the current memory
 * context.
 */
void
inval_capture_apply(InvalRelationRules *rules, Relation relation,
					TupleTableSlot *row, InvalRowAge age)
{
	int			i;

	inval_commit_begin();
	for (i = 0; i < rules->nrules; i++)
	{
		inval_capture_count_row(&rules->rules[i]);
		capture_rule(&rules->rules[i], relation, row, age);
	}
}

/*
 * Queues what a row owes under a rule, at the end of the transaction: what
 * its foreign keys point to is there now, or will not be.
 */
void
inval_capture_late(InvalRule *rule, TupleTableSlot *row)
{
	Capture		capture = {.rule = rule};

	capture_look_up(&capture, row);
	if (capture.missing)
		capture_missing(&capture);
}

static void
capture_check_trigger(FunctionCallInfo fcinfo, const char *function, bool truncate)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by trigger manager", function)));
	if (truncate)
	{
		if (!TRIGGER_FIRED_BEFORE(trigdata->tg_event) ||
			!TRIGGER_FIRED_BY_TRUNCATE(trigdata->tg_event))
			ereport(ERROR,
					(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
					 errmsg("function \"%s\" must be fired BEFORE TRUNCATE", function)));
	}
	else if (!TRIGGER_FIRED_AFTER(trigdata->tg_event) ||
			 !TRIGGER_FIRED_FOR_ROW(trigdata->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be fired AFTER ROW", function)));
}

/*
 * Whether an UPDATE counts for a rule: values are compared byte for byte, so
 * that what looks equal to an operator and reads differently still counts.
 */
static bool
capture_changes(InvalRule *rule, TupleDesc desc,
				TupleTableSlot *old_row, TupleTableSlot *new_row)
{
	int			i;

	if (rule->nchanges == 0)
		return true;
	for (i = 0; i < rule->nchanges; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, rule->changes[i] - 1);
		bool		old_null;
		bool		new_null;
		Datum		old_value = slot_getattr(old_row, rule->changes[i], &old_null);
		Datum		new_value = slot_getattr(new_row, rule->changes[i], &new_null);

		if (old_null != new_null)
			return true;
		if (!old_null && !datum_image_eq(old_value, new_value,
										 attribute->attbyval, attribute->attlen))
			return true;
	}
	return false;
}

/*
 * Queues what a row owes under a rule.
 */
static void
capture_rule(InvalRule *rule, Relation relation,
			 TupleTableSlot *row, InvalRowAge age)
{
	Capture		capture = {.rule = rule};
	InvalEntry	entry;

	if (likely(rule->plain))
	{
		if (inval_derive_plain(rule, row, &entry))
			capture_entry(&entry, &capture);
		else
			inval_capture_count_skipped(rule);
		return;
	}
	capture_look_up(&capture, row);
	if (capture.missing_now && age == INVAL_ROW_NEW)
		inval_deferred_add(RelationGetRelid(relation), rule->id, row);
	else if (capture.missing && !capture_is_own(row))
		capture_missing(&capture);
	else if (!capture.found)
		inval_capture_count_skipped(rule);
}

/*
 * Queues what the old row owes and what the new one does.  Mostly the columns
 * of the key have not changed, and they owe the same.
 */
static void
capture_update(InvalRule *rule, Relation relation,
			   TupleTableSlot *old_row, TupleTableSlot *new_row)
{
	uint64		skipped = inval_stats_tally(rule->id, rule->targets[0]->number)->counts.skipped;
	int			i;

	capture_rule(rule, relation, old_row, INVAL_ROW_OLD);
	if (!rule->plain || !inval_render_is_same(rule->key, old_row, new_row) ||
		(rule->field != NULL &&
		 !inval_render_is_same(rule->field, old_row, new_row)))
	{
		capture_rule(rule, relation, new_row, INVAL_ROW_NEW);
		return;
	}
	for (i = 0; i < rule->ntargets; i++)
	{
		InvalTally *tally = inval_stats_tally(rule->id, rule->targets[i]->number);

		if (tally->counts.skipped == skipped)
			tally->counts.coalesced++;
		else
			tally->counts.skipped++;
	}
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
static void
capture_look_up(Capture *capture, TupleTableSlot *row)
{
	InvalRule  *rule = capture->rule;
	ErrorContextCallback callback;

	callback.callback = capture_error_context;
	callback.arg = rule;
	callback.previous = error_context_stack;
	error_context_stack = &callback;

	capture->missing_now = inval_derive_each(rule, row, INVAL_STATE_NOW,
											 capture_entry, capture) == INVAL_RENDER_MISSING;
	capture->missing = capture->missing_now;
	if (inval_rule_is_touched(rule))
		capture->missing &= inval_derive_each(rule, row, INVAL_STATE_BEFORE,
											  capture_entry, capture) == INVAL_RENDER_MISSING;

	error_context_stack = callback.previous;
}

/*
 * Whether this transaction has made a row: then nobody else has ever seen it,
 * or what it pointed to.
 */
static bool
capture_is_own(TupleTableSlot *row)
{
	HeapTuple	tuple;

	if (!TTS_IS_HEAPTUPLE(row) && !TTS_IS_BUFFERTUPLE(row))
		return false;
	tuple = ExecFetchSlotHeapTuple(row, false, NULL);
	return TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(tuple->t_data));
}

static void
capture_entry(const InvalEntry *entry, void *arg)
{
	Capture    *capture = arg;

	capture->found = true;
	inval_capture_queue(capture->rule, entry);
}

/*
 * Queues what a rule owes to its targets, as far as it lies within their
 * namespaces.
 */
void
inval_capture_queue(InvalRule *rule, const InvalEntry *entry)
{
	int			i;

	for (i = 0; i < rule->ntargets; i++)
	{
		InvalTarget *target = rule->targets[i];

		if (!inval_target_may_have(target, entry))
		{
			capture_outside(rule, target);
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
capture_outside(InvalRule *rule, InvalTarget *target)
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
inval_capture_count_row(const InvalRule *rule)
{
	int			i;

	for (i = 0; i < rule->ntargets; i++)
		inval_stats_tally(rule->id, rule->targets[i]->number)->counts.rows++;
}

/*
 * The same for one that gives no key.
 */
void
inval_capture_count_skipped(const InvalRule *rule)
{
	int			i;

	for (i = 0; i < rule->ntargets; i++)
		inval_stats_tally(rule->id, rule->targets[i]->number)->counts.skipped++;
}

/*
 * A foreign key that leads nowhere: NOT VALID, or its triggers did not fire.
 * Said once in a transaction, counted each time.
 */
static void
capture_missing(Capture *capture)
{
	inval_capture_count_skipped(capture->rule);
	if (capture->rule->warned == GetCurrentTransactionStartTimestamp())
		return;
	capture->rule->warned = GetCurrentTransactionStartTimestamp();
	ereport(WARNING,
			(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
			 errmsg("inval rule %u skips rows whose foreign key points to no row",
					capture->rule->id),
			 errhint("inval_stats.skipped counts them.")));
}

static void
capture_error_context(void *arg)
{
	errcontext("inval rule %u", ((InvalRule *) arg)->id);
}
