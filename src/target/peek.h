/*
 * peek.h
 *		What a target holds.
 */
#ifndef INVAL_PEEK_H
#define INVAL_PEEK_H

#include "target/target.h"

/* The most bytes of all values that are read at a time */
#define INVAL_PEEK_MAX		INVAL_REPLY_MAX

typedef enum InvalPeekState
{
	INVAL_PEEK_OPEN,			/* to be asked of the owner of the slot */
	INVAL_PEEK_ASK,				/* to be asked of a node that is importing it */
	INVAL_PEEK_DONE
} InvalPeekState;

/* A key, and what is found there */
typedef struct InvalPeek
{
	const char *key;
	Size		key_length;
	char	   *value;			/* of a string; NULL: there is none */
	Size		value_length;
	bool		other;			/* it holds something else than a string */
	int64		ttl_ms;			/* how long it will live; -1: for ever, -2: no key */

	/* peek.c's own */
	InvalPeekState state;
	uint8		ask_node;
} InvalPeek;

extern void inval_peek_at(InvalTarget *target, InvalPeek *keys, int count);

#endif							/* INVAL_PEEK_H */
