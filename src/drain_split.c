/*
 * drain_split.c
 *		What is left of an outbox row of which a part was delivered.
 *
 * A row holds many entries.  Some of them may be refused, and some may be for a
 * node of a cluster that is lost; the others must not be sent again each time
 * those are tried.  So the row is replaced by what is left of it, in the same
 * transaction.
 */
#include "postgres.h"

#include "drain_split.h"
#include "refusal.h"

static InvalOutcome split_outcome(const InvalBatchRow *taken,
								  const InvalOutcome *outcomes, int number);

/*
 * Queues the entries that are not confirmed anew: each by itself, and in one row
 * again what was not tried yet.
 */
void
inval_drain_split(const InvalBatchRow *taken, const InvalOutcome *outcomes, char **errors)
{
	const InvalOutboxRow *row = &taken->row;
	const char *place = row->pack;
	const char *end = row->pack + row->pack_length;
	int			untried = taken->from + taken->taken;
	int			i;

	for (i = 0; i < row->entries; i++)
	{
		InvalOutcome outcome = split_outcome(taken, outcomes, i);
		InvalOutboxRow rest = *row;
		InvalEntry	entry;

		rest.pack = place;
		place = i == untried ? end : inval_entry_read(place, end, &entry);
		if (outcome == INVAL_OUTCOME_CONFIRMED)
			continue;
		rest.pack_length = (Size) (place - rest.pack);
		rest.first = row->first + i;
		rest.entries = i == untried ? row->entries - untried : 1;
		rest.lane = INVAL_LANE_WORKER;
		rest.sole = false;
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
 * another, so that it is not held up.  The first is numbered anew, within the
 * numbers that it had.
 */
void
inval_drain_keep_rest(const InvalBatchRow *taken, const InvalOutcome *outcomes)
{
	const InvalOutboxRow *row = &taken->row;
	const char *place = row->pack;
	const char *end = row->pack + row->pack_length;
	char	   *pack = palloc(row->pack_length);
	int			untried = taken->from + taken->taken;
	InvalOutboxRow rest = *row;
	int			i;

	rest.pack = pack;
	rest.pack_length = 0;
	rest.entries = 0;
	rest.lane = INVAL_LANE_WORKER;
	rest.sole = false;
	for (i = 0; i < untried; i++)
	{
		const char *from = place;
		InvalEntry	entry;

		place = inval_entry_read(place, end, &entry);
		if (split_outcome(taken, outcomes, i) == INVAL_OUTCOME_CONFIRMED)
			continue;
		if (rest.entries == 0)
			rest.first = row->first + i;
		memcpy(pack + rest.pack_length, from, (Size) (place - from));
		rest.pack_length += (Size) (place - from);
		rest.entries++;
	}
	if (rest.entries > 0)
		inval_outbox_write_row(&rest);
	if (untried < row->entries)
	{
		rest.pack = place;
		rest.pack_length = (Size) (end - place);
		rest.first = row->first + untried;
		rest.entries = row->entries - untried;
		inval_outbox_write_row(&rest);
	}
	pfree(pack);
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
