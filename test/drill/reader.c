/*
 * reader.c
 *		Looks at the keys of rows that were changed until they are gone, and
 *		caches them again.
 *
 * When it saw that a key is gone is when the answer had arrived: what is
 * measured includes a round trip and the pause between two looks.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "common.h"
#include "load.h"
#include "nodes.h"

/* Keys to ask for at once. */
#define MOST_LOOKS		10000

/*
 * The pause between two looks: short, but a reader that has thousands of keys
 * to look at must not take a core for itself.
 */
#define SHORTEST_PAUSE_US	200
#define PAUSE_FACTOR		2

static atomic_bool stopping;

void
reader_stop(void)
{
	atomic_store(&stopping, true);
}

static void
make_key(Ask *ask, int row)
{
	snprintf(ask->key, sizeof(ask->key), "%s:%d", rows_table(rows_kind(row)),
			 rows_id(row));
}

/* What the keys of rows hold, or with a value: caches them. */
static void
ask_about(Look *looks, Ask *asks, int count, bool cache)
{
	for (int i = 0; i < count; i++)
	{
		make_key(&asks[i], looks[i].row);
		asks[i].value = cache ? looks[i].stamp : -1;
	}
	nodes_ask(asks, count);
	for (int i = 0; i < count; i++)
	{
		bool		refused = cache && asks[i].outcome == NOT_DONE;

		looks[i].held = NO_ANSWER;
		if (asks[i].outcome == DONE_NIL || refused)
			looks[i].held = NO_VALUE;
		else if (asks[i].outcome == DONE_VALUE)
			looks[i].held = cache ? looks[i].stamp : asks[i].number;
	}
}

void *
reader_run(void *argument)
{
	Look	   *looks = calloc(MOST_LOOKS, sizeof(Look));
	Ask		   *asks = calloc(MOST_LOOKS, sizeof(Ask));

	(void) argument;
	while (!atomic_load(&stopping))
	{
		double		start = now_us();
		double		answered;
		int			count = rows_owed(looks, MOST_LOOKS);

		ask_about(looks, asks, count, false);
		answered = now_us();
		for (int i = 0; i < count; i++)
			rows_looked(&looks[i], answered);
		count = rows_to_cache(looks, MOST_LOOKS);
		ask_about(looks, asks, count, true);
		for (int i = 0; i < count; i++)
			rows_cached(&looks[i]);
		pause_us(SHORTEST_PAUSE_US +
				 (unsigned) (PAUSE_FACTOR * (now_us() - start)));
	}
	free(looks);
	free(asks);
	return NULL;
}
