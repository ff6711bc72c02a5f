/*
 * await.h
 *		Waiting for connections: one, or many at once.
 */
#ifndef INVAL_AWAIT_H
#define INVAL_AWAIT_H

#include "redis/connection.h"

/* Most connections that are waited for at once */
#define INVAL_AWAIT_MAX		288

/* With INVAL_WAIT_HELD they cannot fail */
extern InvalConnection *inval_await_any(InvalConnection **connections, int count,
										uint64 deadline, InvalWait wait);
extern void inval_await(InvalConnection **connections, int count,
						uint64 deadline, InvalWait wait);
extern bool inval_await_until(InvalConnection **connections, int count,
							  uint64 until, InvalWait wait);

extern InvalConnection *inval_await_connection(const InvalUrl *url, uint64 deadline,
											   char *error, Size error_size);

extern const InvalReply *inval_await_answer(InvalConnection *connection,
											MemoryContext context,
											int argc, const char **words,
											uint64 deadline, char *error,
											Size error_size);

#endif							/* INVAL_AWAIT_H */
