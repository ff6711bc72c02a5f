/*
 * pipeline.h
 *		Commands as they are sent to a Redis server.
 */
#ifndef INVAL_PIPELINE_H
#define INVAL_PIPELINE_H

#include "lib/stringinfo.h"

typedef struct InvalPipeline
{
	StringInfoData bytes;		/* as sent */
	int			count;			/* of commands, so of replies */
} InvalPipeline;

extern void inval_pipeline_init(InvalPipeline *pipeline);
extern void inval_pipeline_append(InvalPipeline *pipeline, int argc,
								  const char **arguments, const size_t *lengths);
extern void inval_pipeline_words(InvalPipeline *pipeline, int argc, const char **words);

#endif							/* INVAL_PIPELINE_H */
