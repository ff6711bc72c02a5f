/*
 * backoff.c
 *		How long to pause after failures.
 */
#include "postgres.h"

#include "common/pg_prng.h"

#include "base/backoff.h"

/*
 * The pause after a number of failures: doubles up to a bound, less up to a
 * quarter, so that many who failed together do not return together.  Cannot
 * fail.
 */
uint64
inval_backoff_us(uint32 attempts, uint64 first_us, uint64 max_us)
{
	uint64		pause = first_us << Min(attempts, 20);

	pause = Min(pause, max_us);
	return (uint64) ((double) pause *
					 (0.75 + 0.25 * pg_prng_double(&pg_global_prng_state)));
}
