/*
 * scan.c
 *		Visiting all keys of one Redis server, step by step.
 *
 * By SCAN, which visits a bounded part of the server at a time, whatever it
 * finds there, and promises to have met every key that was there from the start
 * of the search to its end.  Where it is, is a number that the server gave us and
 * that means nothing to another: on a new connection the search starts anew.
 */
#include "postgres.h"

#include "redis/await.h"
#include "redis/scan.h"

/*
 * How many of the server's keys one step visits: a fraction of a millisecond of
 * its time, in which it serves nobody else.  If their names are too much to be kept,
 * or to come in time, it visits fewer; and one more again after each step.
 */
#define VISITED_BY_STEP		1000
#define FEWER				16

#define CURSOR_START		"0"

static bool scan_are_texts(const InvalReply *list);

void
inval_scan_init(InvalCursor *cursor)
{
	cursor->visited = VISITED_BY_STEP;
	inval_scan_begin(cursor);
}

/*
 * What a step has found was too much, or may have been.  Returns whether steps can be
 * smaller.
 */
bool
inval_scan_fewer(InvalCursor *cursor)
{
	if (cursor->visited == 1)
		return false;
	cursor->visited = Max(cursor->visited / FEWER, 1);
	return true;
}

/*
 * Starts at the beginning.
 */
void
inval_scan_begin(InvalCursor *cursor)
{
	strcpy(cursor->place, CURSOR_START);
	cursor->through = false;
}

/*
 * Goes a step on.  Returns a list of keys, which may be empty, in the current
 * memory context; or NULL and a message: the server refuses the command, or
 * the connection has failed.  Interruptible.
 */
const InvalReply *
inval_scan_step(InvalCursor *cursor, const char *pattern, InvalConnection *connection,
				uint64 deadline, char *error, Size error_size)
{
	char		visited[16];
	const char *words[] = {"SCAN", cursor->place, "MATCH", pattern, "COUNT", visited};
	const InvalReply *answer;
	const char *next;

	snprintf(visited, sizeof(visited), "%d", cursor->visited);
	answer = inval_await_answer(connection, CurrentMemoryContext, lengthof(words), words,
								deadline, error, error_size);
	if (answer == NULL)
		return NULL;
	next = inval_reply_text(answer, 0);
	if (next == NULL || answer->count != 2 ||
		answer->items[0].length >= INVAL_CURSOR_LEN ||
		!scan_are_texts(&answer->items[1]))
	{
		strlcpy(error, "the answer to SCAN is not what it should be", error_size);
		return NULL;
	}
	strlcpy(cursor->place, next, sizeof(cursor->place));
	cursor->through = strcmp(cursor->place, CURSOR_START) == 0;
	cursor->visited = Min(cursor->visited + 1, VISITED_BY_STEP);
	return &answer->items[1];
}

static bool
scan_are_texts(const InvalReply *list)
{
	int			i = 0;

	while (list->type == INVAL_REPLY_LIST && i < list->count &&
		   list->items[i].type == INVAL_REPLY_TEXT)
		i++;
	return list->type == INVAL_REPLY_LIST && i == list->count;
}

/*
 * About which share of the server has been visited.  The cursor counts
 * the places of a hash table whose size we do not know, from the highest bit
 * down; so its bits in reverse are the binary digits of a fraction.
 */
double
inval_scan_share(const InvalCursor *cursor)
{
	uint64		place = strtoull(cursor->place, NULL, 10);
	double		digit = 0.5;
	double		share = 0;

	if (cursor->through)
		return 1;
	for (; place != 0; place >>= 1, digit /= 2)
		if (place & 1)
			share += digit;
	return share;
}
