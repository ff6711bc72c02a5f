/*
 * slot.c
 *		The hash slot of a key in a Redis Cluster.
 *
 * As the Redis Cluster specification has it: CRC16 (XMODEM: polynomial 0x1021,
 * from 0) of the key, modulo 16384.  If the key has a hash tag, which is what
 * stands between the first "{" and the first "}" after it, only that counts;
 * an empty tag is none.
 */
#include "postgres.h"

#include "redis/slot.h"

/*
 * The slot, from 0 to INVAL_SLOTS - 1.  Cannot fail.
 */
int
inval_slot_of_key(const char *key, Size length)
{
	(void) inval_slot_find_tag(&key, &length);
	return inval_slot_crc16(key, length) % INVAL_SLOTS;
}

/*
 * Whether a key has a hash tag; if so, makes it that.
 */
bool
inval_slot_find_tag(const char **key, Size *length)
{
	const char *open = memchr(*key, '{', *length);
	const char *tag = open != NULL ? open + 1 : NULL;
	const char *close = tag == NULL ? NULL : memchr(tag, '}', *length - (Size) (tag - *key));

	if (close == NULL || close == tag)
		return false;
	*key = tag;
	*length = (Size) (close - tag);
	return true;
}

/*
 * CRC16 of some bytes.  Four bits at a time: a table of 32 bytes instead of 512, which
 * other things in the cache will not have to make room for.
 */
uint16
inval_slot_crc16(const char *bytes, Size length)
{
	static const uint16 table[16] = {
		0x0000, 0x1021, 0x2042, 0x3063, 0x4084, 0x50a5, 0x60c6, 0x70e7,
		0x8108, 0x9129, 0xa14a, 0xb16b, 0xc18c, 0xd1ad, 0xe1ce, 0xf1ef
	};
	uint16		crc = 0;
	Size		i;

	for (i = 0; i < length; i++)
	{
		uint8		byte = (uint8) bytes[i];

		crc = (uint16) ((crc << 4) ^ table[(crc >> 12) ^ (byte >> 4)]);
		crc = (uint16) ((crc << 4) ^ table[(crc >> 12) ^ (byte & 15)]);
	}
	return crc;
}
