/*
 * lookup_cache.h
 *		What look-ups have found in this transaction.
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
	uint64		version;		/* of what was read */
	int			count;
	HeapTuple  *rows;
} InvalCacheAnswer;

extern uint64 inval_cache_epoch(void);
extern void inval_cache_key_begin(InvalCacheKey *key);
extern void inval_cache_key_append(InvalCacheKey *key, const void *bytes,
								   Size length);
extern InvalCacheAnswer *inval_cache_find(const InvalCacheKey *key);
extern InvalCacheAnswer *inval_cache_store(const InvalCacheKey *key,
										   uint64 version,
										   HeapTuple *rows, int count);
extern void inval_cache_empty(void);

#endif							/* INVAL_LOOKUP_CACHE_H */
