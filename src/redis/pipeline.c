/*
 * pipeline.c
 *		Commands as they are sent to a Redis server.
 *
 * hiredis writes them.  What they mean is known to who appends them.
 */
#include "postgres.h"

#include <hiredis/hiredis.h>

#include "redis/pipeline.h"

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
	size_t		room = 32;
	char	   *formatted = NULL;
	int			length;
	int			i;

	/*
	 * All that may raise an error comes before hiredis allocates, so that
	 * what it allocates is freed.
	 */
	for (i = 0; i < argc; i++)
		room += lengths[i] + 32;
	enlargeStringInfo(&pipeline->bytes, (int) room);

	length = redisFormatCommandArgv(&formatted, argc, arguments, lengths);
	if (length < 0)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
	appendBinaryStringInfo(&pipeline->bytes, formatted, length);
	redisFreeCommand(formatted);
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
