/*
 * lookup_cache.h
 *		What look-ups have found.
 */
#ifndef INVAL_LOOKUP_CACHE_H
#define INVAL_LOOKUP_CACHE_H

#include "access/htup.h"

/* Made on the stack; bytes beyond the first room are palloc'd */
typedef struct InvalCacheKey
{
	char	   *bytes;
	Size		length;
	Size		room;
	char		first_room[128];
} InvalCacheKey;

typedef struct InvalCacheAnswer
{
	int			count;
	HeapTuple  *rows;
} InvalCacheAnswer;

extern void inval_cache_key_begin(InvalCacheKey *key);
extern void inval_cache_key_append(InvalCacheKey *key, const void *bytes,
								   Size length);
extern InvalCacheAnswer *inval_cache_find(const InvalCacheKey *key);
extern InvalCacheAnswer *inval_cache_store(const InvalCacheKey *key,
										   HeapTuple *rows, int count);
extern void inval_cache_empty(void);

#endif							/* INVAL_LOOKUP_CACHE_H */
