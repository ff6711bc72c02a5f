/*
 * cache.c
 *		A connection to Redis, as a reader has it: the functions of the library
 *		inval, or GET and SET.
 *
 * Whatever goes wrong is CACHE_BYPASS to who reads, and the connection is made anew.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include "cache.h"
#include "common.h"
#include "history.h"

/* After that a reader gives up on an answer, and on a connection. */
#define CONNECT_MS	500
#define ANSWER_MS	2000

/* A server that does not let us in is left alone for that long. */
#define AVOID_MS	20

struct Cache
{
	const char *address;
	redisContext *context;		/* NULL: not connected */
	Time		avoid_until;
};

Cache *
cache_new(const char *address)
{
	Cache	   *cache = calloc(1, sizeof(Cache));

	cache->address = address;
	return cache;
}

static redisContext *
open_address(const char *address)
{
	struct timeval timeout = {0, CONNECT_MS * 1000L};
	struct timeval patience = {ANSWER_MS / 1000, ANSWER_MS % 1000 * 1000L};
	const char *colon = strrchr(address, ':');
	redisContext *context;

	if (address[0] == '/')
		context = redisConnectUnixWithTimeout(address, timeout);
	else
	{
		char		host[100];

		snprintf(host, sizeof(host), "%.*s", (int) (colon - address), address);
		context = redisConnectWithTimeout(host, atoi(colon + 1), timeout);
	}
	if (context == NULL || context->err != 0 || redisSetTimeout(context, patience) != REDIS_OK)
	{
		if (context != NULL)
			redisFree(context);
		return NULL;
	}
	return context;
}

/* Whether it calls itself a master: sentinels may name one that has been replaced. */
static bool
is_master(redisContext *context)
{
	redisReply *reply = redisCommand(context, "ROLE");
	bool		master = reply != NULL && reply->type == REDIS_REPLY_ARRAY &&
		reply->elements > 0 && strcmp(reply->element[0]->str, "master") == 0;

	if (reply != NULL)
		freeReplyObject(reply);
	return master;
}

/* Asks one sentinel after the other who is the master. */
static redisContext *
open_master(const char *sentinels)
{
	char	   *list = strdup(sentinels);
	char	   *rest = NULL;
	redisContext *master = NULL;

	for (char *address = strtok_r(list, ",", &rest); address != NULL && master == NULL;
		 address = strtok_r(NULL, ",", &rest))
	{
		redisContext *sentinel = open_address(address);
		redisReply *reply = sentinel == NULL ? NULL :
			redisCommand(sentinel, "SENTINEL GET-MASTER-ADDR-BY-NAME keys");

		if (reply != NULL && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2)
		{
			char		found[200];

			snprintf(found, sizeof(found), "%s:%s", reply->element[0]->str,
					 reply->element[1]->str);
			master = open_address(found);
			if (master != NULL && !is_master(master))
			{
				redisFree(master);
				master = NULL;
			}
		}
		if (reply != NULL)
			freeReplyObject(reply);
		if (sentinel != NULL)
			redisFree(sentinel);
	}
	free(list);
	return master;
}

static void
avoid(Cache *cache)
{
	if (cache->context != NULL)
		redisFree(cache->context);
	cache->context = NULL;
	cache->avoid_until = time_now() + AVOID_MS * INT64_C(1000000);
}

/* The answer to a command that is not an error; else NULL. */
static redisReply *
ask(Cache *cache, int count, const char **words)
{
	static const char sentinels[] = "sentinels:";
	redisReply *reply;

	if (cache->context == NULL && time_now() >= cache->avoid_until)
	{
		cache->context = strncmp(cache->address, sentinels, sizeof(sentinels) - 1) == 0 ?
			open_master(cache->address + sizeof(sentinels) - 1) :
			open_address(cache->address);
		if (cache->context == NULL)
			avoid(cache);
	}
	if (cache->context == NULL)
		return NULL;
	reply = redisCommandArgv(cache->context, count, words, NULL);
	if (reply == NULL)
		avoid(cache);
	else if (reply->type == REDIS_REPLY_ERROR)
	{
		/* The master that it was may be one no longer. */
		if (strncmp(reply->str, "READONLY", 8) == 0)
			avoid(cache);
		freeReplyObject(reply);
		reply = NULL;
	}
	return reply;
}

static void
copy_text(char *to, size_t size, const redisReply *reply)
{
	if (reply->type == REDIS_REPLY_STRING)
		snprintf(to, size, "%s", reply->str);
}

Got
cache_get(Cache *cache, const char *key, int lease_ms, int early_ms)
{
	static const char *const names[] = {"hit", "fill", "wait", "bypass"};
	char		lease[16];
	char		early[16];
	const char *words[] = {"FCALL", "inval_get", "1", key, lease, early};
	Got			got = {.answer = CACHE_BYPASS};
	redisReply *reply;

	snprintf(lease, sizeof(lease), "%d", lease_ms);
	snprintf(early, sizeof(early), "%d", early_ms);
	reply = ask(cache, 6, words);
	if (reply == NULL)
	{
		got.failed = true;
		return got;
	}
	if (reply->type != REDIS_REPLY_ARRAY || reply->elements == 0)
		die("inval_get has no such answer");
	for (int i = 0; i < 4; i++)
		if (strcmp(reply->element[0]->str, names[i]) == 0)
			got.answer = (Answer) i;
	if (got.answer == CACHE_FILL)
		copy_text(got.token, sizeof(got.token), reply->element[1]);
	if (got.answer != CACHE_BYPASS)
		copy_text(got.value, sizeof(got.value),
				  reply->element[got.answer == CACHE_FILL ? 2 : 1]);
	freeReplyObject(reply);
	return got;
}

static int
number_of(redisReply *reply)
{
	int			number = -1;

	if (reply == NULL)
		return -1;
	if (reply->type == REDIS_REPLY_INTEGER)
		number = (int) reply->integer;
	else if (reply->type == REDIS_REPLY_STATUS)
		number = 1;
	freeReplyObject(reply);
	return number;
}

int
cache_set(Cache *cache, const char *key, const char *token, const char *value,
		  int ttl_ms, int stale_ms)
{
	char		ttl[16];
	char		stale[16];
	const char *words[] = {"FCALL", "inval_set", "1", key, token, value, ttl, stale};

	snprintf(ttl, sizeof(ttl), "%d", ttl_ms);
	snprintf(stale, sizeof(stale), "%d", stale_ms);
	return number_of(ask(cache, 8, words));
}

void
cache_release(Cache *cache, const char *key, const char *token)
{
	const char *words[] = {"FCALL", "inval_release", "1", key, token};

	(void) number_of(ask(cache, 5, words));
}

Got
cache_plain_get(Cache *cache, const char *key)
{
	const char *words[] = {"GET", key};
	Got			got = {.answer = CACHE_BYPASS};
	redisReply *reply = ask(cache, 2, words);

	if (reply == NULL)
	{
		got.failed = true;
		return got;
	}
	got.answer = reply->type == REDIS_REPLY_STRING ? CACHE_HIT : CACHE_FILL;
	copy_text(got.value, sizeof(got.value), reply);
	freeReplyObject(reply);
	return got;
}

int
cache_plain_set(Cache *cache, const char *key, const char *value, int ttl_ms)
{
	char		ttl[16];
	const char *words[] = {"SET", key, value, "PX", ttl};

	snprintf(ttl, sizeof(ttl), "%d", ttl_ms);
	return number_of(ask(cache, 5, words));
}
