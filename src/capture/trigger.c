/*
 * trigger.c
 *		The triggers of a tracked table.
 *
 * Both are ENABLE ALWAYS, so that they also fire where rows are applied for
 * replication.
 */
#include "postgres.h"

#include "commands/trigger.h"
#include "utils/rel.h"

#include "base/origin.h"
#include "capture/capture.h"
#include "capture/scan.h"
#include "commit/commit.h"

static void trigger_check(FunctionCallInfo fcinfo, const char *function,
						  bool truncate);

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

	trigger_check(fcinfo, "inval_capture_row", false);

	relation = trigdata->tg_relation;
	if (inval_rules_are_off(relation))
		return PointerGetDatum(NULL);
	inval_commit_begin();
	rules = inval_rules_of(relation);
	inval_origin_saw(TRIGGER_FIRED_BY_INSERT(trigdata->tg_event) ? INVAL_BY_INSERT :
					 TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event) ? INVAL_BY_UPDATE :
					 INVAL_BY_DELETE);
	if (TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event))
		inval_capture_update(rules, relation, trigdata->tg_trigslot,
							 trigdata->tg_newslot);
	else
		inval_capture_apply(rules, relation, trigdata->tg_trigslot,
							TRIGGER_FIRED_BY_INSERT(trigdata->tg_event) ?
							INVAL_ROW_NEW : INVAL_ROW_OLD);
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

	trigger_check(fcinfo, "inval_capture_truncate", true);
	inval_origin_saw(INVAL_BY_TRUNCATE);
	inval_scan_relation(trigdata->tg_relation, inval_rules_of(trigdata->tg_relation),
						INVAL_ROW_OLD);
	return PointerGetDatum(NULL);
}

static void
trigger_check(FunctionCallInfo fcinfo, const char *function, bool truncate)
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
