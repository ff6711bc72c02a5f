/*
 * nodes.h
 *		The Redis servers that the reader asks: one, one of several, a Cluster.
 */
#ifndef DRILL_NODES_H
#define DRILL_NODES_H

#include <stdbool.h>

/*
 * SINGLE: there is one.  PRIMARY: one of them is the primary, which may change.
 * CLUSTER: each has its share of the keys, which may move.
 */
typedef enum Arrangement
{
	SINGLE,
	PRIMARY,
	CLUSTER
} Arrangement;

/* What was answered to one command. */
typedef enum Outcome
{
	NOT_DONE,					/* surely not: refused, or not even sent */
	DONE_NIL,
	DONE_VALUE,					/* number has it; an OK is 0 */
	UNKNOWN						/* sent, and there was no answer */
} Outcome;

typedef struct Ask
{
	char		key[40];
	int			value;			/* to SET, unless negative: to GET */
	Outcome		outcome;
	int			number;
} Ask;

/* Each address is host:port, or the path of a socket. */
extern void nodes_set(Arrangement arrangement, int count, char **addresses);

/* Sends all at once, and fills the outcomes. */
extern void nodes_ask(Ask *asks, int count);

#endif
