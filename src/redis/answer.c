/*
 * answer.c
 *		A question to a Redis server, and its whole answer.
 *
 * Deliveries need no more of a reply than whether it is an error (connection.c).
 * What is asked about the servers themselves (their slots, who is the master) is
 * nested, rare, and asked where errors are allowed: hiredis's reply is copied into the current memory
 * context and freed, so that it can be forgotten on any path.
 */
#include "postgres.h"

#include <hiredis/hiredis.h>

#include "redis/answer.h"
#include "redis/pipeline.h"
#include "redis/reply.h"

static void answer_copy(const redisReply *reply, InvalAnswer *answer);
static void answer_free_parts(InvalAnswer *answer);

/*
 * Sends one command and waits for its answer, interruptibly: never to be
 * called after the commit record.  Returns NULL and a message if there is no
 * answer until the deadline, or an error.
 */
InvalAnswer *
inval_redis_ask(InvalConnection *connection, int argc, const char **words,
				uint64 deadline, char *error, Size error_size)
{
	InvalPipeline question;
	InvalAnswer *answer = NULL;
	redisReply *reply;

	inval_pipeline_init(&question);
	inval_pipeline_words(&question, argc, words);
	reply = inval_redis_exchange_whole(connection, question.bytes.data,
									   question.bytes.len, deadline);
	if (reply == NULL)
		strlcpy(error, inval_redis_error(connection), error_size);
	else if (reply->type == REDIS_REPLY_ERROR)
		inval_reply_copy_text(error, error_size, reply->str, (Size) reply->len);
	else
	{
		PG_TRY();
		{
			answer = palloc0(sizeof(InvalAnswer));
			answer_copy(reply, answer);
		}
		PG_CATCH();
		{
			freeReplyObject(reply);
			PG_RE_THROW();
		}
		PG_END_TRY();
	}
	if (reply != NULL)
		freeReplyObject(reply);
	inval_pipeline_free(&question);
	return answer;
}

/*
 * hiredis bounds the depth of a reply, and so of this recursion.
 */
static void
answer_copy(const redisReply *reply, InvalAnswer *answer)
{
	int			i;

	switch (reply->type)
	{
		case REDIS_REPLY_INTEGER:
			answer->type = INVAL_ANSWER_INTEGER;
			answer->integer = reply->integer;
			break;
		case REDIS_REPLY_STRING:
		case REDIS_REPLY_STATUS:
			answer->type = INVAL_ANSWER_TEXT;
			answer->length = (Size) reply->len;
			answer->text = palloc(answer->length + 1);
			memcpy(answer->text, reply->str, answer->length);
			answer->text[answer->length] = '\0';
			break;
		case REDIS_REPLY_ARRAY:
			answer->type = INVAL_ANSWER_LIST;
			answer->count = (int) reply->elements;
			answer->items = palloc0(Max(answer->count, 1) * sizeof(InvalAnswer));
			for (i = 0; i < answer->count; i++)
				answer_copy(reply->element[i], &answer->items[i]);
			break;
		default:
			answer->type = INVAL_ANSWER_NIL;
			break;
	}
}

/*
 * A text of a list, or NULL if there is none at that place.
 */
const char *
inval_answer_text(const InvalAnswer *list, int item)
{
	return item < list->count ? list->items[item].text : NULL;
}

/*
 * Frees an answer, or what NULL stands for: that there is none.
 */
void
inval_answer_free(InvalAnswer *answer)
{
	if (answer == NULL)
		return;
	answer_free_parts(answer);
	pfree(answer);
}

static void
answer_free_parts(InvalAnswer *answer)
{
	int			i;

	for (i = 0; i < answer->count; i++)
		answer_free_parts(&answer->items[i]);
	if (answer->items != NULL)
		pfree(answer->items);
	if (answer->text != NULL)
		pfree(answer->text);
}
