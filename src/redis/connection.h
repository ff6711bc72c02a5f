/*
 * connection.h
 *		A connection to one Redis server.
 */
#ifndef INVAL_REDIS_H
#define INVAL_REDIS_H

#include "redis/reply.h"
#include "redis/wire.h"

/* Called for each reply in order; must not raise errors if the wait is held. */
typedef void (*InvalReplyHandler) (const InvalReply *reply, void *arg);

typedef struct InvalConnection InvalConnection;

struct redisReply;				/* hiredis's */

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

/* Exchanges with several servers at once are finished by group.c */
extern bool inval_redis_step(InvalConnection *connection);
extern void inval_redis_give_up(InvalConnection *connection);
extern bool inval_redis_is_sound(InvalConnection *connection);
extern int	inval_redis_socket(InvalConnection *connection);
extern short inval_redis_events(InvalConnection *connection);

/* For answer.c */
extern struct redisReply *inval_redis_exchange_whole(InvalConnection *connection,
													 const char *commands,
													 Size length,
													 uint64 deadline);

extern const char *inval_redis_error(InvalConnection *connection);
extern bool inval_redis_was_closed(InvalConnection *connection);
extern bool inval_redis_is_waiting(InvalConnection *connection);
extern bool inval_redis_made_progress(InvalConnection *connection);

#endif							/* INVAL_REDIS_H */
