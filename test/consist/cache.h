/*
 * cache.h
 *		A connection to Redis, as a reader has it.
 */
#ifndef CONSIST_CACHE_H
#define CONSIST_CACHE_H

#include <stdbool.h>

typedef struct Cache Cache;

/* What inval_get answers; GET answers HIT or FILL. */
typedef enum Answer
{
	CACHE_HIT,
	CACHE_FILL,
	CACHE_WAIT,
	CACHE_BYPASS,				/* also: no answer, or an error */
} Answer;

#define VALUE_SIZE	64
#define TOKEN_SIZE	64

typedef struct Got
{
	Answer		answer;
	bool		failed;			/* it was no answer, or an error */
	char		value[VALUE_SIZE];	/* empty: none */
	char		token[TOKEN_SIZE];
} Got;

/*
 * A connection to be made when it is needed first, and again whenever it has broken.
 * The address is host:port, the path of a socket, or that of a master by the name
 * "keys", after "sentinels:" and the addresses of sentinels, host:port,host:port...
 */
extern Cache *cache_new(const char *address);

/* inval_get */
extern Got	cache_get(Cache *cache, const char *key, int lease_ms, int early_ms);

/* inval_set: 1, 0, or -1 if there was no answer. */
extern int	cache_set(Cache *cache, const char *key, const char *token,
					  const char *value, int ttl_ms, int stale_ms);

/* inval_release */
extern void cache_release(Cache *cache, const char *key, const char *token);

/* GET, and SET ... PX */
extern Got	cache_plain_get(Cache *cache, const char *key);
extern int	cache_plain_set(Cache *cache, const char *key, const char *value, int ttl_ms);

#endif
