/*
 * lag.c
 *		How long it took from commit to confirmation.
 *
 * A histogram on a log scale in each slot of counters.
 */
#include "postgres.h"

#include <math.h>

#include "port/pg_bitutils.h"
#include "utils/timestamp.h"

#include "stats/stats.h"

static int	lag_bucket(uint64 lag_us);

/*
 * Counts confirmed keys.  Cannot fail.
 */
void
inval_stats_delivered(InvalStatsSlot *slot, uint64 keys, uint64 lag_us,
					  bool by_worker)
{
	uint64		max;

	if (slot == NULL || keys == 0)
		return;
	pg_atomic_fetch_add_u64(by_worker ? &slot->counts[INVAL_STATS_DELIVERED_BY_WORKER] :
							&slot->counts[INVAL_STATS_DELIVERED_AT_COMMIT], keys);
	pg_atomic_fetch_add_u64(&slot->lag[lag_bucket(lag_us)], (int64) keys);
	max = pg_atomic_read_u64(&slot->lag_max_us);
	while (lag_us > max &&
		   !pg_atomic_compare_exchange_u64(&slot->lag_max_us, &max, lag_us))
		;
	pg_atomic_write_u64(&slot->last_delivery, (uint64) GetCurrentTimestamp());
}

/*
 * Bucket 4 * n + q holds lags from 2^n * (1 + q/4) microseconds on.
 */
static int
lag_bucket(uint64 lag_us)
{
	int			octave;
	int			bucket;

	if (lag_us < 4)
		return (int) lag_us;
	octave = pg_leftmost_one_pos64(lag_us);
	bucket = octave * 4 + (int) ((lag_us >> (octave - 2)) & 3);
	return Min(bucket, INVAL_LAG_BUCKETS - 1);
}

/*
 * Reads a slot's histogram: how many keys there are in each of INVAL_LAG_BUCKETS.
 */
void
inval_stats_lags(InvalStatsSlot *slot, uint64 *buckets)
{
	int			i;

	for (i = 0; i < INVAL_LAG_BUCKETS; i++)
		buckets[i] = pg_atomic_read_u64(&slot->lag[i]);
}

/*
 * The upper edge of a bucket, in us, which does not belong to it.
 */
uint64
inval_stats_lag_edge_us(int bucket)
{
	int			next = bucket + 1;

	/* Below 4 us each bucket is a whole number of them, and some are empty. */
	if (next < 8)
		return (uint64) Min(next, 4);
	return (UINT64CONST(4) + (uint64) (next % 4)) << (next / 4 - 2);
}

/*
 * The lag, in ms, that the given share of all deliveries stays under: the
 * upper edge of the bucket, so never too good.  NAN without deliveries.
 */
double
inval_stats_lag_ms(const uint64 *buckets, double share)
{
	uint64		total = 0;
	uint64		seen = 0;
	int			i;

	for (i = 0; i < INVAL_LAG_BUCKETS; i++)
		total += buckets[i];
	if (total == 0)
		return NAN;
	for (i = 0; i < INVAL_LAG_BUCKETS - 1; i++)
	{
		seen += buckets[i];
		if ((double) seen >= share * (double) total)
			break;
	}
	return (double) inval_stats_lag_edge_us(i) / 1000.0;
}

/*
 * How many deliveries took no longer than that, as far as the buckets tell: never too
 * many.
 */
uint64
inval_stats_lags_within(const uint64 *buckets, uint64 within_us)
{
	uint64		count = 0;
	int			i;

	/* The last one has no upper edge. */
	for (i = 0; i < INVAL_LAG_BUCKETS - 1 && inval_stats_lag_edge_us(i) <= within_us; i++)
		count += buckets[i];
	return count;
}
