/*
 * show.c
 *		What a worker does, for others to see.
 */
#include "postgres.h"

#include "base/activity.h"
#include "base/progress.h"
#include "outbox/kept.h"
#include "store/pauses.h"
#include "target/breaker.h"
#include "worker/show.h"

/*
 * Shows a delivery that takes more than a turn.  How much there is to be delivered is
 * known of what has lain there since an outage, unless what paused rules owe lies there.
 */
void
inval_show_delivery(InvalPass *pass, bool goes_on)
{
	static uint64 before;		/* it began */
	const char *name = pass->target->name;
	unsigned long long delivered;
	int64		kept;
	TimestampTz since;

	if (goes_on && pass->progress == NULL)
	{
		bool		counted = pass->kept && !inval_pauses_any() &&
			inval_kept_is_known(pass->target, &kept, &since) && kept > 0;

		before = pass->confirmed;
		pass->progress = inval_progress_begin("deliver", name, counted ? kept : -1);
	}
	else if (!goes_on && pass->progress != NULL)
	{
		inval_progress_end(pass->progress);
		pass->progress = NULL;
	}
	if (pass->progress == NULL)
		return;
	delivered = (unsigned long long) (pass->confirmed - before);
	inval_progress_update(pass->progress, (int64) delivered);
	if (pass->progress->total >= 0)
		inval_activity_busy("delivering to \"%s\": %llu of %lld", name, delivered,
							(long long) pass->progress->total);
	else
		inval_activity_busy("delivering to \"%s\": %llu", name, delivered);
}

/*
 * Says what it waits for.
 */
void
inval_show_idle(InvalTarget *target, const InvalRemoval *removal)
{
	if (pg_atomic_read_u32(&target->health->paused) != 0)
		inval_activity_idle("target \"%s\" is paused", target->name);
	else if (!inval_target_is_open(target))
		inval_activity_idle("target \"%s\" is down, to be tried again", target->name);
	else if (removal->running)
		inval_activity_idle("removing keys by prefix at \"%s\": " UINT64_FORMAT " so far",
							target->name, removal->wipe.removed);
	else
		inval_activity_idle("waiting for something to deliver to \"%s\"", target->name);
}
