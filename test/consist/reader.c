/*
 * reader.c
 *		A client that reads keys, and fills those that are missing: as
 *		docs/readers.md says, or by plain GET and SET.
 *
 * Some fills take long, some never come, some are given up; so the lease is lost,
 * runs out, or is left behind.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common.h"
#include "load.h"

/* Between two questions after "wait". */
#define ASK_AGAIN_US	2000

/* Of a thousand fills that many are given up, and that many die with their lease. */
#define GIVEN_UP	20
#define DEAD		5

/* Reads of one key in a row, so that threads meet at it, at most. */
#define STREAK		8

/*
 * Of a hundred turns that many are for a key that is being changed, after a look into
 * the database: what was seen there must not be newer than what the cache then has.
 */
#define LOOKED_FIRST	15

/* Readers never rest; servers and writers come first. */
#define NICE		10

static bool
prepare_queries(PGconn *connection)
{
	return prepare_kinds(connection, 'q', world_query);
}

/* What the database has for a key, as the value to store; false if it has no answer. */
static bool
read_database(Worker *worker, int number, char *value)
{
	const Key  *key = &world_keys[number];
	PGconn	   *connection = worker_database(worker, prepare_queries);
	char		name[8];
	char		id[16];
	const char *values[] = {id};
	PGresult   *result;
	size_t		used = 0;
	Time		end;

	if (connection == NULL)
		return false;
	snprintf(name, sizeof(name), "q%d", key->kind);
	snprintf(id, sizeof(id), "%d", key->id);
	result = PQexecPrepared(connection, name, 1, values, NULL, NULL, 0);
	end = time_now();
	if (!is_good(result))
	{
		PQclear(result);
		worker_failed(worker);
		return false;
	}
	if (PQntuples(result) != key->parts)
		die("%s has %d parts", key->name, PQntuples(result));
	for (int i = 0; i < key->parts; i++)
	{
		history_fact(&worker->history, key->rows[i], atoi(PQgetvalue(result, i, 0)),
					 SEEN, end);
		used += (size_t) snprintf(value + used, VALUE_SIZE - used, "%s%s",
								  i > 0 ? " " : "", PQgetvalue(result, i, 0));
	}
	PQclear(result);
	return true;
}

static void
note_value(Worker *worker, int number, const Got *got, Time begin, Time end)
{
	const Key  *key = &world_keys[number];
	Read		read = {
		.begin = begin, .end = end, .key = (short) number,
		.source = got->answer == CACHE_HIT ? HIT : STALE
	};
	char	   *rest = NULL;

	for (int i = 0; i < key->parts; i++)
	{
		const char *from = i == 0 ? got->value : rest;

		read.versions[i] = (int) strtol(from, &rest, 10);
		if (rest == from)
			die("%s holds \"%s\"", key->name, got->value);
	}
	history_read(&worker->history, &read);
	if (got->answer == CACHE_HIT)
		worker->history.counts.hits++;
	else
		worker->history.counts.stale++;
}

/* A fill may take its time, anywhere on its way. */
static void
dawdle(Worker *worker)
{
	int			most = settings.slow_ms;

	if (random_below(worker, 1000) >= settings.slow)
		return;
	worker->history.counts.slow++;
	if (random_below(worker, 10) == 0)
		most = settings.slowest_ms;
	pause_us(1000 * (unsigned) (1 + random_below(worker, most)));
}

/* Reads the database, and stores what it says if the words of the cache were "fill". */
static void
fill(Worker *worker, int number, const Got *got)
{
	const char *key = world_keys[number].name;
	Counts	   *counts = &worker->history.counts;
	char		value[VALUE_SIZE];
	int			chance;
	int			stored;

	if (got->answer == CACHE_FILL)
		dawdle(worker);
	if (!read_database(worker, number, value))
		return;
	counts->reads++;
	counts->from_database++;
	if (got->answer != CACHE_FILL)
		return;
	dawdle(worker);
	chance = random_below(worker, 1000);
	if (settings.plain)
		stored = cache_plain_set(worker->cache, key, value, settings.ttl_ms);
	else if (chance < DEAD)
		return;
	else if (chance < DEAD + GIVEN_UP)
	{
		cache_release(worker->cache, key, got->token);
		return;
	}
	else
		stored = cache_set(worker->cache, key, got->token, value, settings.ttl_ms,
						   settings.stale_ms);
	if (stored == 1)
		counts->stored++;
	else if (stored == 0)
		counts->refused++;
	else
		counts->errors++;
}

/*
 * What a reader does that breaks the first rule, to show that the rule is needed:
 * it has read before it asks for the lease.
 */
static void
fill_from_before(Worker *worker, int number, int lease_ms)
{
	const char *key = world_keys[number].name;
	char		value[VALUE_SIZE];
	Got			got;

	if (!read_database(worker, number, value))
		return;
	dawdle(worker);
	got = cache_get(worker->cache, key, lease_ms, settings.early_ms);
	if (got.answer == CACHE_FILL)
		cache_set(worker->cache, key, got.token, value, settings.ttl_ms, settings.stale_ms);
}

/* One read of a key, from wherever. */
static void
read_key(Worker *worker, int number)
{
	const char *key = world_keys[number].name;
	Counts	   *counts = &worker->history.counts;
	int			lease_ms = settings.short_lease_ms > 0 && worker->number % 4 == 0 ?
		settings.short_lease_ms : LEASE_MS;
	Time		patience = time_now() + lease_ms * INT64_C(1000000);
	Got			got;

	if (settings.snapshot_first && random_below(worker, 200) == 0)
		fill_from_before(worker, number, lease_ms);
	for (;;)
	{
		/* Each question is a read of its own. */
		Time		begin = time_now();

		got = settings.plain ? cache_plain_get(worker->cache, key) :
			cache_get(worker->cache, key, lease_ms, settings.early_ms);
		if (got.value[0] != '\0')
			note_value(worker, number, &got, begin, time_now());
		counts->errors += got.failed;
		if (got.answer == CACHE_HIT || (got.answer == CACHE_WAIT && got.value[0] != '\0'))
		{
			counts->reads++;
			return;
		}
		if (got.answer != CACHE_WAIT || time_now() > patience)
			break;
		/* All stand still when the one that fills has filled: nobody else waits for him. */
		if (gate_is_closed())
			return;
		pause_us(ASK_AGAIN_US);
	}
	counts->bypasses += got.answer == CACHE_BYPASS;
	fill(worker, number, &got);
}

void *
reader_run(void *argument)
{
	Worker	   *worker = argument;

	/* On Linux a thread has a priority of its own. */
	(void) setpriority(PRIO_PROCESS, (id_t) gettid(), NICE);
	while (gate_pass())
	{
		char		value[VALUE_SIZE];
		int			key;

		if (random_below(worker, 100) < LOOKED_FIRST)
		{
			key = world_key_of(atomic_load(&last_changed));
			(void) read_database(worker, key, value);
			read_key(worker, key);
			continue;
		}
		key = random_below(worker, KEYS);
		for (int i = random_below(worker, STREAK); i >= 0 && !gate_is_closed(); i--)
			read_key(worker, key);
	}
	return NULL;
}
