/*
 * waiting.h
 *		What pg_stat_activity says that a process of ours waits for.
 */
#ifndef INVAL_REDIS_WAITING_H
#define INVAL_REDIS_WAITING_H

/* One for each wait that there is; their names are in waiting.c. */
typedef enum InvalWaiting
{
	INVAL_WAITING_CONNECT,		/* for a connection to Redis */
	INVAL_WAITING_REPLY,		/* for its replies */
	INVAL_WAITING_HOST,			/* for the address of a host name */
	INVAL_WAITING_RATE,			/* until a target's rate allows more */
	INVAL_WAITING_DRAIN,		/* inval_drain: before it looks again */
	INVAL_WAITING_WORKER,		/* a worker: for something to do */
	INVAL_WAITING_LAUNCHER		/* the launcher: the same */
} InvalWaiting;

#define INVAL_WAITINGS	(INVAL_WAITING_LAUNCHER + 1)

extern uint32 inval_waiting(InvalWaiting what);

#endif							/* INVAL_REDIS_WAITING_H */
