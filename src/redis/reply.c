/*
 * reply.c
 *		What is kept of a reply, while hiredis parses it.
 *
 * Callers need to know of a reply whether it is an error, and which.  The rest
 * is passed over, so that nothing is allocated.  Who wants a reply as a whole has
 * hiredis parse it by its own functions (answer.c).
 */
#include "postgres.h"

#include <hiredis/hiredis.h>

#include "redis/reply.h"

/*
 * Copies what a server says of an error, as much as there is room for.  It ends
 * up in logs and views: whatever is not plain ASCII is replaced.
 */
void
inval_reply_copy_text(char *place, Size size, const char *text, Size length)
{
	Size		i;

	length = Min(length, size - 1);
	for (i = 0; i < length; i++)
		place[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
	place[length] = '\0';
}

/*
 * Only the outermost object matters, of which there is one at a time; its
 * "object" is a mark that is not NULL.
 */
static InvalReply *
reply_begin(const redisReadTask *task)
{
	InvalReply *reply = task->privdata;

	if (task->parent == NULL)
	{
		reply->type = task->type == REDIS_REPLY_ERROR ?
			INVAL_REPLY_ERROR : INVAL_REPLY_OK;
		reply->text[0] = '\0';
	}
	return reply;
}

static void *
reply_create_string(const redisReadTask *task, char *text, size_t length)
{
	InvalReply *reply = reply_begin(task);

	if (task->parent == NULL && task->type == REDIS_REPLY_ERROR)
	{
		inval_reply_copy_text(reply->text, sizeof(reply->text), text, length);
	}
	return reply;
}

#if HIREDIS_MAJOR >= 1
static void *
reply_create_array(const redisReadTask *task, size_t elements)
{
	(void) elements;
	return reply_begin(task);
}

static void *
reply_create_double(const redisReadTask *task, double value, char *text, size_t length)
{
	(void) value;
	(void) text;
	(void) length;
	return reply_begin(task);
}

static void *
reply_create_bool(const redisReadTask *task, int value)
{
	(void) value;
	return reply_begin(task);
}
#else
static void *
reply_create_array(const redisReadTask *task, int elements)
{
	(void) elements;
	return reply_begin(task);
}
#endif

static void *
reply_create_integer(const redisReadTask *task, long long value)
{
	(void) value;
	return reply_begin(task);
}

static void *
reply_create_nil(const redisReadTask *task)
{
	return reply_begin(task);
}

static void
reply_free_object(void *object)
{
	(void) object;
}

redisReplyObjectFunctions inval_reply_functions = {
	.createString = reply_create_string,
	.createArray = reply_create_array,
	.createInteger = reply_create_integer,
#if HIREDIS_MAJOR >= 1
	.createDouble = reply_create_double,
	.createBool = reply_create_bool,
#endif
	.createNil = reply_create_nil,
	.freeObject = reply_free_object
};
