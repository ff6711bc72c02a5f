/*
 * encoding.h
 *		Keys are UTF-8, whatever the database's encoding is.
 */
#ifndef INVAL_ENCODING_H
#define INVAL_ENCODING_H

#include "lib/stringinfo.h"

extern char *inval_encode_key(const char *text, int length, int *key_length);
extern char *inval_encode_key_or_fail(const char *text, const char *what);
extern const char *inval_encode_or_keep(const char *text);
extern bool inval_encode_tail(StringInfo out, int start);
extern char *inval_decode_key(const char *key, int length, int *text_length);
extern text *inval_show_key(const char *key, int length);
extern int	inval_key_clip(const char *key, int length, int characters);

#endif							/* INVAL_ENCODING_H */
