/*
 * ask.h
 *		Commands about one key, and what the target answers.
 */
#ifndef INVAL_ASK_H
#define INVAL_ASK_H

#include "target/target.h"

/* Most words of a question */
#define INVAL_ASK_WORDS		8

/* A command; texts are not copied */
typedef struct InvalQuestion
{
	int			argc;
	const char *words[INVAL_ASK_WORDS];
	size_t		lengths[INVAL_ASK_WORDS];
} InvalQuestion;

extern void inval_question_add(InvalQuestion *question, const char *word, Size length);
extern const InvalReply *inval_ask(InvalTarget *target, const char *key, Size key_length,
								   InvalQuestion *questions, int count,
								   char *error, Size size);

#endif							/* INVAL_ASK_H */
