/*
 * entry.c
 *		One invalidation, as bytes.
 *
 * The same bytes lie in the pending set and in the outbox, so that writing the
 * outbox is a copy.  An entry is:
 *
 *		head	1 byte: bits 0 to 3 the action (from 8 on, but for 15, the action less
 *				8, "shared"), bit 4 "has a field",
 *				bit 5 "fence", bit 6 "strict", bit 7 "is told of"
 *		rule	varint
 *		key		varint length, bytes
 *		field	the same, if it has one
 *		ttl		varint, of the action "expire"
 *		channel, stream		as key, if it is told of; empty: not there
 *
 * A varint is 7 bits to the byte, low ones first, as in protocol buffers.  The
 * bytes do not depend on the machine, so pg_upgrade and a standby can keep
 * them.  An action that is not known means a newer format: reading fails.
 */
#include "postgres.h"

#include "common/hashfn.h"

#include "base/entry.h"

#define HEAD_ACTION		0x0f
#define HEAD_SHARED		0x08
#define HEAD_FIELD		0x10
#define HEAD_FENCE		0x20
#define HEAD_STRICT		0x40
#define HEAD_TOLD		0x80

static const char *const action_names[] =
{
	[INVAL_ACTION_DELETE] = "delete",
	[INVAL_ACTION_VERSION] = "version",
	[INVAL_ACTION_MEMBERS] = "members",
	[INVAL_ACTION_PREFIX] = "prefix",
	[INVAL_ACTION_EXPIRE] = "expire",
	[INVAL_ACTION_NONE] = "none",
	[INVAL_ACTION_REFILL] = "refill",
	[INVAL_ACTION_LOOK] = "look",
};

static const char *entry_read_told(const char *place, const char *end, InvalEntry *entry);
static bool entry_differs_in(const char *a, uint32 a_length, const char *b, uint32 b_length);

/* The most bytes of a varint */
#define VARINT_MAX		5

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

static inline Size
bytes_size(uint32 length)
{
	return varint_size(length) + length;
}

static inline char *
bytes_write(char *place, const char *bytes, uint32 length)
{
	place = varint_write(place, length);
	if (length > 0)				/* else there may be none */
		memcpy(place, bytes, length);
	return place + length;
}

/*
 * Whether something is told of an invalidation, beside what is done to its key.
 */
bool
inval_entry_is_told(const InvalEntry *entry)
{
	return entry->channel != NULL || entry->stream != NULL;
}

/*
 * How many bytes inval_entry_write needs.
 */
Size
inval_entry_size(const InvalEntry *entry)
{
	Size		size = 1 + varint_size(entry->rule) + bytes_size(entry->key_length);

	if (entry->field != NULL)
		size += bytes_size(entry->field_length);
	if (entry->action == INVAL_ACTION_EXPIRE)
		size += varint_size(entry->ttl_ms);
	if (inval_entry_is_told(entry))
		size += bytes_size(entry->channel_length) + bytes_size(entry->stream_length);
	return size;
}

/*
 * Writes an entry; returns the place behind it.
 */
