/*
 * load.c
 *		What is sent at commit, as a shipment.
 *
 * Keys of one rule that lie together share commands.  In most transactions they do; where
 * a row feeds several rules they are put in order first.
 */
#include "postgres.h"

#include "commit/load.h"

/* On the way into a shipment */
typedef struct Load
{
	InvalShipment *shipment;
	const char *entries;
	const char *end;
	FullTransactionId xid;
	TimestampTz now;
} Load;

static bool load_is_ordered(const Load *load, Size *count);
static void load_in_order(const Load *load, Size count);
static const char *load_entry(const Load *load, const char *place);

/*
 * Adds the first so many bytes of a set, which must stay until the shipment is sealed.
 */
void
inval_load_set(InvalShipment *shipment, const InvalOwed *owed, Size length,
			   FullTransactionId xid)
{
	Load		load = {
		.shipment = shipment,.entries = owed->entries,.end = owed->entries + length,
		.xid = xid,.now = GetCurrentTimestamp()
	};
	const char *place = load.entries;
	Size		count;

	if (load_is_ordered(&load, &count))
		while (place < load.end)
			place = load_entry(&load, place);
	else
		load_in_order(&load, count);
}

static bool
load_is_ordered(const Load *load, Size *count)
{
	const char *place = load->entries;
	bool		ordered = true;
	uint64		last = 0;

	for (*count = 0; place < load->end; (*count)++)
	{
		InvalEntry	entry;
		uint64		rank;

		place = inval_entry_read(place, load->end, &entry);
		rank = inval_shipment_rank(&entry);
		ordered &= rank >= last;
		last = rank;
	}
	return ordered;
}

static void
load_in_order(const Load *load, Size count)
{
	InvalRanked *ranked = palloc_extended(count * sizeof(InvalRanked), MCXT_ALLOC_HUGE);
	const char *place = load->entries;
	Size		i;

	for (i = 0; i < count; i++)
	{
		InvalEntry	entry;

		ranked[i].place = (Size) (place - load->entries);
		place = inval_entry_read(place, load->end, &entry);
		ranked[i].rank = inval_shipment_rank(&entry);
	}
	inval_shipment_sort(ranked, count);
	for (i = 0; i < count; i++)
		(void) load_entry(load, load->entries + ranked[i].place);
	pfree(ranked);
}

static const char *
load_entry(const Load *load, const char *place)
{
	InvalEntry	entry;
	const char *next = inval_entry_read(place, load->end, &entry);

	entry.xid = load->xid;
	entry.queued_at = load->now;
	inval_shipment_add(load->shipment, &entry);
	return next;
}
