/*
 * answer.h
 *		A question to a Redis server, and its whole answer.
 */
#ifndef INVAL_REDIS_ANSWER_H
#define INVAL_REDIS_ANSWER_H

#include "redis/connection.h"

typedef enum InvalAnswerType
{
	INVAL_ANSWER_NIL,
	INVAL_ANSWER_INTEGER,
	INVAL_ANSWER_TEXT,
	INVAL_ANSWER_LIST
} InvalAnswerType;

typedef struct InvalAnswer
{
	InvalAnswerType type;
	int64		integer;
	char	   *text;			/* terminated; NULL unless it is a text */
	Size		length;			/* of the text, which may contain zero bytes */
	int			count;			/* of a list */
	struct InvalAnswer *items;
} InvalAnswer;

extern InvalAnswer *inval_redis_ask(InvalConnection *connection, int argc,
								   const char **words, uint64 deadline,
								   char *error, Size error_size);
extern const char *inval_answer_text(const InvalAnswer *list, int item);
extern void inval_answer_free(InvalAnswer *answer);

#endif							/* INVAL_REDIS_ANSWER_H */
