/*
 * portion.c
 *		What of that which a transaction owes is delivered at commit.
 *
 * The rest is the worker's.
 */
#include "postgres.h"

#include "base/settings.h"
#include "commit/pending.h"
#include "commit/portion.h"
#include "target/breaker.h"
#include "target/targets.h"

/* Bytes of entries delivered at commit; commands take about twice as much. */
#define COMMIT_MAX_BYTES	(32 * 1024 * 1024)

static bool portion_may_send(int32 number);
static Size portion_of(const char *entries, Size length);

/*
 * Says for each set how many bytes of it are delivered at commit.  Returns whether
 * all that is owed goes by one lane to one target, and none of it went before.
 */
bool
inval_portion_split(Size *at_commit)
{
	int			pieces = 0;
	int			i;

	for (i = 0; i < inval_pending_sets(); i++)
	{
		InvalOwed	owed = inval_pending_set(i);

		if ((owed.lane == INVAL_LANE_COMMIT || owed.lane == INVAL_LANE_STRICT) &&
			inval_commit_timeout > 0 && portion_may_send(owed.target))
			at_commit[i] = portion_of(owed.entries, owed.length);
		if (owed.lane != INVAL_LANE_SHADOW)
			pieces += (at_commit[i] > 0) + (at_commit[i] < owed.length);
	}
	return pieces == 1 && !inval_pending_did_spill();
}

/*
 * Whether it is worth trying to deliver at commit.  To a target that is down only
 * where there are no workers, who else would.
 */
static bool
portion_may_send(int32 number)
{
	InvalTarget *target = inval_target_by_number(number);

	return target == NULL || inval_target_is_open(target) ||
		(!inval_target_has_worker() && pg_atomic_read_u32(&target->health->paused) == 0);
}

/*
 * How many bytes from the front are delivered at commit.
 */
static Size
portion_of(const char *entries, Size length)
{
	const char *place = entries;
	const char *end = entries + length;
	int			count = 0;

	while (place < end && count < inval_commit_max_keys)
	{
		InvalEntry	entry;
		const char *next = inval_entry_read(place, end, &entry);

		if (next - entries > COMMIT_MAX_BYTES)
			break;
		count++;
		place = next;
	}
	return (Size) (place - entries);
}

/*
 * Whether all invalidations that a target is owed are sent at commit.
 */
bool
inval_portion_is_all(int32 target, const Size *at_commit)
{
	int			i;

	for (i = 0; i < inval_pending_sets(); i++)
	{
		InvalOwed	owed = inval_pending_set(i);

		if (owed.target == target && inval_pending_is_counted(owed.lane) &&
			owed.lane != INVAL_LANE_SHADOW && at_commit[i] < owed.length)
			return false;
	}
	return !inval_pending_did_spill();
}
