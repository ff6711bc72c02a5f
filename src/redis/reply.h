/*
 * reply.h
 *		What hiredis calls while it parses a reply.
 */
#ifndef INVAL_REDIS_REPLY_H
#define INVAL_REDIS_REPLY_H

#include <hiredis/hiredis.h>

#include "redis/connection.h"

/* For a reader whose "privdata" is an InvalReply */
extern redisReplyObjectFunctions inval_reply_functions;

extern void inval_reply_copy_text(char *place, Size size, const char *text, Size length);

#endif							/* INVAL_REDIS_REPLY_H */
