/*
 * stats_view.c
 *		SQL functions that show counters.
 */
#include "postgres.h"

#include <math.h>

#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#include "functions/depth.h"
#include "stats/stats.h"
#include "target/targets.h"

#define STATS_COLUMNS	(2 + INVAL_STATS_COUNTS + 5)
#define SLO_COLUMNS		8

static void stats_put_slot(InvalStatsSlot *slot, void *arg);
static uint64 stats_within_us(const Interval *within);
static void slo_put_target(ReturnSetInfo *result, const InvalDepth *depth, uint64 within_us);
static Datum slo_share(uint64 part, uint64 all, bool *null);

PG_FUNCTION_INFO_V1(inval_stats_rows);
PG_FUNCTION_INFO_V1(inval_stats_reset);
PG_FUNCTION_INFO_V1(inval_slo);

Datum
inval_stats_rows(PG_FUNCTION_ARGS)
{
	InitMaterializedSRF(fcinfo, 0);
	inval_stats_each(stats_put_slot, fcinfo->resultinfo);
	return (Datum) 0;
}

/*
 * The counts come in the order of InvalStatsCount.
 */
static void
stats_put_slot(InvalStatsSlot *slot, void *arg)
{
	ReturnSetInfo *result = arg;
	static const double shares[] = {0.50, 0.95, 0.99};
	Datum		values[STATS_COLUMNS] = {0};
	bool		nulls[STATS_COLUMNS] = {0};
	uint64		buckets[INVAL_LAG_BUCKETS];
	double		max_ms = (double) pg_atomic_read_u64(&slot->lag_max_us) / 1000.0;
	uint64		last = pg_atomic_read_u64(&slot->last_delivery);
	int			column = 0;
	int			i;

	nulls[column] = slot->rule == 0;
	values[column++] = Int32GetDatum((int32) slot->rule);
	values[column++] = CStringGetTextDatum(slot->target);
	for (i = 0; i < INVAL_STATS_COUNTS; i++)
		values[column++] = Int64GetDatum((int64) pg_atomic_read_u64(&slot->counts[i]));
	inval_stats_lags(slot, buckets);
	for (i = 0; i < (int) lengthof(shares); i++)
	{
		/* A bucket's edge may lie beyond the longest lag there was. */
		double		lag = inval_stats_lag_ms(buckets, shares[i]);

		nulls[column] = isnan(lag);
		values[column++] = Float8GetDatum(Min(lag, max_ms));
	}
	nulls[column] = nulls[column - 1];
	values[column++] = Float8GetDatum(max_ms);
	nulls[column] = last == 0;
	values[column] = TimestampTzGetDatum((TimestampTz) last);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

Datum
inval_stats_reset(PG_FUNCTION_ARGS)
{
	(void) fcinfo;
	inval_stats_clear();
	PG_RETURN_VOID();
}

/*
 * inval_slo(within): which share of what was owed to each target was delivered within
 * that time after the commit.  What is owed for longer already counts as late.
 */
Datum
inval_slo(PG_FUNCTION_ARGS)
{
	uint64		within_us = stats_within_us(PG_GETARG_INTERVAL_P(0));
	InvalDepths depths;
	int			i;

	InitMaterializedSRF(fcinfo, 0);
	inval_depths_measure(&depths, GetCurrentTimestamp() - (int64) within_us);
	for (i = 0; i < depths.count; i++)
		slo_put_target((ReturnSetInfo *) fcinfo->resultinfo, &depths.depths[i], within_us);
	return (Datum) 0;
}

static uint64
stats_within_us(const Interval *within)
{
	double		us = (double) within->time +
		((double) within->day + (double) within->month * DAYS_PER_MONTH) * USECS_PER_DAY;

	if (us <= 0 || us >= (double) INVAL_STATS_LONGEST_LAG_US)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the bound of inval_slo is out of range"),
				 errdetail("Lags are counted from 1 microsecond to 19 hours."),
				 errhint("Give an interval like '1 second'.")));
	return (uint64) us;
}

static void
slo_put_target(ReturnSetInfo *result, const InvalDepth *depth, uint64 within_us)
{
	Datum		values[SLO_COLUMNS] = {0};
	bool		nulls[SLO_COLUMNS] = {0};
	uint32		count;
	InvalStatsSlot *slots = inval_stats_slots(&count);
	uint64		buckets[INVAL_LAG_BUCKETS];
	uint64		deliveries = 0;
	uint64		on_time = 0;
	uint64		fresh = 0;
	uint64		stale = 0;
	uint32		i;
	int			k;

	for (i = 0; i < count; i++)
	{
		if (slots[i].database != MyDatabaseId ||
			strcmp(slots[i].target, depth->target->name) != 0)
			continue;
		inval_stats_lags(&slots[i], buckets);
		on_time += inval_stats_lags_within(buckets, within_us);
		fresh += pg_atomic_read_u64(&slots[i].counts[INVAL_STATS_AUDIT_FRESH]);
		stale += pg_atomic_read_u64(&slots[i].counts[INVAL_STATS_AUDIT_STALE]);
		for (k = 0; k < INVAL_LAG_BUCKETS; k++)
			deliveries += buckets[k];
	}
	values[0] = CStringGetTextDatum(depth->target->name);
	values[1] = Int64GetDatum((int64) deliveries);
	values[2] = Int64GetDatum((int64) on_time);
	values[3] = Int64GetDatum(depth->overdue);
	values[4] = slo_share(on_time, deliveries + (uint64) depth->overdue, &nulls[4]);
	values[5] = Int64GetDatum((int64) (fresh + stale));
	values[6] = Int64GetDatum((int64) fresh);
	values[7] = slo_share(fresh, fresh + stale, &nulls[7]);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

static Datum
slo_share(uint64 part, uint64 all, bool *null)
{
	*null = all == 0;
	return Float8GetDatum(all == 0 ? 0 : (double) part / (double) all);
}
