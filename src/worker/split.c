/*
 * split.c
 *		What is left of an outbox row of which a part was delivered.
 *
 * A row holds many entries.  Some of them may be refused, and some may be for a
 * node of a cluster that is lost; the others must not be sent again each time
 * those are tried.  So the row is replaced by what is left of it, in the same
 * transaction.
 */
#include "postgres.h"

#include "outbox/outbox.h"
#include "worker/refusal.h"
#include "worker/requeue.h"
#include "worker/split.h"

static bool split_collect(const InvalBatchRow *taken, const InvalOutcome *outcomes,
						  bool confirmed, int from, int to, InvalOutboxRow *rest);
static InvalOutcome split_outcome(const InvalBatchRow *taken,
								  const InvalOutcome *outcomes, int number);

/*
 * Queues the entries that are not confirmed anew: each by itself, and in one row
 * again what was not tried yet.  Those that are confirmed, too, if they are to
 * come again when standbys have replayed them.
 */
void
inval_drain_split(const InvalBatchRow *taken, const InvalOutcome *outcomes, char **errors)
{
	const InvalOutboxRow *row = &taken->row;
	const char *place = row->pack;
	const char *end = row->pack + row->pack_length;
	int			untried = taken->from + taken->taken;
	bool		again = inval_requeue_comes_again(row);
	int			i;

	for (i = 0; i < row->entries; i++)
	{
		InvalOutcome outcome = split_outcome(taken, outcomes, i);
		InvalOutboxRow rest = *row;
		InvalEntry	entry;

		rest.pack = place;
		place = i == untried ? end : inval_entry_read(place, end, &entry);
		if (outcome == INVAL_OUTCOME_CONFIRMED && !again)
			continue;
		rest.pack_length = (Size) (place - rest.pack);
		rest.first = row->first + i;
		rest.entries = i == untried ? row->entries - untried : 1;
		if (outcome == INVAL_OUTCOME_CONFIRMED)
		{
			inval_requeue_waiting(&rest);
			continue;
		}
		rest.lane = INVAL_LANE_WORKER;
		rest.sole = false;
		rest.again = again;
		inval_outbox_write_row(&rest);
		if (i == untried)
			break;
		if (outcome == INVAL_OUTCOME_REFUSED)
			inval_refusal_note(inval_outbox_entry_id(rest.xid, rest.first),
							   errors[i - taken->from]);
	}
}

/*
 * The same for a row of which nothing was refused: what could not be delivered
 * yet in one row, since there may be much of it, and what was not tried in
 * another, so that it is not held up.
 */
void
inval_drain_keep_rest(const InvalBatchRow *taken, const InvalOutcome *outcomes)
{
	const InvalOutboxRow *row = &taken->row;
	bool		again = inval_requeue_comes_again(row);
	int			untried = taken->from + taken->taken;
	InvalOutboxRow rest;

	if (again && split_collect(taken, outcomes, true, 0, untried, &rest))
		inval_requeue_waiting(&rest);
	if (split_collect(taken, outcomes, false, 0, untried, &rest))
	{
		rest.again = again;
		inval_outbox_write_row(&rest);
	}
	if (split_collect(taken, outcomes, false, untried, row->entries, &rest))
	{
		rest.again = again;
		inval_outbox_write_row(&rest);
	}
}

/*
 * Makes a row of those of the row's entries, from one number up to another, that
 * are confirmed or that are not, and returns whether there are any.  They are
 * numbered anew from the first of them on, within the numbers that the row had.
 */
static bool
split_collect(const InvalBatchRow *taken, const InvalOutcome *outcomes, bool confirmed,
			  int from, int to, InvalOutboxRow *rest)
{
	const InvalOutboxRow *row = &taken->row;
	char	   *pack = palloc(row->pack_length);
	const char *place = row->pack;
	int			i;

	*rest = *row;
	rest->pack = pack;
	rest->pack_length = 0;
	rest->entries = 0;
	rest->lane = INVAL_LANE_WORKER;
	rest->sole = false;
	for (i = 0; i < to; i++)
	{
		const char *start = place;
		InvalEntry	entry;

		place = inval_entry_read(place, row->pack + row->pack_length, &entry);
		if (i < from ||
			(split_outcome(taken, outcomes, i) == INVAL_OUTCOME_CONFIRMED) != confirmed)
			continue;
		if (rest->entries == 0)
			rest->first = row->first + i;
		memcpy(pack + rest->pack_length, start, (Size) (place - start));
		rest->pack_length += (Size) (place - start);
		rest->entries++;
	}
	return rest->entries > 0;
}

/*
 * What became of an entry of the row: those before the part that was sent are
 * confirmed, those after it open.
 */
static InvalOutcome
split_outcome(const InvalBatchRow *taken, const InvalOutcome *outcomes, int number)
{
	if (number < taken->from)
		return INVAL_OUTCOME_CONFIRMED;
	if (number < taken->from + taken->taken)
		return outcomes[number - taken->from];
	return INVAL_OUTCOME_OPEN;
}
