/*
 * redis.h
 *		A connection to one Redis server.
 */
#ifndef INVAL_REDIS_H
#define INVAL_REDIS_H

#include "url.h"

/* How to wait for the server */
typedef enum InvalWait
{
	INVAL_WAIT_HELD,			/* interrupts held: nothing but the socket */
	INVAL_WAIT_INTERRUPTIBLE	/* by the latch; may raise an error */
} InvalWait;

typedef enum InvalReplyType
{
	INVAL_REPLY_OK,				/* anything but an error */
	INVAL_REPLY_ERROR
} InvalReplyType;

#define INVAL_REPLY_TEXT_LEN	128

/* What we keep of a reply */
typedef struct InvalReply
{
	InvalReplyType type;
	char		text[INVAL_REPLY_TEXT_LEN]; /* of an error; else empty */
} InvalReply;

/* Called for each reply in order; must not raise errors if the wait is held. */
typedef void (*InvalReplyHandler) (const InvalReply *reply, void *arg);

typedef struct InvalConnection InvalConnection;

extern uint64 inval_clock_us(void);

extern InvalConnection *inval_redis_connect(const InvalUrl *url, uint64 deadline,
											char *error, Size error_size);
extern bool inval_redis_is_usable(InvalConnection *connection);
extern void inval_redis_close(InvalConnection *connection);
extern bool inval_redis_exchange(InvalConnection *connection,
								 const char *commands, Size length, int replies,
								 uint64 deadline, InvalWait wait,
								 InvalReplyHandler handle, void *arg);
extern void inval_redis_start(InvalConnection *connection,
							  const char *commands, Size length, int replies,
							  InvalReplyHandler handle, void *arg);
extern bool inval_redis_finish(InvalConnection *connection, uint64 deadline,
							   InvalWait wait);
extern const char *inval_redis_error(InvalConnection *connection);
extern bool inval_redis_was_closed(InvalConnection *connection);
extern bool inval_redis_made_progress(InvalConnection *connection);

#endif							/* INVAL_REDIS_H */
