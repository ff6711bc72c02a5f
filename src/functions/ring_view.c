/*
 * ring_view.c
 *		inval_shadow and inval_history: what rules in state "shadow" would have sent
 *		last, and what became of what was sent.
 */
#include "postgres.h"

#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"
#include "utils/xid8.h"

#include "base/encoding.h"
#include "base/rights.h"
#include "stats/ring.h"

#define SHADOW_COLUMNS	7
#define HISTORY_COLUMNS	12

static void shadow_put(const InvalRingEntry *entry, void *arg);
static void history_put(const InvalRingEntry *entry, void *arg);
static bool shadow_shows_keys;	/* to who asks now */

static Datum ring_text(const char *bytes, uint16 length);

PG_FUNCTION_INFO_V1(inval_shadow_rows);
PG_FUNCTION_INFO_V1(inval_history_rows);

/*
 * Rows of inval_shadow, the newest first.
 */
Datum
inval_shadow_rows(PG_FUNCTION_ARGS)
{
	InitMaterializedSRF(fcinfo, 0);
	shadow_shows_keys = inval_rights_see_keys();
	inval_ring_each(&inval_shadow, shadow_put, fcinfo->resultinfo);
	return (Datum) 0;
}

static void
shadow_put(const InvalRingEntry *entry, void *arg)
{
	ReturnSetInfo *result = arg;
	Datum		values[SHADOW_COLUMNS] = {0};
	bool		nulls[SHADOW_COLUMNS] = {0};

	values[0] = Int32GetDatum((int32) entry->rule);
	values[1] = CStringGetTextDatum(entry->target);
	values[2] = CStringGetTextDatum(inval_action_name((InvalAction) entry->action));
	nulls[3] = !shadow_shows_keys;
	values[3] = ring_text(entry->text, entry->key_length);
	nulls[4] = !entry->has_field || !shadow_shows_keys;
	if (entry->has_field)
		values[4] = ring_text(entry->text + entry->key_length, entry->field_length);
	values[5] = TimestampTzGetDatum(entry->at);
	nulls[6] = entry->xid == 0;
	values[6] = FullTransactionIdGetDatum(FullTransactionIdFromU64(entry->xid));
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/*
 * Rows of inval_history, the newest first.
 */
Datum
inval_history_rows(PG_FUNCTION_ARGS)
{
	InitMaterializedSRF(fcinfo, 0);
	inval_ring_each(&inval_history, history_put, fcinfo->resultinfo);
	return (Datum) 0;
}

static void
history_put(const InvalRingEntry *entry, void *arg)
{
	static const char *const outcomes[] = {
		[INVAL_RING_COMMIT] = "commit",[INVAL_RING_WORKER] = "worker",
		[INVAL_RING_AGAIN] = "again",[INVAL_RING_REFUSED] = "refused"
	};
	ReturnSetInfo *result = arg;
	Datum		values[HISTORY_COLUMNS] = {0};
	bool		nulls[HISTORY_COLUMNS] = {0};
	char	   *commands = inval_origin_names(entry->origin.commands);
	Interval   *lag = palloc0(sizeof(Interval));

	values[0] = TimestampTzGetDatum(entry->at);
	values[1] = Int32GetDatum((int32) entry->rule);
	nulls[1] = entry->rule == 0;
	values[2] = CStringGetTextDatum(inval_action_name((InvalAction) entry->action));
	values[3] = ring_text(entry->text, entry->key_length);
	nulls[4] = !entry->has_field;
	if (entry->has_field)
		values[4] = ring_text(entry->text + entry->key_length, entry->field_length);
	values[5] = CStringGetTextDatum(entry->target);
	nulls[6] = entry->xid == 0;
	values[6] = FullTransactionIdGetDatum(FullTransactionIdFromU64(entry->xid));
	nulls[7] = nulls[8] = entry->origin.commands == 0;
	values[7] = CStringGetTextDatum(entry->origin.user);
	values[8] = CStringGetTextDatum(entry->origin.application);
	nulls[9] = commands == NULL;
	if (commands != NULL)
		values[9] = CStringGetTextDatum(commands);
	values[10] = CStringGetTextDatum(outcomes[entry->outcome]);
	lag->time = (int64) entry->lag_us;
	values[11] = IntervalPGetDatum(lag);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

static Datum
ring_text(const char *bytes, uint16 length)
{
	return PointerGetDatum(inval_show_key(bytes, length));
}
