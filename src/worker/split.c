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

static bool split_collect(const InvalOutboxRow *row, const InvalOutcome *outcomes,
						  bool confirmed, InvalOutboxRow *rest);

/*
 * Queues the entries that are not confirmed anew, each by itself; those that are
 * confirmed, too, if there is more to come of them.
 */
void
inval_drain_split(const InvalOutboxRow *row, const InvalOutcome *outcomes, char **errors)
{
	const char *place = row->pack;
	const char *end = row->pack + row->pack_length;
	bool		again = inval_requeue_comes_again(row);
	int			i;

	for (i = 0; i < row->entries; i++)
	{
		InvalOutboxRow rest = *row;
		InvalEntry	entry;

		rest.pack = place;
		place = inval_entry_read(place, end, &entry);
		rest.pack_length = (Size) (place - rest.pack);
		rest.first = row->first + i;
		rest.entries = 1;
		rest.lane = INVAL_LANE_WORKER;
		rest.sole = false;
		rest.again = again;
		if (outcomes[i] != INVAL_OUTCOME_CONFIRMED)
			inval_outbox_write_row(&rest, false);
		else
			inval_requeue_confirmed(&rest);
		if (outcomes[i] == INVAL_OUTCOME_REFUSED)
			inval_refusal_note(inval_outbox_entry_id(rest.xid, rest.first), errors[i]);
	}
}

/*
 * The same for a row of which nothing was refused: what could not be delivered
 * yet stays in one row, since there may be much of it.
 */
void
inval_drain_keep_rest(const InvalOutboxRow *row, const InvalOutcome *outcomes)
{
	bool		again = inval_requeue_comes_again(row);
	InvalOutboxRow rest;

	if (split_collect(row, outcomes, true, &rest))
		inval_requeue_confirmed(&rest);
	if (split_collect(row, outcomes, false, &rest))
	{
		rest.again = again;
		inval_outbox_write_row(&rest, false);
	}
}

/*
 * Makes a row of those of the row's entries that are to be kept, and returns whether
 * there are any.  They are numbered anew from the first of them on, within the numbers
 * that the row had.  In the current memory context.
 */
bool
inval_split_keep(const InvalOutboxRow *row, const bool *keep, InvalOutboxRow *rest)
{
	char	   *pack = palloc(row->pack_length);
	const char *place = row->pack;
	int			i;

	*rest = *row;
	rest->pack = pack;
	rest->pack_length = 0;
	rest->entries = 0;
	for (i = 0; i < row->entries; i++)
	{
		const char *start = place;
		InvalEntry	entry;

		place = inval_entry_read(place, row->pack + row->pack_length, &entry);
		if (!keep[i])
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
 * The same for those that are confirmed, or that are not; the worker delivers them.
 */
static bool
split_collect(const InvalOutboxRow *row, const InvalOutcome *outcomes, bool confirmed,
			  InvalOutboxRow *rest)
{
	bool	   *keep = palloc(row->entries * sizeof(bool));
	bool		any;
	int			i;

	for (i = 0; i < row->entries; i++)
		keep[i] = (outcomes[i] == INVAL_OUTCOME_CONFIRMED) == confirmed;
	any = inval_split_keep(row, keep, rest);
	rest->lane = INVAL_LANE_WORKER;
	rest->sole = false;
	return any;
}
