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
	int			max_count;
	int		   *items;			/* how many of the caller's items each command
								 * stands for */
} InvalPipeline;

extern void inval_pipeline_init(InvalPipeline *pipeline);
extern void inval_pipeline_free(InvalPipeline *pipeline);
extern void inval_pipeline_append(InvalPipeline *pipeline, int argc,
								  const char **arguments, const size_t *lengths,
								  int items);
extern void inval_pipeline_words(InvalPipeline *pipeline, int argc, const char **words);
extern void inval_pipeline_ping(InvalPipeline *pipeline);

#endif							/* INVAL_PIPELINE_H */
