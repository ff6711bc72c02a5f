/*
 * lag_view.c
 *		inval_lag_buckets: how many deliveries took how long.
 */
#include "postgres.h"

#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/tuplestore.h"

#include "stats/stats.h"

#define LAG_COLUMNS		4

static void lag_put_slot(InvalStatsSlot *slot, void *arg);

PG_FUNCTION_INFO_V1(inval_lag_rows);

/*
 * Rows of inval_lag_buckets: one for each octave of each rule and target.
 */
Datum
inval_lag_rows(PG_FUNCTION_ARGS)
{
	InitMaterializedSRF(fcinfo, 0);
	inval_stats_each(lag_put_slot, fcinfo->resultinfo);
	return (Datum) 0;
}

/*
 * Counts are cumulative.  The last octave has no edge: what is longer than all of
 * them is counted in it, too.
 */
static void
lag_put_slot(InvalStatsSlot *slot, void *arg)
{
	ReturnSetInfo *result = arg;
	Datum		values[LAG_COLUMNS] = {0};
	bool		nulls[LAG_COLUMNS] = {0};
	uint64		count = 0;
	int			i;

	values[0] = Int32GetDatum((int32) slot->rule);
	nulls[0] = slot->rule == 0;
	values[1] = CStringGetTextDatum(slot->target);
	for (i = 0; i < INVAL_LAG_BUCKETS; i++)
	{
		count += pg_atomic_read_u64(&slot->lag[i]);
		/* Below four microseconds there are no octaves. */
		if (i < 7 || i % 4 != 3)
			continue;
		values[2] = Float8GetDatum(i == INVAL_LAG_BUCKETS - 1 ? get_float8_infinity() :
								   (double) inval_stats_lag_edge_us(i) / 1000000.0);
		values[3] = Int64GetDatum((int64) count);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
}
