/*
 * log_keys.c
 *		Keys in the server's log.
 *
 * A log is kept for longer than a cache and read by others, and keys can hold personal
 * data.  So they appear there only if inval.log_keys is on; else what stands for one is
 * enough to tell whether two lines are about the same.
 */
#include "postgres.h"

#include "common/hashfn.h"

#include "base/log_keys.h"
#include "base/settings.h"

/*
 * A key, field or pattern as it may be logged, in the current memory context.
 */
char *
inval_log_key(const char *key)
{
	if (inval_log_keys)
		return psprintf("\"%s\"", key);
	return psprintf("(%zu bytes, hash %08x)", strlen(key),
					hash_bytes((const unsigned char *) key, (int) strlen(key)));
}
