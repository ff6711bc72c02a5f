/*
 * replies.h
 *		A reader, fed with an input.
 */
#ifndef INVAL_FUZZ_REPLIES_H
#define INVAL_FUZZ_REPLIES_H

#include "redis/reader.h"

typedef void (*ReplyVisitor) (const InvalReply *reply, void *arg);

extern bool fuzz_replies(const uint8 *bytes, size_t length, size_t portion, bool keeps,
						 ReplyVisitor visit, void *arg);

#endif							/* INVAL_FUZZ_REPLIES_H */
