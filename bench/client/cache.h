/*
 * cache.h
 *		A connection to Redis, or to memcached, on a Unix socket.
 */
#ifndef BENCH_CACHE_H
#define BENCH_CACHE_H

#include <stdbool.h>

typedef struct Cache Cache;

/*
 * The address is "redis:" or "memcached:" and the path of a socket.  Like all
 * below, ends the program on an error.
 */
extern Cache *cache_open(const char *address);

extern void cache_set(Cache *cache, const char *key, const char *value);

/* Whether there is a value at the key; in two halves to ask without waiting. */
extern bool cache_has(Cache *cache, const char *key);
extern void cache_ask(Cache *cache, const char *key);
extern bool cache_answer(Cache *cache);

/* Removes a key and waits for the answer. */
extern void cache_remove(Cache *cache, const char *key);

/*
 * Removes many: they are sent together, and at the latest with cache_flush,
 * which waits for all answers.  Redis only.
 */
extern void cache_remove_later(Cache *cache, const char *key, int length);
extern void cache_flush(Cache *cache);

#endif