char *
inval_entry_write(char *place, const InvalEntry *entry)
{
	bool		told = inval_entry_is_told(entry);

	*place++ = (char) (entry->action | (entry->shared ? HEAD_SHARED : 0) |
					   (entry->field != NULL ? HEAD_FIELD : 0) |
					   (entry->fence ? HEAD_FENCE : 0) |
					   (entry->strict ? HEAD_STRICT : 0) | (told ? HEAD_TOLD : 0));
	place = varint_write(place, entry->rule);
	place = bytes_write(place, entry->key, entry->key_length);
	if (entry->field != NULL)
		place = bytes_write(place, entry->field, entry->field_length);
	if (entry->action == INVAL_ACTION_EXPIRE)
		place = varint_write(place, entry->ttl_ms);
	if (told)
	{
		place = bytes_write(place, entry->channel, entry->channel_length);
		place = bytes_write(place, entry->stream, entry->stream_length);
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
	memset(entry, 0, sizeof(*entry));
	entry->action = (InvalAction) (head & HEAD_ACTION);
	if ((head & HEAD_SHARED) && entry->action != INVAL_ACTION_LOOK)
	{
		entry->shared = true;
		entry->action = (InvalAction) (head & HEAD_ACTION & ~HEAD_SHARED);
	}
	entry->fence = (head & HEAD_FENCE) != 0;
	entry->strict = (head & HEAD_STRICT) != 0;
	if (inval_action_name(entry->action) == NULL)
		return NULL;
	place = varint_read(place, end, &entry->rule);
	if (place == NULL)
		return NULL;
	place = bytes_read(place, end, &entry->key, &entry->key_length);
	if (place != NULL && (head & HEAD_FIELD))
		place = bytes_read(place, end, &entry->field, &entry->field_length);
	if (place != NULL && entry->action == INVAL_ACTION_EXPIRE)
		place = varint_read(place, end, &entry->ttl_ms);
	if (place != NULL && (head & HEAD_TOLD))
		place = entry_read_told(place, end, entry);
	/* It would send nothing, so nothing could confirm it. */
	if (entry->action == INVAL_ACTION_NONE && !inval_entry_is_told(entry))
		return NULL;
	return place;
}

static const char *
entry_read_told(const char *place, const char *end, InvalEntry *entry)
{
	place = bytes_read(place, end, &entry->channel, &entry->channel_length);
	if (place != NULL)
		place = bytes_read(place, end, &entry->stream, &entry->stream_length);
	if (entry->channel_length == 0)
		entry->channel = NULL;
	if (entry->stream_length == 0)
		entry->stream = NULL;
	return place;
}

/*
 * Makes one of two entries that are the same invalidation do what the other does:
 * "place" is where it was written.  It has one rule's number; that others owe it is
 * noted, so that nobody takes it for that rule's alone.  (Of a look-up the bit is set
 * already.)
 */
void
inval_entry_merge(char *place, const InvalEntry *other)
{
	uint32		rule;

	if (other->fence)
		*place = (char) (*place | HEAD_FENCE);
	if (varint_read(place + 1, place + 1 + VARINT_MAX, &rule) != NULL && rule != other->rule)
		*place = (char) (*place | HEAD_SHARED);
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
 * with a fence or without.  What is told of an invalidation, and the fence of its
 * transaction, are each transaction's own.
 */
bool
inval_entry_equal(const InvalEntry *a, const InvalEntry *b)
{
	if (a->action != b->action ||
		entry_differs_in(a->key, a->key_length, b->key, b->key_length))
		return false;
	if (a->action == INVAL_ACTION_LOOK)
		return true;
	return !entry_differs_in(a->field, a->field_length, b->field, b->field_length) &&
		a->ttl_ms == b->ttl_ms &&
		!entry_differs_in(a->channel, a->channel_length, b->channel, b->channel_length) &&
		!entry_differs_in(a->stream, a->stream_length, b->stream, b->stream_length) &&
		(FullTransactionIdEquals(a->xid, b->xid) ||
		 !(a->strict || b->strict || inval_entry_is_told(a)));
}

static bool
entry_differs_in(const char *a, uint32 a_length, const char *b, uint32 b_length)
{
	if (a == NULL || b == NULL)
		return a != b;
	return a_length != b_length || memcmp(a, b, a_length) != 0;
}

/*
 * NULL for what is no action.
 */
const char *
inval_action_name(InvalAction action)
{
	if ((Size) action >= lengthof(action_names))
		return NULL;
	return action_names[action];
}

/*
 * Whether rules and inval_touch can name the action, and which it is.
 */
bool
inval_action_from_name(const char *name, InvalAction *action)
{
	int			i;

	for (i = 0; i <= INVAL_ACTION_NONE; i++)
		if (strcmp(name, action_names[i]) == 0)
		{
			*action = (InvalAction) i;
			return true;
		}
	return false;
}
