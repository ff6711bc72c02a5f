/*
 * shadow_view.c
 *		inval_shadow: what rules in state "shadow" would have sent last.
 */
#include "postgres.h"

#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"
#include "utils/xid8.h"

#include "base/encoding.h"
#include "base/rights.h"
#include "stats/shadow.h"

#define SHADOW_COLUMNS	7

static void shadow_put(ReturnSetInfo *result, const InvalShadowEntry *entry, bool keys);

PG_FUNCTION_INFO_V1(inval_shadow_rows);

/*
 * Rows of inval_shadow, the newest first.  What is noted meanwhile may make one come
 * twice.
 */
Datum
inval_shadow_rows(PG_FUNCTION_ARGS)
{
	InvalShadowEntry entry;
	uint32		count = inval_shadow_count();
	bool		keys = inval_rights_see_keys();
	uint32		i;

	InitMaterializedSRF(fcinfo, 0);
	for (i = 0; i < count; i++)
		if (inval_shadow_get(i, &entry))
			shadow_put((ReturnSetInfo *) fcinfo->resultinfo, &entry, keys);
	return (Datum) 0;
}

static void
shadow_put(ReturnSetInfo *result, const InvalShadowEntry *entry, bool keys)
{
	Datum		values[SHADOW_COLUMNS] = {0};
	bool		nulls[SHADOW_COLUMNS] = {0};

	values[0] = Int32GetDatum((int32) entry->rule);
	values[1] = CStringGetTextDatum(entry->target);
	values[2] = CStringGetTextDatum(inval_action_name((InvalAction) entry->action));
	nulls[3] = !keys;
	values[3] = PointerGetDatum(inval_show_key(entry->text, entry->key_length));
	nulls[4] = !entry->has_field || !keys;
	if (entry->has_field)
		values[4] = PointerGetDatum(inval_show_key(entry->text + entry->key_length,
												   entry->field_length));
	values[5] = TimestampTzGetDatum(entry->at);
	nulls[6] = entry->xid == 0;
	values[6] = FullTransactionIdGetDatum(FullTransactionIdFromU64(entry->xid));
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}
