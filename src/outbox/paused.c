/*
 * paused.c
 *		Rows of the outbox that paused rules have queued.
 */
#include "postgres.h"

#include "outbox/paused.h"
#include "store/pauses.h"

/*
 * How many of a row's entries are held back, as of the last inval_pauses_refresh.  Of
 * a row that cannot be read, those that can be.  Cannot fail.
 */
int
inval_outbox_paused(const InvalOutboxRow *row)
{
	const char *place = row->pack;
	const char *end;
	int			held = 0;
	int			i;

	if (likely(!inval_pauses_any()) || place == NULL)
		return 0;
	end = place + row->pack_length;
	for (i = 0; i < row->entries; i++)
	{
		InvalEntry	entry;

		place = inval_entry_read(place, end, &entry);
		if (place == NULL)
			break;
		held += inval_pauses_hold(&entry);
	}
	return held;
}

/*
 * Whether all of them are, so that there is nothing to be done about the row.
 */
bool
inval_outbox_is_paused(const InvalOutboxRow *row)
{
	return inval_outbox_paused(row) == row->entries;
}
