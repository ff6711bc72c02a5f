/*
 * shadow.c
 *		What rules in state "shadow" would have sent last.
 *
 * A ring in shared memory, of all databases, which takes what is committed and
 * forgets what is oldest.  It is for people who try a new rule out: what does not fit
 * is cut off, and a large transaction leaves its last ones.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/timestamp.h"

#include "base/settings.h"
#include "base/shared.h"
#include "stats/shadow.h"

typedef struct ShadowHead
{
	slock_t		mutex;			/* protects all of it */
	uint64		next;			/* how many were noted so far */
} ShadowHead;

static void shadow_initialize_head(void *element);
static ShadowHead *shadow_head(void);
static void shadow_fill(InvalShadowEntry *place, const InvalEntry *entry);
static uint16 shadow_cut(const char *text, uint32 length, Size room);

static InvalSharedArea entry_area = {
	.element_size = sizeof(InvalShadowEntry),
	.layout = 1,
	.reserve = 8
};

static InvalSharedArea head_area = {
	.element_size = sizeof(ShadowHead),
	.layout = 1,
	.preloaded = 1,
	.reserve = 1,
	.initialize = shadow_initialize_head
};

/*
 * Called by _PG_init, after inval_settings_init.
 */
void
inval_shadow_init(void)
{
	entry_area.preloaded = (uint32) inval_shadow_keys;
	inval_shared_add(&entry_area);
	inval_shared_add(&head_area);
}

static void
shadow_initialize_head(void *element)
{
	SpinLockInit(&((ShadowHead *) element)->mutex);
}

static ShadowHead *
shadow_head(void)
{
	return inval_shared_elements(&head_area);
}

/*
 * Attaches to shared memory.  May raise an error: call it before the commit record.
 */
void
inval_shadow_attach(void)
{
	(void) shadow_head();
	(void) inval_shared_elements(&entry_area);
}

/*
 * How many there can be.
 */
uint32
inval_shadow_count(void)
{
	inval_shadow_attach();
	return entry_area.count;
}

/*
 * Notes what a transaction would have sent to a target.  Cannot fail: is called after
 * the commit record, once inval_shadow_attach was before it.
 */
void
inval_shadow_note(const char *target, FullTransactionId xid, const char *entries, Size length)
{
	ShadowHead *head = shadow_head();
	InvalShadowEntry *ring = inval_shared_elements(&entry_area);
	const char *end = entries + length;
	const char *place;
	TimestampTz now = GetCurrentTimestamp();
	InvalEntry	entry;
	uint64		skip = 0;

	if (entry_area.count == 0)
		return;
	for (place = entries; place < end;)
	{
		place = inval_entry_read(place, end, &entry);
		skip++;
	}
	skip -= Min(skip, entry_area.count);
	while (entries < end)
	{
		InvalShadowEntry *slot;

		entries = inval_entry_read(entries, end, &entry);
		if (skip > 0)
		{
			skip--;
			continue;
		}
		SpinLockAcquire(&head->mutex);
		slot = &ring[head->next++ % entry_area.count];
		slot->database = MyDatabaseId;
		slot->at = now;
		slot->xid = U64FromFullTransactionId(xid);
		strlcpy(slot->target, target, sizeof(slot->target));
		shadow_fill(slot, &entry);
		SpinLockRelease(&head->mutex);
	}
}

static void
shadow_fill(InvalShadowEntry *place, const InvalEntry *entry)
{
	place->rule = entry->rule;
	place->action = (uint8) entry->action;
	place->has_field = entry->field != NULL;
	place->key_length = shadow_cut(entry->key, entry->key_length, INVAL_SHADOW_TEXT);
	memcpy(place->text, entry->key, place->key_length);
	place->field_length = 0;
	if (entry->field == NULL)
		return;
	place->field_length = shadow_cut(entry->field, entry->field_length,
									 (Size) (INVAL_SHADOW_TEXT - place->key_length));
	memcpy(place->text + place->key_length, entry->field, place->field_length);
}

/*
 * How much of a text in UTF-8 there is room for, in whole characters.
 */
static uint16
shadow_cut(const char *text, uint32 length, Size room)
{
	if (length <= room)
		return (uint16) length;
	while (room > 0 && ((unsigned char) text[room] & 0xc0) == 0x80)
		room--;
	return (uint16) room;
}

/*
 * Copies one of them, the newest being number 0; false if it is none of this
 * database's.
 */
bool
inval_shadow_get(uint32 number, InvalShadowEntry *copy)
{
	ShadowHead *head = shadow_head();
	InvalShadowEntry *ring = inval_shared_elements(&entry_area);
	bool		found = false;

	SpinLockAcquire(&head->mutex);
	if (number < entry_area.count && number < head->next)
	{
		*copy = ring[(head->next - 1 - number) % entry_area.count];
		found = copy->database == MyDatabaseId;
	}
	SpinLockRelease(&head->mutex);
	return found;
}
