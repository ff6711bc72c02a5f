/*
 * history.c
 *		Lists of what was done.
 *
 * A list belongs to its thread until all of them stand still; so nothing is locked.
 */
#include <stdlib.h>
#include <time.h>

#include "common.h"
#include "history.h"

Time
time_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static void *
grow(void *list, size_t *room, size_t size)
{
	*room = *room == 0 ? 1024 : 2 * *room;
	list = realloc(list, *room * size);
	if (list == NULL)
		die("out of memory");
	return list;
}

void
history_fact(History *history, int row, int version, How how, Time when)
{
	if (history->facts_count == history->facts_room)
		history->facts = grow(history->facts, &history->facts_room, sizeof(Fact));
	history->facts[history->facts_count++] = (Fact) {
		.when = when, .version = version, .row = (short) row, .how = (short) how
	};
}

void
history_read(History *history, const Read *read)
{
	if (history->reads_count == history->reads_room)
		history->reads = grow(history->reads, &history->reads_room, sizeof(Read));
	history->reads[history->reads_count++] = *read;
}

void
history_look(History *history, const Look *look)
{
	if (history->looks_count == history->looks_room)
		history->looks = grow(history->looks, &history->looks_room, sizeof(Look));
	history->looks[history->looks_count++] = *look;
}

void
history_clear(History *history)
{
	history->facts_count = 0;
	history->reads_count = 0;
	history->looks_count = 0;
}

void
counts_add(Counts *sum, const Counts *counts)
{
	sum->reads += counts->reads;
	sum->hits += counts->hits;
	sum->stale += counts->stale;
	sum->from_database += counts->from_database;
	sum->bypasses += counts->bypasses;
	sum->errors += counts->errors;
	sum->stored += counts->stored;
	sum->refused += counts->refused;
	sum->slow += counts->slow;
	sum->commits += counts->commits;
	sum->rollbacks += counts->rollbacks;
	sum->failed += counts->failed;
	sum->looks += counts->looks;
}
