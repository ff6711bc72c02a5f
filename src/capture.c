/*
 * capture.c
 *		From a changed row to the invalidations it owes.
 *
 * The triggers of a tracked table.  Both are ENABLE ALWAYS, so that they also
 * fire where rows are applied for replication.
 */
#include "postgres.h"

#include "access/tableam.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "utils/datum.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "capture.h"
#include "commit.h"
#include "stats.h"

static void capture_check_trigger(FunctionCallInfo fcinfo, const char *function,
								  bool truncate);
static bool capture_changes(InvalRule *rule, TupleDesc desc,
							TupleTableSlot *old_row, TupleTableSlot *new_row);
static void capture_reset_buffer(StringInfo buffer);
static void capture_row(InvalRule *rule, InvalTally *tally, TupleTableSlot *row);

PG_FUNCTION_INFO_V1(inval_capture_row);
PG_FUNCTION_INFO_V1(inval_capture_truncate);

/*
 * AFTER ROW trigger: the keys of the old row and of the new one.
 */
Datum
inval_capture_row(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	InvalRelationRules *rules;
	int			i;

	capture_check_trigger(fcinfo, "inval_capture_row", false);

	inval_commit_begin();
	rules = inval_rules_of(trigdata->tg_relation);
	for (i = 0; i < rules->nrules; i++)
	{
		InvalRule  *rule = &rules->rules[i];
		InvalTally *tally = inval_stats_tally(rule->id);

		tally->counts.rows++;
		if (!TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event))
			capture_row(rule, tally, trigdata->tg_trigslot);
		else if (capture_changes(rule, RelationGetDescr(trigdata->tg_relation),
								 trigdata->tg_trigslot, trigdata->tg_newslot))
		{
			capture_row(rule, tally, trigdata->tg_trigslot);
			capture_row(rule, tally, trigdata->tg_newslot);
		}
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
	Relation	relation;
	InvalRelationRules *rules;
	MemoryContext row_context;
	MemoryContext old;
	Snapshot	snapshot;
	TableScanDesc scan;
	TupleTableSlot *row;

	capture_check_trigger(fcinfo, "inval_capture_truncate", true);

	inval_commit_begin();
	relation = trigdata->tg_relation;
	rules = inval_rules_of(relation);
	if (rules->nrules == 0)
		return PointerGetDatum(NULL);

	row_context = AllocSetContextCreate(CurrentMemoryContext, "inval row",
										ALLOCSET_DEFAULT_SIZES);
	row = table_slot_create(relation, NULL);
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	scan = table_beginscan(relation, snapshot, 0, NULL);
	old = MemoryContextSwitchTo(row_context);
	while (table_scan_getnextslot(scan, ForwardScanDirection, row))
	{
		int			i;

		CHECK_FOR_INTERRUPTS();
		for (i = 0; i < rules->nrules; i++)
		{
			InvalTally *tally = inval_stats_tally(rules->rules[i].id);

			tally->counts.rows++;
			capture_row(&rules->rules[i], tally, row);
		}
		MemoryContextReset(row_context);
	}
	MemoryContextSwitchTo(old);
	table_endscan(scan);
	UnregisterSnapshot(snapshot);
	ExecDropSingleTupleTableSlot(row);
	MemoryContextDelete(row_context);
	return PointerGetDatum(NULL);
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
capture_row(InvalRule *rule, InvalTally *tally, TupleTableSlot *row)
{
	InvalEntry	entry;

	if (!inval_capture_render(rule, row, &entry))
		tally->counts.skipped++;
	else if (!inval_commit_queue(rule->lane, &entry))
		tally->counts.coalesced++;
}

/*
 * Empties a buffer, and gives it back if some huge value made it grow.
 */
static void
capture_reset_buffer(StringInfo buffer)
{
	resetStringInfo(buffer);
	if (unlikely(buffer->maxlen > 2 * INVAL_MAX_KEY_LENGTH))
	{
		buffer->data = repalloc(buffer->data, 1024);
		buffer->maxlen = 1024;
	}
}

/*
 * Renders the invalidation that a row owes under a rule.  Returns false if it
 * owes none, because a column is NULL; or because the key is too long to be
 * one, which is said aloud.  The entry's bytes are good until the next call.
 */
bool
inval_capture_render(InvalRule *rule, TupleTableSlot *row, InvalEntry *entry)
{
	static StringInfoData key;
	static StringInfoData field;

	if (unlikely(key.data == NULL))
	{
		MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

		initStringInfo(&key);
		initStringInfo(&field);
		MemoryContextSwitchTo(old);
	}
	capture_reset_buffer(&key);
	capture_reset_buffer(&field);
	if (!inval_render(&key, rule->key, row) ||
		(rule->field != NULL && !inval_render(&field, rule->field, row)))
		return false;
	if (key.len > INVAL_MAX_KEY_LENGTH || field.len > INVAL_MAX_KEY_LENGTH)
	{
		ereport(WARNING,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("inval rule %u skips a row whose key would be longer than %d bytes",
						rule->id, INVAL_MAX_KEY_LENGTH),
				 errhint("Shorten the key by a filter, as in {column|sha256}.")));
		return false;
	}

	entry->action = rule->action;
	entry->rule = rule->id;
	entry->key = key.data;
	entry->key_length = (uint32) key.len;
	entry->field = rule->field != NULL ? field.data : NULL;
	entry->field_length = (uint32) field.len;
	return true;
}
