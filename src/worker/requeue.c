/*
 * requeue.c
 *		Rows that are not done with when they were delivered.
 *
 * Entries that were queued under inval.repeat_after_replay are delivered once
 * more when standbys have replayed them (outbox/replay.c).  A row that is all that its
 * transaction has queued stays where it is, and the ledger says how far it
 * has come; what remains of others is written anew, under its old identity.
 *
 * What a target has confirmed that may be replaced by a replica stays until that
 * is settled (target/trust.c).  Here, too, the ledger knows of such a row, or it is
 * written anew.
 */
#include "postgres.h"

#include "outbox/read.h"
#include "outbox/replay.h"
#include "target/action.h"
#include "target/targets.h"
#include "target/trust.h"
#include "worker/requeue.h"

static bool requeue_took_steps(const InvalOutboxRow *row);

/*
 * Whether a row that is delivered now is to be delivered once more.  Not if it
 * took so long that standbys have replayed it meanwhile; unless what takes so long is
 * the delivery, most of which was before that.  Says the same all through a batch.
 */
bool
inval_requeue_comes_again(const InvalOutboxRow *row)
{
	return row->again &&
		(!inval_replay_is_done(row->xid) ||
		 (requeue_took_steps(row) && !inval_outbox_is_waiting(row)));
}

/*
 * Whether more than one batch may have delivered the row.
 */
static bool
requeue_took_steps(const InvalOutboxRow *row)
{
	const InvalTarget *target = inval_target_by_number(row->target);
	const char *place = row->pack;
	InvalEntry	entry;
	int			i;

	for (i = 0; i < row->entries && target != NULL; i++)
	{
		place = inval_entry_read(place, row->pack + row->pack_length, &entry);
		if (entry.action == INVAL_ACTION_PREFIX || inval_action_is_for_worker(target, &entry))
			return true;
	}
	return false;
}

/*
 * Whether the ledger can say that a row is done now, and will go on doing so: the
 * row is all that its transaction has queued, which is not older than the horizon,
 * and will stay for long enough.
 */
bool
inval_requeue_can_note(const InvalOutboxRow *row, uint64 horizon)
{
	const InvalTarget *target = inval_target_by_number(row->target);

	return target != NULL && row->sole && U64FromFullTransactionId(row->xid) >= horizon &&
		inval_trust_covers(target, row->xid) &&
		inval_trust_is_prompt(target, (uint64) Max(GetCurrentTimestamp() - row->queued_at, 0));
}

/*
 * A row was confirmed and is removed: queues what is to come of it, if anything.
 * Where what is confirmed may be lost it begins a new life, as old as its
 * confirmation.
 */
void
inval_requeue_confirmed(const InvalOutboxRow *row)
{
	const InvalTarget *target = inval_target_by_number(row->target);
	bool		again = inval_requeue_comes_again(row);
	InvalOutboxRow later = *row;

	if (target != NULL && inval_trust_is_limited(target))
	{
		inval_origin_adopt(&row->origin);
		inval_outbox_write(row->pack, row->pack_length,
						   again ? INVAL_LANE_REPLAY : INVAL_LANE_HELD, row->target, 0,
						   INVAL_OUTBOX_LASTING);
		inval_origin_adopt(NULL);
	}
	else if (again)
	{
		later.lane = INVAL_LANE_REPLAY;
		later.sole = later.again = false;
		inval_outbox_write_row(&later, false);
	}
}
