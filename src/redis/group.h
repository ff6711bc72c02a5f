/*
 * group.h
 *		Exchanges with several Redis servers at once.
 */
#ifndef INVAL_REDIS_GROUP_H
#define INVAL_REDIS_GROUP_H

#include "redis/connection.h"

/* Most connections in one group */
#define INVAL_GROUP_MAX		256

extern void inval_redis_finish_group(InvalConnection **connections, int count,
									 uint64 deadline, InvalWait wait);

#endif							/* INVAL_REDIS_GROUP_H */
