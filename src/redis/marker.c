/*
 * marker.c
 *		Names of what is kept beside a key.
 *
 * As the functions in inval.lua make them: the key, ":inval-lease" or what else it is,
 * and a tail that gives the name the key's hash slot.  So namespaces, ACL patterns and searches by
 * prefix hold for it, and a cluster has both on one node.
 *
 *		the key has a hash tag					no tail: that one still counts
 *		it has no brace and is not empty		{key}
 *		else									two bytes, neither of them a brace,
 *												that bring CRC16 back to the slot
 */
#include "postgres.h"

#include "redis/marker.h"
#include "redis/slot.h"

static void marker_two_bytes(uint16 crc, int slot, char *bytes);
static char *marker_append(char *place, const char *bytes, Size length);
static bool marker_is_brace(char byte);
static bool marker_contains(const char *name, Size length, const char *text);

/*
 * Writes the name of a key's marker of one kind (INVAL_LEASE …), which
 * INVAL_MARKER_SIZE has room for; returns its length.  Cannot fail.
 */
Size
inval_marker_write(const char *kind, const char *key, Size length, char *name)
{
	char	   *place = name;
	const char *tag = key;
	Size		tag_length = length;

	place = marker_append(place, key, length);
	place = marker_append(place, kind, strlen(kind));
	if (inval_slot_find_tag(&tag, &tag_length))
		return (Size) (place - name);
	if (length > 0 && memchr(key, '{', length) == NULL && memchr(key, '}', length) == NULL)
	{
		*place++ = '{';
		place = marker_append(place, key, length);
		*place++ = '}';
		return (Size) (place - name);
	}
	marker_two_bytes(inval_slot_crc16(name, (Size) (place - name)),
					 inval_slot_of_key(key, length), place);
	return (Size) (place - name) + 2;
}

/*
 * Returns where the name goes on.
 */
static char *
marker_append(char *place, const char *bytes, Size length)
{
	memcpy(place, bytes, length);
	return place + length;
}

/*
 * Writes two bytes that lead from a CRC to one of a slot: CRC16 run backwards over
 * two bytes, from each of the four CRCs that have the slot.  One of them gives a
 * pair without braces, whatever the CRC is (all were tried).
 */
static void
marker_two_bytes(uint16 crc, int slot, char *bytes)
{
	uint32		wanted;

	for (wanted = (uint32) slot; wanted <= PG_UINT16_MAX; wanted += INVAL_SLOTS)
	{
		uint32		back = wanted;
		int			i;

		for (i = 0; i < 16; i++)
			back = back & 1 ? ((back ^ 0x1021) >> 1) | 0x8000 : back >> 1;
		back ^= crc;
		bytes[0] = (char) (back >> 8);
		bytes[1] = (char) (back & 0xff);
		if (!marker_is_brace(bytes[0]) && !marker_is_brace(bytes[1]))
			return;
	}
}

static bool
marker_is_brace(char byte)
{
	return byte == '{' || byte == '}';
}

/*
 * Whether a name that was found is a marker's, as far as that can be seen: keys that
 * look like one are taken for one.
 */
bool
inval_marker_is(const char *name, Size length)
{
	return marker_contains(name, length, INVAL_MARKER);
}

/*
 * The same for one that is removed for nobody who finds it: a fence is its owner's, and of what a
 * set has listed somebody is just removing the keys.
 */
bool
inval_marker_stays(const char *name, Size length)
{
	return marker_contains(name, length, INVAL_FENCE) ||
		marker_contains(name, length, INVAL_TAKEN);
}

static bool
marker_contains(const char *name, Size length, const char *text)
{
	Size		size = strlen(text);
	const char *place = name;
	const char *end = name + length;

	while ((Size) (end - place) >= size &&
		   (place = memchr(place, text[0], (Size) (end - place) - size + 1)) != NULL)
	{
		if (memcmp(place, text, size) == 0)
			return true;
		place++;
	}
	return false;
}
