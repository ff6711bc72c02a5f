/*
 * entry.c
 *		One invalidation, as bytes.
 *
 * The same bytes lie in the pending set and in the outbox, so that writing the
 * outbox is a copy.  An entry is:
 *
 *		head	1 byte: bits 0 to 3 the action, bit 4 "has a field",
 *				bit 5 "fence", the rest zero
 *		rule	varint
 *		key		varint length, bytes
 *		field	the same, if it has one
 *
 * A varint is 7 bits to the byte, low ones first, as in protocol buffers.  The
 * bytes do not depend on the machine, so pg_upgrade and a standby can keep
 * them.  A reserved bit that is set means a newer format: reading fails.
 */
#include "postgres.h"

#include "common/hashfn.h"

#include "base/entry.h"

#define HEAD_ACTION		0x0f
#define HEAD_FIELD		0x10
#define HEAD_FENCE		0x20
#define HEAD_RESERVED	0xc0

static inline Size
varint_size(uint32 value)
{
	Size		size = 1;

	while (value >= 0x80)
	{
		value >>= 7;
		size++;
	}
	return size;
}

static inline char *
varint_write(char *place, uint32 value)
{
	while (value >= 0x80)
	{
		*place++ = (char) (value | 0x80);
		value >>= 7;
	}
	*place++ = (char) value;
	return place;
}

static inline const char *
varint_read(const char *place, const char *end, uint32 *value)
{
	uint32		result = 0;
	int			shift;

	for (shift = 0; shift < 35; shift += 7)
	{
		unsigned char byte;

		if (place >= end)
			return NULL;
		byte = (unsigned char) *place++;
		result |= (uint32) (byte & 0x7f) << shift;
		if ((byte & 0x80) == 0)
		{
			*value = result;
			return place;
		}
	}
	return NULL;
}

static const char *
bytes_read(const char *place, const char *end, const char **bytes, uint32 *length)
{
	place = varint_read(place, end, length);
	if (place == NULL || (Size) (end - place) < *length)
		return NULL;
	*bytes = place;
	return place + *length;
}

/*
 * How many bytes inval_entry_write needs.
 */
Size
inval_entry_size(const InvalEntry *entry)
{
	Size		size = 1 + varint_size(entry->rule);

	size += varint_size(entry->key_length) + entry->key_length;
	if (entry->field != NULL)
		size += varint_size(entry->field_length) + entry->field_length;
	return size;
}

/*
 * Writes an entry; returns the place behind it.
 */
char *
inval_entry_write(char *place, const InvalEntry *entry)
{
	*place++ = (char) (entry->action | (entry->field != NULL ? HEAD_FIELD : 0) |
					   (entry->fence ? HEAD_FENCE : 0));
	place = varint_write(place, entry->rule);
	place = varint_write(place, entry->key_length);
	memcpy(place, entry->key, entry->key_length);
	place += entry->key_length;
	if (entry->field != NULL)
	{
		place = varint_write(place, entry->field_length);
		memcpy(place, entry->field, entry->field_length);
		place += entry->field_length;
	}
	return place;
}

/*
 * Reads an entry, whose pointers then point into the bytes read.  Returns the
 * place behind it, or NULL if these bytes are no entry.
 */
const char *
inval_entry_read(const char *place, const char *end, InvalEntry *entry)
{
	unsigned char head;

	if (place >= end)
		return NULL;
	head = (unsigned char) *place++;
	if (head & HEAD_RESERVED)
		return NULL;
	entry->action = (InvalAction) (head & HEAD_ACTION);
	entry->fence = (head & HEAD_FENCE) != 0;
	if (inval_action_name(entry->action) == NULL)
		return NULL;
	place = varint_read(place, end, &entry->rule);
	if (place == NULL)
		return NULL;
	place = bytes_read(place, end, &entry->key, &entry->key_length);
	entry->field = NULL;
	entry->field_length = 0;
	if (place != NULL && (head & HEAD_FIELD))
		place = bytes_read(place, end, &entry->field, &entry->field_length);
	return place;
}

/*
 * Makes one of two entries that are the same invalidation do what the other does:
 * "place" is where it was written.
 */
void
inval_entry_merge(char *place, const InvalEntry *other)
{
	if (other->fence)
		*place = (char) (*place | HEAD_FENCE);
}

/*
 * A hash of what makes an invalidation: action, key and field.  The field of a
 * look-up is only what is known of it.
 */
uint32
inval_entry_hash(const InvalEntry *entry)
{
	uint32		hash = hash_bytes((const unsigned char *) entry->key,
								  (int) entry->key_length);

	if (entry->field != NULL && entry->action != INVAL_ACTION_LOOK)
		hash = hash_combine(hash,
							hash_bytes((const unsigned char *) entry->field,
									   (int) entry->field_length));
	return hash_combine(hash, (uint32) entry->action);
}

/*
 * Whether two entries are the same invalidation, of whatever rules, and whether
 * with a fence or without.
 */
bool
inval_entry_equal(const InvalEntry *a, const InvalEntry *b)
{
	return a->action == b->action &&
		a->key_length == b->key_length &&
		memcmp(a->key, b->key, a->key_length) == 0 &&
		(a->action == INVAL_ACTION_LOOK ||
		 ((a->field != NULL) == (b->field != NULL) &&
		a->field_length == b->field_length &&
		(a->field == NULL || memcmp(a->field, b->field, a->field_length) == 0)));
}

/*
 * NULL for what is no action.
 */
const char *
inval_action_name(InvalAction action)
{
	switch (action)
	{
		case INVAL_ACTION_DELETE:
			return "delete";
		case INVAL_ACTION_PREFIX:
			return "prefix";
		case INVAL_ACTION_REFILL:
			return "refill";
		case INVAL_ACTION_LOOK:
			return "look";
	}
	return NULL;
}

/*
 * Whether rules and inval_touch can name the action, and which it is.
 */
bool
inval_action_from_name(const char *name, InvalAction *action)
{
	if (strcmp(name, "delete") != 0)
		return false;
	*action = INVAL_ACTION_DELETE;
	return true;
}
