/*
 * error.h
 *		What an error reply is about.
 */
#ifndef INVAL_REDIS_ERROR_H
#define INVAL_REDIS_ERROR_H

typedef enum InvalErrorKind
{
	INVAL_ERROR_ENTRY,			/* this very key or field */
	INVAL_ERROR_SERVER,			/* any other would meet it too */
	INVAL_ERROR_CROWDED,		/* this connection: the server has too many */
	INVAL_ERROR_COMMAND,		/* the server does not know the command */
	INVAL_ERROR_PING,			/* it does not know PING, or we may not: it lives */
	INVAL_ERROR_LATER,			/* a slot that will be served again */
	INVAL_ERROR_MOVED,			/* another server has the slot */
	INVAL_ERROR_ASK				/* another server may have the key */
} InvalErrorKind;

extern InvalErrorKind inval_error_kind(const char *error, Size length);
extern bool inval_error_names(const char *error, int *slot, char *host,
							  Size host_size, int *port);

#endif							/* INVAL_REDIS_ERROR_H */
