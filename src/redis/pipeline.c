/*
 * pipeline.c
 *		Commands as they are sent to a Redis server.
 *
 * A command is an array of bulk strings in the Redis protocol: how many words, and for
 * each how long it is.  That much is written here: hiredis takes eight times as many
 * instructions for it, and memory that has to be freed (docs/performance.md).  What
 * commands mean is known to who appends them.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/memutils.h"

#include "redis/pipeline.h"

/* Room for a sign, the digits of a length, and the ends of two lines */
#define NUMBER_ROOM		(1 + MAXINT8LEN + 4)

static char *pipeline_write_number(char *place, char sign, size_t number);

/*
 * Makes an empty pipeline in the current memory context.
 */
void
inval_pipeline_init(InvalPipeline *pipeline)
{
	initStringInfo(&pipeline->bytes);
	pipeline->count = 0;
}

/*
 * Adds a command.
 */
void
inval_pipeline_append(InvalPipeline *pipeline, int argc, const char **arguments,
					  const size_t *lengths)
{
	StringInfo	bytes = &pipeline->bytes;
	size_t		room = NUMBER_ROOM;
	char	   *place;
	int			i;

	for (i = 0; i < argc; i++)
		room += lengths[i] + NUMBER_ROOM;
	enlargeStringInfo(bytes, (int) Min(room, MaxAllocSize));

	place = pipeline_write_number(bytes->data + bytes->len, '*', (size_t) argc);
	for (i = 0; i < argc; i++)
	{
		place = pipeline_write_number(place, '$', lengths[i]);
		memcpy(place, arguments[i], lengths[i]);
		place += lengths[i];
		*place++ = '\r';
		*place++ = '\n';
	}
	*place = '\0';				/* as all of its kind end */
	bytes->len = (int) (place - bytes->data);
	pipeline->count++;
}

/*
 * Adds a command of up to six words.
 */
void
inval_pipeline_words(InvalPipeline *pipeline, int argc, const char **words)
{
	size_t		lengths[6];
	int			i;

	Assert(argc <= (int) lengthof(lengths));
	for (i = 0; i < argc; i++)
		lengths[i] = strlen(words[i]);
	inval_pipeline_append(pipeline, argc, words, lengths);
}

/*
 * Writes a sign, a number and the end of a line; returns where that ends.
 */
static char *
pipeline_write_number(char *place, char sign, size_t number)
{
	*place++ = sign;
	place += pg_ulltoa_n(number, place);
	*place++ = '\r';
	*place++ = '\n';
	return place;
}
