/*
 * holding.c
 *		Asks a target what it holds at a key.
 *
 * The value and what a reader keeps beside it are of one moment; whether there is a
 * fence is asked before.  Whoever can use what is found must know of the commits that
 * are under way by other means (traffic.c).
 */
#include "postgres.h"

#include "audit/holding.h"
#include "redis/marker.h"
#include "target/ask.h"

static const InvalReply *holding_question(InvalTarget *target, const char *key, Size length,
										  const char *command, int kinds,
										  const char *const *beside, bool itself,
										  char *error, Size size);
static bool holding_other(InvalTarget *target, const char *key, Size length,
						  InvalHolding *holding, char *error, Size size);
static bool holding_stale(InvalTarget *target, const char *key, Size length, const char *stale_ms,
						  InvalHolding *holding, char *error, Size size);

/*
 * Fills in what is there, in the current memory context.  Returns false if the target
 * does not tell: then *error says why.  Interruptible.
 */
bool
inval_holding_ask(InvalTarget *target, const char *key, Size length, InvalHolding *holding,
				  char *error, Size size)
{
	static const char *const fence[] = {INVAL_FENCE};
	static const char *const beside[] = {INVAL_LEASE, INVAL_STALE};
	const InvalReply *answer;

	memset(holding, 0, sizeof(*holding));
	answer = holding_question(target, key, length, "EXISTS", 1, fence, false, error, size);
	if (answer == NULL)
		return false;
	holding->fenced = answer->type != INVAL_REPLY_INTEGER || answer->integer != 0;
	answer = holding_question(target, key, length, "MGET", 2, beside, true, error, size);
	if (answer == NULL)
	{
		if (strcmp(error, INVAL_REPLY_TOO_LARGE) != 0)
			return false;
		holding->other = "larger than what is read";
		return true;
	}
	if (answer->type != INVAL_REPLY_LIST || answer->count != 3)
	{
		strlcpy(error, "the answer to MGET is not what it should be", size);
		return false;
	}
	holding->leased = answer->items[1].type != INVAL_REPLY_NIL;
	if (answer->items[0].type == INVAL_REPLY_NIL)
		return holding_other(target, key, length, holding, error, size);
	holding->value = inval_reply_text(answer, 0);
	holding->length = answer->items[0].length;
	return answer->items[2].type == INVAL_REPLY_NIL ||
		holding_stale(target, key, length, inval_reply_text(answer, 2), holding, error, size);
}

/*
 * Sends a command that takes keys: that one if it is meant itself, and so many kinds
 * of markers beside it.
 */
static const InvalReply *
holding_question(InvalTarget *target, const char *key, Size length, const char *command,
				 int kinds, const char *const *beside, bool itself, char *error, Size size)
{
	InvalQuestion question = {0};
	int			i;

	inval_question_add(&question, command, strlen(command));
	if (itself)
		inval_question_add(&question, key, length);
	for (i = 0; i < kinds; i++)
	{
		char	   *name = palloc(INVAL_MARKER_SIZE(length));

		inval_question_add(&question, name, inval_marker_write(beside[i], key, length, name));
	}
	return inval_ask(target, key, length, &question, 1, error, size);
}

/*
 * There is no string: is there anything else?
 */
static bool
holding_other(InvalTarget *target, const char *key, Size length, InvalHolding *holding,
			  char *error, Size size)
{
	const InvalReply *answer = holding_question(target, key, length, "TYPE", 0, NULL, true,
												error, size);

	if (answer == NULL)
		return false;
	if (answer->type != INVAL_REPLY_TEXT)
		holding->other = "not a string";
	else if (strcmp(answer->text, "string") == 0)
		holding->leased = true; /* it has just come */
	else if (strcmp(answer->text, "none") != 0)
		holding->other = psprintf("not a string, but: %s", answer->text);
	return true;
}

/*
 * Whether the value is in the time at its end in which readers know that it is stale.
 */
static bool
holding_stale(InvalTarget *target, const char *key, Size length, const char *stale_ms,
			  InvalHolding *holding, char *error, Size size)
{
	const InvalReply *answer = holding_question(target, key, length, "PTTL", 0, NULL, true,
												error, size);

	if (answer == NULL)
		return false;
	holding->kept = stale_ms == NULL || answer->type != INVAL_REPLY_INTEGER ||
		(answer->integer >= 0 && answer->integer < strtoll(stale_ms, NULL, 10));
	return true;
}
