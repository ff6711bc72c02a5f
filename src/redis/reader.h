/*
 * reader.h
 *		Replies of a Redis server, from its bytes.
 */
#ifndef INVAL_READER_H
#define INVAL_READER_H

#include "redis/error.h"

/* The most bytes of one reply that is kept: the map of a large cluster, what SCAN
 * has found, a value */
#define INVAL_REPLY_MAX			((Size) 32 * 1024 * 1024)

/* Why a larger one is refused */
#define INVAL_REPLY_TOO_LARGE	"reply is too large"

typedef enum InvalReplyType
{
	INVAL_REPLY_NIL,
	INVAL_REPLY_INTEGER,
	INVAL_REPLY_TEXT,
	INVAL_REPLY_LIST,
	INVAL_REPLY_ERROR
} InvalReplyType;

typedef struct InvalReply
{
	InvalReplyType type;
	InvalErrorKind kind;		/* of an error */
	int64		integer;
	char	   *text;			/* terminated; of an error what there is room for,
								 * in ASCII; else NULL if texts are not kept */
	Size		length;			/* of the text, which may contain zero bytes */
	int			count;			/* of a list */
	struct InvalReply *items;
} InvalReply;

/* Room for what is kept of an error: a MOVED with a long name, for one */
#define INVAL_ERROR_TEXT_LEN	384

typedef struct InvalReader
{
	struct redisReader *hiredis;
	MemoryContext context;		/* for texts and lists; NULL: they are not kept */
	Size		kept;			/* bytes of the present reply that are */
	const char *refused;		/* why the last bytes are no reply */
	InvalReply	reply;			/* the present one */
	char		error[INVAL_ERROR_TEXT_LEN];
} InvalReader;

extern bool inval_reader_init(InvalReader *reader);
extern void inval_reader_free(InvalReader *reader);
extern bool inval_reader_feed(InvalReader *reader, const char *bytes, Size length);
extern const InvalReply *inval_reader_next(InvalReader *reader);
extern bool inval_reader_is_empty(const InvalReader *reader);

extern const char *inval_reply_text(const InvalReply *list, int item);

#endif							/* INVAL_READER_H */
