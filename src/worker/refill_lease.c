/*
 * refill_lease.c
 *		The lease under which the worker puts a value back.
 */
#include "postgres.h"

#include "base/settings.h"
#include "redis/marker.h"
#include "target/ask.h"
#include "worker/refill_failure.h"
#include "worker/refill_lease.h"

/* The lease lives for so much longer than the query may take, in ms. */
#define LEASE_MARGIN_MS		1000

static bool lease_may_be_ours(uint64 since);
static void lease_ask_unlink(InvalQuestion *questions, int *count, const char *name,
							 Size length);
static InvalQuestion lease_call(const char *function, const InvalEntry *entry);

/*
 * Takes the lease of a key, after its invalidation: then *token is set.  Who has it, or
 * has filled the key since, knows what is new; while a strict commit is under way nobody
 * may fill it.  "confirmed": the invalidation is, so a value that is there is new;
 * "since": when this process began, as inval_clock_us.  If it is to be tried later,
 * "error" (of INVAL_ERROR_TEXT_LEN bytes) says why.
 */
InvalRefillOutcome
inval_refill_take_lease(InvalTarget *target, const InvalEntry *entry, bool confirmed,
						uint64 since, const char **token, char *error)
{
	InvalQuestion questions[3] = {{0}};
	int			count = 0;
	const InvalReply *answer;
	const char *word = NULL;
	char	   *lease_ms = psprintf("%d", inval_refill_timeout + LEASE_MARGIN_MS);

	if (!confirmed)
	{
		char	   *lease = palloc(INVAL_MARKER_SIZE(entry->key_length));
		Size		length = inval_marker_write(INVAL_LEASE, entry->key, entry->key_length,
											   lease);

		lease_ask_unlink(questions, &count, lease, length);
		lease_ask_unlink(questions, &count, entry->key, entry->key_length);
	}
	questions[count] = lease_call("inval_get", entry);
	inval_question_add(&questions[count++], lease_ms, strlen(lease_ms));
	answer = inval_ask(target, entry->key, entry->key_length, questions, count,
					   error, INVAL_ERROR_TEXT_LEN);
	if (answer == NULL)
	{
		/* It is there, and larger than what we read. */
		return strcmp(error, INVAL_REPLY_TOO_LARGE) == 0 ? INVAL_REFILL_DONE : INVAL_REFILL_LATER;
	}
	if (answer->type == INVAL_REPLY_LIST)
		word = inval_reply_text(answer, 0);
	if (word != NULL && strcmp(word, "fill") == 0)
		*token = inval_reply_text(answer, 1);
	if (word != NULL && (strcmp(word, "hit") == 0 ||
						 (strcmp(word, "wait") == 0 && !lease_may_be_ours(since))))
		return INVAL_REFILL_DONE;
	strlcpy(error, word == NULL ? "inval_get answers what it never does" :
			strcmp(word, "bypass") == 0 ? "a strict commit of the key is under way" :
			"the key is being filled", INVAL_ERROR_TEXT_LEN);
	return INVAL_REFILL_LATER;
}

/*
 * Whether a lease may be that of a worker before us, which is gone.
 */
static bool
lease_may_be_ours(uint64 since)
{
	return inval_clock_us() < since +
		(uint64) (inval_refill_timeout + LEASE_MARGIN_MS) * 1000;
}

static void
lease_ask_unlink(InvalQuestion *questions, int *count, const char *name, Size length)
{
	InvalQuestion *question = &questions[(*count)++];

	inval_question_add(question, "UNLINK", strlen("UNLINK"));
	inval_question_add(question, name, length);
}

/*
 * The call of a function for a key, but for its arguments.
 */
static InvalQuestion
lease_call(const char *function, const InvalEntry *entry)
{
	InvalQuestion question = {0};

	inval_question_add(&question, "FCALL", strlen("FCALL"));
	inval_question_add(&question, function, strlen(function));
	inval_question_add(&question, "1", 1);
	inval_question_add(&question, entry->key, entry->key_length);
	return question;
}

/*
 * Stores a value under the lease.  If that is gone, somebody has invalidated the key
 * since.
 */
InvalRefillOutcome
inval_refill_store(InvalTarget *target, const InvalEntry *entry, const char *token,
				   const InvalRefillFound *found, char *error)
{
	InvalQuestion question = lease_call("inval_set", entry);
	char	   *ttl_ms = psprintf("%d", found->ttl_ms);
	const InvalReply *answer;

	inval_question_add(&question, token, strlen(token));
	inval_question_add(&question, found->value.bytes, found->value.length);
	inval_question_add(&question, ttl_ms, strlen(ttl_ms));
	answer = inval_ask(target, entry->key, entry->key_length, &question, 1,
					   error, INVAL_ERROR_TEXT_LEN);
	if (answer == NULL)
		return INVAL_REFILL_LATER;
	if (answer->type != INVAL_REPLY_INTEGER || answer->integer != 1)
		return INVAL_REFILL_DONE;
	inval_refill_worked(target, entry->rule);
	return INVAL_REFILL_DONE;
}

/*
 * Gives the lease back.  If that cannot be done, it ends by itself.
 */
void
inval_refill_release(InvalTarget *target, const InvalEntry *entry, const char *token)
{
	InvalQuestion question = lease_call("inval_release", entry);
	char		error[INVAL_ERROR_TEXT_LEN];

	inval_question_add(&question, token, strlen(token));
	(void) inval_ask(target, entry->key, entry->key_length, &question, 1,
					 error, sizeof(error));
}
