/*
 * cache.c
 *		A connection to Redis, or to memcached, on a Unix socket.
 *
 * Redis is spoken to through hiredis.  Of memcached's text protocol so little
 * is needed that it is written out.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <hiredis/hiredis.h>

#include "cache.h"
#include "common.h"

/* Removals that a consumer sends before it reads the answers. */
#define PIPELINE_LENGTH	1000

struct Cache
{
	redisContext *redis;		/* NULL: it is memcached */
	FILE	   *reader;			/* memcached's answers */
	int			socket;
	int			unanswered;		/* removals sent or about to be */
};

static const char *
after_prefix(const char *text, const char *prefix)
{
	size_t		length = strlen(prefix);

	return strncmp(text, prefix, length) == 0 ? text + length : NULL;
}

static void
open_memcached(Cache *cache, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	cache->socket = socket(AF_UNIX, SOCK_STREAM, 0);
	if (cache->socket < 0 ||
		connect(cache->socket, (struct sockaddr *) &address,
				sizeof(address)) != 0)
		die("could not connect to memcached: %m");
	cache->reader = fdopen(cache->socket, "r");
}

Cache *
cache_open(const char *address)
{
	Cache	   *cache = calloc(1, sizeof(Cache));
	const char *path;

	if ((path = after_prefix(address, "redis:")) != NULL)
	{
		cache->redis = redisConnectUnix(path);
		if (cache->redis == NULL || cache->redis->err != 0)
			die("could not connect to Redis");
	}
	else if ((path = after_prefix(address, "memcached:")) != NULL)
		open_memcached(cache, path);
	else
		die("what kind of cache is \"%s\"?", address);
	return cache;
}

/* The next answer of Redis, which must not be an error. */
static redisReply *
redis_answer(Cache *cache)
{
	void	   *reply;

	if (redisGetReply(cache->redis, &reply) != REDIS_OK)
		die("Redis: %s", cache->redis->errstr);
	if (((redisReply *) reply)->type == REDIS_REPLY_ERROR)
		die("Redis: %s", ((redisReply *) reply)->str);
	return reply;
}

/* Sends what hiredis has in its buffer, without waiting for an answer. */
static void
redis_send(Cache *cache)
{
	int			done = 0;

	while (!done)
		if (redisBufferWrite(cache->redis, &done) != REDIS_OK)
			die("Redis: %s", cache->redis->errstr);
}

static void
memcached_send(Cache *cache, const char *text)
{
	size_t		length = strlen(text);

	if (write(cache->socket, text, length) != (ssize_t) length)
		die("could not write to memcached: %m");
}

/* Reads lines until one of these starts a line; returns which. */
static int
memcached_answer(Cache *cache, const char *first, const char *second)
{
	char		line[256];

	while (fgets(line, sizeof(line), cache->reader) != NULL)
	{
		if (after_prefix(line, first) != NULL)
			return 1;
		if (after_prefix(line, second) != NULL)
			return 2;
	}
	die("memcached went away");
}

void
cache_set(Cache *cache, const char *key, const char *value)
{
	char		text[256];

	if (cache->redis != NULL)
	{
		redisAppendCommand(cache->redis, "SET %s %s", key, value);
		freeReplyObject(redis_answer(cache));
		return;
	}
	snprintf(text, sizeof(text), "set %s 0 0 %zu\r\n%s\r\n",
			 key, strlen(value), value);
	memcached_send(cache, text);
	if (memcached_answer(cache, "STORED", "SERVER_ERROR") != 1)
		die("memcached did not store a value");
}

bool
cache_has(Cache *cache, const char *key)
{
	cache_ask(cache, key);
	return cache_answer(cache);
}

void
cache_ask(Cache *cache, const char *key)
{
	char		text[256];

	if (cache->redis != NULL)
	{
		redisAppendCommand(cache->redis, "GET %s", key);
		redis_send(cache);
		return;
	}
	snprintf(text, sizeof(text), "get %s\r\n", key);
	memcached_send(cache, text);
}

bool
cache_answer(Cache *cache)
{
	redisReply *reply;
	bool		has;

	if (cache->redis == NULL)
	{
		if (memcached_answer(cache, "VALUE", "END") == 2)
			return false;
		memcached_answer(cache, "END", "END");
		return true;
	}
	reply = redis_answer(cache);
	has = reply->type != REDIS_REPLY_NIL;
	freeReplyObject(reply);
	return has;
}

void
cache_remove(Cache *cache, const char *key)
{
	cache_remove_later(cache, key, (int) strlen(key));
	cache_flush(cache);
}

void
cache_remove_later(Cache *cache, const char *key, int length)
{
	redisAppendCommand(cache->redis, "UNLINK %b", key, (size_t) length);
	if (++cache->unanswered == PIPELINE_LENGTH)
		cache_flush(cache);
}

void
cache_flush(Cache *cache)
{
	for (; cache->unanswered > 0; cache->unanswered--)
		freeReplyObject(redis_answer(cache));
}
