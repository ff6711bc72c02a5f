/*
 * prefix.c
 *		Finding all keys of one Redis server that start with some bytes.
 *
 * By SCAN, which visits a bounded part of the server at a time, whatever it
 * finds there, and promises to have met every key that was there from the start
 * of the search to its end.  Where it is, is a number that the server gave us and
 * that means nothing to another: on a new connection the search starts anew.
 *
 * If leases of readers are to be void, too, there are two searches: all leases
 * first, then all keys.  One would pass a key's place, a lease could then become a
 * value there, and the search would come to the lease's place in vain.
 */
#include "postgres.h"

#include "redis/await.h"
#include "redis/marker.h"
#include "redis/prefix.h"

/*
 * How many of the server's keys one step visits: a fraction of a millisecond of
 * its time, in which it serves nobody else.
 */
#define VISITED_BY_STEP		"1000"

#define CURSOR_START		"0"

static char *prefix_pattern(const char *prefix, Size length, const char *rest);

/*
 * Prepares a search, in the current memory context.  The prefix is text: no
 * zero bytes.
 */
void
inval_prefix_init(InvalPrefixSearch *search, const char *prefix, Size length,
				  bool leases_first)
{
	search->prefix = pnstrdup(prefix, length);
	search->length = length;
	search->pattern = prefix_pattern(prefix, length, "*");
	search->leases = leases_first ?
		prefix_pattern(prefix, length, "*" INVAL_LEASE "*") : NULL;
	inval_prefix_rewind(search);
}

/*
 * Frees what inval_prefix_init has made, if it has.
 */
void
inval_prefix_end(InvalPrefixSearch *search)
{
	if (search->prefix == NULL)
		return;
	pfree(search->prefix);
	pfree(search->pattern);
	if (search->leases != NULL)
		pfree(search->leases);
	search->prefix = NULL;
}

/*
 * Starts anew.
 */
void
inval_prefix_rewind(InvalPrefixSearch *search)
{
	strcpy(search->cursor, CURSOR_START);
	search->through = false;
	search->before = search->leases != NULL;
}

/*
 * The prefix as a glob pattern, with what is special in one escaped, and what may
 * follow.
 */
static char *
prefix_pattern(const char *prefix, Size length, const char *rest)
{
	Size		rest_length = strlen(rest);
	char	   *pattern = palloc(2 * length + rest_length + 1);
	char	   *place = pattern;
	Size		i;

	for (i = 0; i < length; i++)
	{
		if (strchr("*?[]\\", prefix[i]) != NULL)
			*place++ = '\\';
		*place++ = prefix[i];
	}
	memcpy(place, rest, rest_length + 1);
	return pattern;
}

/*
 * Goes a step on.  Returns a list of keys, which may be empty, in the current
 * memory context; or NULL and a message: the server refuses the command, or
 * the connection has failed.  Interruptible.
 */
const InvalReply *
inval_prefix_step(InvalPrefixSearch *search, InvalConnection *connection,
				  uint64 deadline, char *error, Size error_size)
{
	const char *words[] = {"SCAN", search->cursor, "MATCH",
		search->before ? search->leases : search->pattern,
	"COUNT", VISITED_BY_STEP};
	const InvalReply *answer = inval_await_answer(connection, CurrentMemoryContext,
												  lengthof(words), words, deadline,
												  error, error_size);
	const char *cursor;

	if (answer == NULL)
		return NULL;
	cursor = inval_reply_text(answer, 0);
	if (cursor == NULL || answer->count != 2 ||
		answer->items[0].length >= INVAL_CURSOR_LEN ||
		answer->items[1].type != INVAL_REPLY_LIST)
	{
		strlcpy(error, "the answer to SCAN is not what it should be", error_size);
		return NULL;
	}
	strlcpy(search->cursor, cursor, sizeof(search->cursor));
	search->through = strcmp(search->cursor, CURSOR_START) == 0 && !search->before;
	if (strcmp(search->cursor, CURSOR_START) == 0)
		search->before = false;
	return &answer->items[1];
}

/*
 * Whether a key starts with the prefix.  Whatever a server answers to a
 * pattern: what does not is left alone.
 */
bool
inval_prefix_has(const InvalPrefixSearch *search, const char *key, Size length)
{
	return length >= search->length &&
		memcmp(key, search->prefix, search->length) == 0;
}

/*
 * About which share of the server the search has visited.  The cursor counts
 * the places of a hash table whose size we do not know, from the highest bit
 * down; so its bits in reverse are the binary digits of a fraction.
 */
double
inval_prefix_share(const InvalPrefixSearch *search)
{
	uint64		cursor = strtoull(search->cursor, NULL, 10);
	double		digit = 0.5;
	double		share = 0;

	if (search->through)
		return 1;
	for (; cursor != 0; cursor >>= 1, digit /= 2)
		if (cursor & 1)
			share += digit;
	return search->leases == NULL ? share : (share + !search->before) / 2;
}
