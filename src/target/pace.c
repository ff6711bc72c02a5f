/*
 * pace.c
 *		Keeping to a target's rate.
 *
 * After each batch it is noted when the next one may begin, whoever sends it: the
 * worker, inval_drain or a purge.  Batches are small enough that a second is made of
 * many.
 */
#include "postgres.h"

#include "base/settings.h"
#include "target/pace.h"

/* Where a target has a rate, its batches are so small. */
#define BATCHES_PER_SECOND	20

/*
 * How many keys make a batch.
 */
int
inval_pace_batch(const InvalTarget *target)
{
	if (target->max_rate == 0)
		return inval_batch_keys;
	return Min(inval_batch_keys, Max(target->max_rate / BATCHES_PER_SECOND, 1));
}

/*
 * Notes that so many keys were sent.
 */
void
inval_pace_sent(InvalTarget *target, int keys)
{
	pg_atomic_uint64 *next_batch = &target->health->next_batch;
	uint64		now;
	uint64		next;

	if (target->max_rate == 0)
		return;
	now = inval_clock_us();
	next = pg_atomic_read_u64(next_batch);
	while (!pg_atomic_compare_exchange_u64(next_batch, &next, Max(next, now) +
										   (uint64) keys * 1000000 / (uint64) target->max_rate))
		;
}

/*
 * How long it is until the next batch may begin, in ms.
 */
long
inval_pace_wait_ms(const InvalTarget *target)
{
	uint64		next;
	uint64		now;

	if (target->max_rate == 0)
		return 0;
	next = pg_atomic_read_u64(&target->health->next_batch);
	now = inval_clock_us();
	return now >= next ? 0 : (long) ((next - now + 999) / 1000);
}
