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
	pg_atomic_fetch_add_u64(by_worker ? &slot->delivered_by_worker :
							&slot->delivered_at_commit, keys);
	pg_atomic_fetch_add_u32(&slot->lag[lag_bucket(lag_us)], (int32) keys);
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
	for (i = 0; i < INVAL_LAG_BUCKETS; i++)
	{
		seen += buckets[i];
		if ((double) seen >= share * (double) total)
			break;
	}
	return inval_stats_lag_edge(Min(i, INVAL_LAG_BUCKETS - 1)) / 1000.0;
}

/*
 * The upper edge of a bucket, in microseconds.  Lags that are longer than that of
 * the last one are in it all the same.
 */
double
inval_stats_lag_edge(int bucket)
{
	int			next = bucket + 1;

	return next < 8 ? next : ldexp(1.0 + (next % 4) / 4.0, next / 4);
}
