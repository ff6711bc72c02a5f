/*
 * reader.c
 *		Replies of a Redis server, from its bytes.
 *
 * hiredis parses; what becomes of it is decided here.  A server that we deliver
 * to may say anything, and as much as it likes, so everything has a bound: the
 * bytes that wait to be a reply, how many things a list has, what is kept.  What
 * is not of the second version of the protocol, which is all that we speak, is
 * no reply: nobody has asked for a push.
 *
 * Of replies to deliveries nothing is kept but what they are, so that reading
 * them allocates nothing but hiredis's buffer (by malloc, whose failure is an
 * error of the connection, never an exception).  What is asked about the servers
 * themselves is nested; it is kept in a memory context of who asks, so that it
 * can be forgotten on any path.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "redis/reader.h"
#include "version/hiredis.h"

/* A reply to a delivery is a number, or an error of some words. */
#define MAX_BYTES			((Size) 64 * 1024)

#define MAX_ITEMS			300000

static InvalReply *reader_begin(const redisReadTask *task, InvalReplyType type);
static void *reader_refuse(InvalReader *reader, const char *why);
static void *reader_allocate(InvalReader *reader, Size size);
static void *reader_string(const redisReadTask *task, char *text, size_t length);
static void *reader_array(const redisReadTask *task, InvalHiredisCount count);
static void *reader_integer(const redisReadTask *task, long long value);
static void *reader_nil(const redisReadTask *task);
pg_attribute_unused() static void *reader_double(const redisReadTask *task, double value,
												 char *text, size_t length);
pg_attribute_unused() static void *reader_bool(const redisReadTask *task, int value);
static void reader_copy_error(char *place, const char *text, Size length);
static void reader_free_object(void *object);

/*
 * Prepares an empty one.  Returns false if there is no memory.
 */
bool
inval_reader_init(InvalReader *reader)
{
	static redisReplyObjectFunctions functions = {
		.createString = reader_string,
		.createArray = reader_array,
		.createInteger = reader_integer,
		INVAL_HIREDIS_THIRD(reader_double, reader_bool)
		.createNil = reader_nil,
		.freeObject = reader_free_object
	};

	memset(reader, 0, sizeof(*reader));
	reader->hiredis = redisReaderCreateWithFunctions(&functions);
	if (reader->hiredis != NULL)
		reader->hiredis->privdata = reader;
	return reader->hiredis != NULL;
}

void
inval_reader_free(InvalReader *reader)
{
	if (reader->hiredis != NULL)
		redisReaderFree(reader->hiredis);
	reader->hiredis = NULL;
}

/*
 * Takes bytes that have come.  Returns false, with "refused", if they are too
 * many.  Cannot raise an error.
 */
bool
inval_reader_feed(InvalReader *reader, const char *bytes, Size length)
{
	redisReader *hiredis = reader->hiredis;
	Size		waiting = hiredis->len - hiredis->pos;

	if (waiting + length + reader->kept >
		(reader->context != NULL ? INVAL_REPLY_MAX : MAX_BYTES))
		reader->refused = INVAL_REPLY_TOO_LARGE;
	else if (redisReaderFeed(hiredis, bytes, length) != REDIS_OK)
		reader->refused = "out of memory";
	return reader->refused == NULL;
}

/*
 * The next reply, which stays until the call after this one; NULL if it is not
 * complete yet or, with "refused", if it is none.  Cannot raise an error.
 */
const InvalReply *
inval_reader_next(InvalReader *reader)
{
	void	   *reply = NULL;

	if (redisReaderGetReply(reader->hiredis, &reply) != REDIS_OK)
	{
		if (reader->refused == NULL)
			reader->refused = reader->hiredis->errstr;
		return NULL;
	}
	if (reply == NULL)
		return NULL;
	reader->kept = 0;
	return reply;
}

/*
 * Whether there are no bytes that no reply was made of.
 */
bool
inval_reader_is_empty(const InvalReader *reader)
{
	return reader->hiredis->pos == reader->hiredis->len;
}

/*
 * Where a thing belongs, set to what it is.
 */
static InvalReply *
reader_begin(const redisReadTask *task, InvalReplyType type)
{
	InvalReader *reader = task->privdata;
	InvalReply *list = task->parent != NULL ? task->parent->obj : NULL;
	InvalReply *reply = list != NULL ? &list->items[task->idx] : &reader->reply;

	memset(reply, 0, sizeof(*reply));
	reply->type = type;
	return reply;
}

