/*
 * ring.c
 *		The last invalidations of their kind, to be looked at.
 *
 * Rings in shared memory, of all databases, which take what comes and forget what is
 * oldest.  They are for people: what does not fit is cut off, and a large transaction
 * leaves its last ones.
 *
 * Nobody waits.  A place is claimed by a number that only grows, and says itself
 * whether it is whole; where somebody has come round while another still writes, one
 * of them is not noted.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/timestamp.h"

#include "stats/ring.h"

static void ring_init(InvalRing *ring, int count, uint32 reserve);
static void ring_put(InvalRing *ring, const InvalRingNote *note, const InvalEntry *entry,
					 TimestampTz now);
static void ring_fill_text(InvalRingEntry *place, const InvalEntry *entry);
static uint16 ring_cut(const char *text, uint32 length, Size room);

InvalRing	inval_shadow;
InvalRing	inval_history;

/*
 * Called by _PG_init, after inval_settings_init.
 */
void
inval_rings_init(void)
{
	ring_init(&inval_shadow, inval_shadow_keys, 8);
	ring_init(&inval_history, inval_history_keys, 0);
}

static void
ring_init(InvalRing *ring, int count, uint32 reserve)
{
	ring->entries.element_size = sizeof(InvalRingEntry);
	ring->entries.layout = 2;
	ring->entries.preloaded = (uint32) count;
	ring->entries.reserve = reserve;
	ring->head.element_size = sizeof(pg_atomic_uint64);
	ring->head.layout = 2;
	ring->head.preloaded = ring->head.reserve = 1;
	inval_shared_add(&ring->entries);
	inval_shared_add(&ring->head);
}

/*
 * Attaches to shared memory.  May raise an error: call it before the commit record.
 */
void
inval_ring_attach(InvalRing *ring)
{
	(void) inval_shared_elements(&ring->head);
	(void) inval_shared_elements(&ring->entries);
}

/*
 * Notes entries, packed as base/entry.h has them.
 */
void
inval_ring_note(InvalRing *ring, const InvalRingNote *note, const char *entries, Size length)
{
	const char *end = entries + length;
	const char *place;
	TimestampTz now;
	InvalEntry	entry;
	uint64		skip = 0;

	if (ring->entries.count == 0)
		return;
	now = GetCurrentTimestamp();
	for (place = entries; place < end; skip++)
		place = inval_entry_read(place, end, &entry);
	skip -= Min(skip, ring->entries.count);
	while (entries < end)
	{
		entries = inval_entry_read(entries, end, &entry);
		if (skip > 0)
			skip--;
		else
			ring_put(ring, note, &entry, now);
	}
}

static void
ring_put(InvalRing *ring, const InvalRingNote *note, const InvalEntry *entry, TimestampTz now)
{
	InvalRingEntry *places = ring->entries.elements;
	uint64		number = pg_atomic_fetch_add_u64(ring->head.elements, 1);
	InvalRingEntry *place = &places[number % ring->entries.count];
	uint64		old = pg_atomic_read_u64(&place->number);

	if (old == INVAL_RING_BUSY ||
		!pg_atomic_compare_exchange_u64(&place->number, &old, INVAL_RING_BUSY))
		return;
	place->database = MyDatabaseId;
	place->rule = entry->rule;
	place->at = now;
	place->xid = U64FromFullTransactionId(note->xid);
	place->lag_us = note->lag_us;
	place->action = (uint8) entry->action;
	place->outcome = (uint8) note->outcome;
	if (note->origin != NULL)
		place->origin = *note->origin;
	else
		place->origin.commands = 0;
	strlcpy(place->target, note->target, sizeof(place->target));
	ring_fill_text(place, entry);
	pg_write_barrier();
	pg_atomic_write_u64(&place->number, number + 1);
}

static void
ring_fill_text(InvalRingEntry *place, const InvalEntry *entry)
{
	place->has_field = entry->field != NULL;
	place->key_length = ring_cut(entry->key, entry->key_length, INVAL_RING_TEXT);
	memcpy(place->text, entry->key, place->key_length);
	place->field_length = 0;
	if (entry->field == NULL)
		return;
	place->field_length = ring_cut(entry->field, entry->field_length,
								   (Size) (INVAL_RING_TEXT - place->key_length));
	memcpy(place->text + place->key_length, entry->field, place->field_length);
}

/*
 * How much of a text in UTF-8 there is room for, in whole characters.
 */
static uint16
ring_cut(const char *text, uint32 length, Size room)
{
	if (length <= room)
		return (uint16) length;
	while (room > 0 && ((unsigned char) text[room] & 0xc0) == 0x80)
		room--;
	return (uint16) room;
}

/*
 * Calls "visit" with a copy of each that is this database's, the newest first.  What
 * comes meanwhile is left out, as is what it displaces.
 */
void
inval_ring_each(InvalRing *ring, InvalRingVisitor visit, void *arg)
{
	InvalRingEntry *copy = palloc(sizeof(InvalRingEntry));
	InvalRingEntry *places;
	uint32		count;
	uint64		next;
	uint64		i;

	inval_ring_attach(ring);
	places = ring->entries.elements;
	count = ring->entries.count;
	next = pg_atomic_read_u64(ring->head.elements);
	for (i = 1; i <= Min(next, count); i++)
	{
		InvalRingEntry *place = &places[(next - i) % count];

		if (pg_atomic_read_u64(&place->number) != next - i + 1)
			continue;
		pg_read_barrier();
		memcpy(copy, place, sizeof(*copy));
		pg_read_barrier();
		if (pg_atomic_read_u64(&place->number) == next - i + 1 &&
			copy->database == MyDatabaseId)
			visit(copy, arg);
	}
	pfree(copy);
}
