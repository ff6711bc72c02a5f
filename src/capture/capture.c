/*
 * capture.c
 *		From a changed row to the invalidations it owes under all its rules.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "utils/datum.h"
#include "utils/rel.h"

#include "capture/capture.h"
#include "capture/deferred.h"
#include "capture/derive.h"
#include "capture/owed.h"
#include "commit/commit.h"
#include "stats/stats.h"

static bool capture_changes(InvalRule *rule, TupleDesc desc,
							TupleTableSlot *old_row, TupleTableSlot *new_row);
static void capture_rule(InvalRule *rule, Relation relation,
						 TupleTableSlot *row, InvalRowAge age);
static void capture_update(InvalRule *rule, Relation relation,
						   TupleTableSlot *old_row, TupleTableSlot *new_row);
static bool capture_is_own(TupleTableSlot *row);

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
		inval_owed_count_row(&rules->rules[i]);
		capture_rule(&rules->rules[i], relation, row, age);
	}
}

/*
 * The same for a row that has changed.
 */
void
inval_capture_update(InvalRelationRules *rules, Relation relation,
					 TupleTableSlot *old_row, TupleTableSlot *new_row)
{
	int			i;

	inval_commit_begin();
	for (i = 0; i < rules->nrules; i++)
	{
		InvalRule  *rule = &rules->rules[i];

		inval_owed_count_row(rule);
		if (capture_changes(rule, RelationGetDescr(relation), old_row, new_row))
			capture_update(rule, relation, old_row, new_row);
	}
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
	InvalRowOwed owed = {.rule = rule};
	InvalEntry	entry;

	if (likely(rule->plain))
	{
		if (inval_derive_plain(rule, row, &entry))
			inval_owed_entry(&entry, &owed);
		else
			inval_owed_count_skipped(rule);
		return;
	}
	inval_owed_look_up(&owed, row);
	if (owed.missing_now && age == INVAL_ROW_NEW)
		inval_deferred_add(RelationGetRelid(relation), rule->id, row);
	else if (owed.missing && !capture_is_own(row))
		inval_owed_missing(&owed);
	else if (!owed.found)
		inval_owed_count_skipped(rule);
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
