/*
 * freshness.c
 *		How long after COMMIT a key is still there.
 *
 *		freshness CACHE SECONDS ROWS [unlink]
 *
 * One writer, over and over: fill the key of a row in the cache, update the
 * row, take the time, COMMIT, take the time, and have another client read the
 * key at once, and again until it is gone.  With "unlink" the writer removes
 * the key itself after COMMIT: the other client's read is sent before that,
 * because nothing keeps a reader from coming first.
 *
 * A line for each sample: microseconds from just before COMMIT to the key
 * being gone, the same from COMMIT having returned, and 1 if the first read
 * saw the old value.  The key counts as gone when the answer that says so has
 * arrived: that of the first read that misses, or that of the writer's own
 * UNLINK; so each includes one round trip.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache.h"
#include "common.h"

/* A key that is still there after this long counts as never removed. */
#define GIVE_UP_US	10e6

/*
 * Between two reads of a key that is still there.  Reading without a pause
 * would take a core from whoever is to remove it.
 */
#define POLL_US	20

/* Between two samples, so that nobody is busy with the one before. */
#define SHORTEST_PAUSE_US	1000

/* Reads the key until it is gone; returns when that was. */
static double
wait_until_gone(Cache *reader, const char *key, double since)
{
	while (cache_has(reader, key))
	{
		if (now_us() - since > GIVE_UP_US)
			break;
		pause_us(POLL_US);
	}
	return now_us();
}

/* Returns the microseconds from COMMIT having returned to the key's end. */
static double
take_sample(PGconn *connection, Cache *reader, Cache *writer, bool unlink,
			int id)
{
	char		key[32];
	double		before;
	double		returned;
	double		gone;
	bool		stale;

	snprintf(key, sizeof(key), "item:%d", id);
	cache_set(writer, key, "old");
	execute(connection, "BEGIN");
	execute_prepared(connection, "update", 1, &id);
	before = now_us();
	execute(connection, "COMMIT");
	returned = now_us();
	cache_ask(reader, key);
	if (unlink)
	{
		cache_remove(writer, key);
		gone = now_us();
		stale = cache_answer(reader);
	}
	else
	{
		stale = cache_answer(reader);
		gone = stale ? wait_until_gone(reader, key, returned) : now_us();
	}
	printf("%.1f %.1f %d\n", gone - before, gone - returned, stale);
	return gone - returned;
}

/*
 * Leaves the machine idle for a while.  Samples that followed each other at
 * once would each start when a poller has just looked, and always meet the
 * longest wait; a random pause of up to twice the last wait starts the next
 * one anywhere between two looks.
 */
static void
pause_after(double wait)
{
	pause_us(SHORTEST_PAUSE_US +
			 (unsigned) (2 * wait * rand() / RAND_MAX));
}

int
main(int count, char **arguments)
{
	Cache	   *reader;
	Cache	   *writer;
	PGconn	   *connection;
	double		end;
	int			rows;

	if (count < 4 || count > 5)
		die("usage: freshness CACHE SECONDS ROWS [unlink]");
	reader = cache_open(arguments[1]);
	writer = cache_open(arguments[1]);
	end = now_us() + atof(arguments[2]) * 1e6;
	rows = atoi(arguments[3]);
	srand((unsigned) now_us());

	connection = connect_database();
	prepare(connection, "update",
			"UPDATE item SET status = status + 1 WHERE id = $1");
	while (now_us() < end)
		pause_after(take_sample(connection, reader, writer, count == 5,
								rand() % rows + 1));
	PQfinish(connection);
	return 0;
}