/*
 * That there is no object is hiredis's sign that there is no memory for it.
 */
static void *
reader_refuse(InvalReader *reader, const char *why)
{
	reader->refused = why;
	return NULL;
}

/*
 * Room in what is kept; NULL, and the reply is refused, if there is none.
 */
static void *
reader_allocate(InvalReader *reader, Size size)
{
	void	   *place = NULL;

	if (reader->kept + size > INVAL_REPLY_MAX)
		return reader_refuse(reader, INVAL_REPLY_TOO_LARGE);
	place = MemoryContextAllocExtended(reader->context, size,
									   MCXT_ALLOC_NO_OOM | MCXT_ALLOC_ZERO);
	if (place == NULL)
		return reader_refuse(reader, "out of memory");
	reader->kept += size;
	return place;
}

static void *
reader_string(const redisReadTask *task, char *text, size_t length)
{
	InvalReader *reader = task->privdata;
	InvalReply *reply;

	if (task->type == REDIS_REPLY_ERROR)
	{
		/* Within a list it has no place, and no command of ours has such. */
		reply = reader_begin(task, INVAL_REPLY_ERROR);
		reply->kind = inval_error_kind(text, length);
		reader_copy_error(reader->error, text, length);
		reply->text = reader->error;
		reply->length = strlen(reader->error);
		return reply;
	}
	if (task->type != REDIS_REPLY_STRING && task->type != REDIS_REPLY_STATUS)
		return reader_refuse(reader, "server sent what is not in its protocol");
	reply = reader_begin(task, INVAL_REPLY_TEXT);
	reply->length = length;
	if (reader->context == NULL)
		return reply;
	reply->text = reader_allocate(reader, length + 1);
	if (reply->text == NULL)
		return NULL;
	memcpy(reply->text, text, length);
	return reply;
}

/*
 * What a server says of an error ends up in logs and views: whatever is not plain
 * ASCII is replaced, and keys are left out, with which one that does not know a command
 * repeats its arguments.
 */
static void
reader_copy_error(char *place, const char *text, Size length)
{
	char	   *arguments;
	Size		i;

	length = Min(length, INVAL_ERROR_TEXT_LEN - 1);
	for (i = 0; i < length; i++)
		place[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
	place[length] = '\0';
	arguments = strstr(place, ", with args");
	if (arguments != NULL)
		*arguments = '\0';
}

static void *
reader_array(const redisReadTask *task, InvalHiredisCount count)
{
	InvalReader *reader = task->privdata;
	InvalReply *reply;

	if (reader->context == NULL)
		return reader_refuse(reader, "server sent a list where there is none");
	if (task->type != REDIS_REPLY_ARRAY)
		return reader_refuse(reader, "server sent what is not in its protocol");
	if (count > MAX_ITEMS)
		return reader_refuse(reader, INVAL_REPLY_TOO_LARGE);
	reply = reader_begin(task, INVAL_REPLY_LIST);
	reply->items = reader_allocate(reader, ((Size) count + 1) * sizeof(InvalReply));
	if (reply->items == NULL)
		return NULL;
	reply->count = (int) count;
	return reply;
}

static void *
reader_integer(const redisReadTask *task, long long value)
{
	InvalReply *reply = reader_begin(task, INVAL_REPLY_INTEGER);

	reply->integer = value;
	return reply;
}

static void *
reader_nil(const redisReadTask *task)
{
	return reader_begin(task, INVAL_REPLY_NIL);
}

static void *
reader_double(const redisReadTask *task, double value, char *text, size_t length)
{
	(void) value;
	(void) text;
	(void) length;
	return reader_refuse(task->privdata, "server sent what is not in its protocol");
}

static void *
reader_bool(const redisReadTask *task, int value)
{
	(void) value;
	return reader_refuse(task->privdata, "server sent what is not in its protocol");
}

static void
reader_free_object(void *object)
{
	(void) object;
}

/*
 * A text of a list, or NULL if there is none at that place.
 */
const char *
inval_reply_text(const InvalReply *list, int item)
{
	return list->type == INVAL_REPLY_LIST && item < list->count &&
		list->items[item].type == INVAL_REPLY_TEXT ? list->items[item].text : NULL;
}
