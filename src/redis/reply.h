/*
 * reply.h
 *		What is kept of a reply, while hiredis parses it.
 */
#ifndef INVAL_REDIS_REPLY_H
#define INVAL_REDIS_REPLY_H

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

/* For a reader whose "privdata" is an InvalReply */
struct redisReplyObjectFunctions;	/* hiredis's */
extern struct redisReplyObjectFunctions inval_reply_functions;

extern void inval_reply_copy_text(char *place, Size size, const char *text, Size length);

#endif							/* INVAL_REDIS_REPLY_H */
