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
#include "capture/derive.h"
#include "capture/looks.h"
#include "capture/owed.h"
#include "capture/refill.h"
#include "commit/commit.h"
#include "stats/stats.h"
#include "version/server.h"

/* A row and one of its rules */
typedef struct Capturing
{
	InvalRule  *rule;
	Relation	relation;
	TupleTableSlot *row;
	InvalRowAge age;
} Capturing;

static bool capture_counts(const InvalRule *rule, TupleTableSlot *old_row,
						   TupleTableSlot *new_row);
static void capture_rule(InvalRule *rule, Relation relation,
						 TupleTableSlot *row, InvalRowAge age);
static void capture_update(InvalRule *rule, Relation relation,
						   TupleTableSlot *old_row, TupleTableSlot *new_row);
static bool capture_moves(const InvalRule *rule, int count, TupleTableSlot *old_row,
						  TupleTableSlot *new_row);
static bool capture_differs(AttrNumber attnum, TupleTableSlot *a, TupleTableSlot *b);
static bool capture_is_same(const InvalRule *rule, TupleTableSlot *old_row,
							TupleTableSlot *new_row);
static bool capture_is_own(Relation relation, TupleTableSlot *row);
static void capture_manifold(Capturing *capturing);
static void capture_entry(const InvalEntry *entry, void *arg);

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
		if (unlikely(rules->rules[i].broken != NULL))
			inval_owed_broken(&rules->rules[i]);
		else
		{
			inval_owed_count_row(&rules->rules[i]);
			capture_rule(&rules->rules[i], relation, row, age);
		}
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

		if (unlikely(rule->broken != NULL))
		{
			inval_owed_broken(rule);
			continue;
		}
		inval_owed_count_row(rule);
		if (capture_counts(rule, old_row, new_row))
			capture_update(rule, relation, old_row, new_row);
	}
}

/*
 * Whether an UPDATE counts for a rule: one of the columns that it names for
 * that has changed, or one that its keys are made of.
 */
static bool
capture_counts(const InvalRule *rule, TupleTableSlot *old_row, TupleTableSlot *new_row)
{
	int			i;

	if (rule->nchanges == 0)
		return true;
	for (i = 0; i < rule->nchanges; i++)
		if (capture_differs(rule->changes[i], old_row, new_row))
			return true;
	return capture_moves(rule, rule->inputs.key_count, old_row, new_row);
}

/*
 * Whether one of the first so many columns has changed that the keys of a rule are
 * made of, or looked up by; those by which a value is found come after these.
 */
static bool
capture_moves(const InvalRule *rule, int count, TupleTableSlot *old_row,
			  TupleTableSlot *new_row)
{
	int			i;

	for (i = 0; i < count; i++)
		if (capture_differs(rule->inputs.items[i].attnum, old_row, new_row))
			return true;
	return false;
}

/*
 * Values are compared byte for byte, so that what looks equal to an operator
 * and reads differently still counts.
 */
static bool
capture_differs(AttrNumber attnum, TupleTableSlot *a, TupleTableSlot *b)
{
	Form_pg_attribute attribute = TupleDescAttr(a->tts_tupleDescriptor, attnum - 1);
	bool		a_null;
	bool		b_null;
	Datum		a_value = slot_getattr(a, attnum, &a_null);
	Datum		b_value = slot_getattr(b, attnum, &b_null);

	if (a_null || b_null)
		return a_null != b_null;
	return !datum_image_eq(a_value, b_value, attribute->attbyval, attribute->attlen);
}

/*
 * Queues what a row owes under a rule, or notes that it has to be looked up.
 */
static void
capture_rule(InvalRule *rule, Relation relation, TupleTableSlot *row, InvalRowAge age)
{
	Capturing	capturing = {rule, relation, row, age};
	InvalEntry	entry;

	if (likely(rule->plain))
	{
		if (inval_derive_plain(rule, row, &entry))
			capture_entry(&entry, &capturing);
		else
			inval_owed_count_skipped(rule);
	}
	else if (!rule->looks)
		capture_manifold(&capturing);
	else if (!inval_inputs_suffice(&rule->inputs, row))
		inval_owed_count_skipped(rule);
	else if (age == INVAL_ROW_NEW || !capture_is_own(relation, row))
		inval_looks_add(rule, RelationGetRelid(relation), row, age == INVAL_ROW_OLD);
}

static void
capture_manifold(Capturing *capturing)
{
	InvalRule  *rule = capturing->rule;
	ErrorContextCallback callback;

	callback.callback = inval_rule_error_context;
	callback.arg = rule;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	if (inval_derive_each(rule, capturing->row, INVAL_STATE_NOW, capture_entry, capturing) !=
		INVAL_RENDER_DONE)
		inval_owed_count_skipped(rule);
	error_context_stack = callback.previous;
}

static void
capture_entry(const InvalEntry *entry, void *arg)
{
	Capturing  *capturing = arg;

	inval_owed_queue(capturing->rule, entry);
	inval_refill_owe(capturing->rule, entry, RelationGetRelid(capturing->relation),
					 capturing->row, capturing->age == INVAL_ROW_OLD);
}

/*
 * Queues what the old row owes and what the new one does.  Mostly the columns
 * of the key have not changed, and they owe the same, but for a value that is to be
 * put back, which may be found by the new row only.
 */
static void
capture_update(InvalRule *rule, Relation relation,
			   TupleTableSlot *old_row, TupleTableSlot *new_row)
{
	uint64		skipped;
	int			i;

	if (rule->looks)
	{
		bool		own = capture_is_own(relation, old_row);

		if (!own)
			capture_rule(rule, relation, old_row, INVAL_ROW_OLD);
		if (own || capture_moves(rule, rule->inputs.count, old_row, new_row))
			capture_rule(rule, relation, new_row, INVAL_ROW_NEW);
		return;
	}
	skipped = inval_stats_tally(rule->id, rule->targets[0]->number)->counts.skipped;
	capture_rule(rule, relation, old_row, INVAL_ROW_OLD);
	if (!rule->plain || rule->refill != NULL || !capture_is_same(rule, old_row, new_row))
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
 * Whether two rows give the same texts under a plain rule.
 */
static bool
capture_is_same(const InvalRule *rule, TupleTableSlot *old_row, TupleTableSlot *new_row)
{
	int			i;

	for (i = 0; i < INVAL_RULE_TEMPLATES; i++)
		if (rule->templates[i] != NULL &&
			!inval_render_is_same(rule->templates[i], old_row, new_row))
			return false;
	return true;
}

/*
 * Whether this transaction has made a row, as far as the row tells: then it was
 * noted when it came, and nobody else has seen it.  A table that was rewritten
 * in this transaction says so of all its rows.
 */
static bool
capture_is_own(Relation relation, TupleTableSlot *row)
{
	HeapTuple	tuple;

	if (!TTS_IS_HEAPTUPLE(row) && !TTS_IS_BUFFERTUPLE(row))
		return false;
	if (inval_server_is_new_file(relation))
		return false;
	tuple = ExecFetchSlotHeapTuple(row, false, NULL);
	return TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(tuple->t_data));
}
