/*
 * main.c
 *		Many clients that change rows and read keys, and the check of what they were
 *		given.
 *
 *		load NAME=VALUE...
 *
 * The names are those of the settings (load.h).  The database is the one that the
 * environment describes to libpq; it has the tables of world.c.  The keys are not
 * there.
 *
 * Reads lines from standard input: "go" lets all clients run; "pause" lets them stand
 * still, slow ones when they are done, and then judges what was read since the last
 * time (check.c), and prints
 *
 *		paused NAME=NUMBER...
 *
 * with sums since the start: ages are in microseconds.  The end of the input is the
 * end.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "common.h"
#include "load.h"

#define MAX_WORKERS	64

Settings	settings = {
	.readers = 8, .writers = 4, .rate = 400, .ttl_ms = 60000, .slow = 20, .slow_ms = 30,
	.slowest_ms = 1000, .seed = 1
};

static Worker workers[MAX_WORKERS];
static int	workers_count;

static void
set_setting(const char *name, const char *value)
{
	static const struct
	{
		const char *name;
		int		   *number;
	}			numbers[] = {
		{"readers", &settings.readers}, {"writers", &settings.writers},
		{"rate", &settings.rate}, {"ttl_ms", &settings.ttl_ms},
		{"stale_ms", &settings.stale_ms}, {"early_ms", &settings.early_ms},
		{"slow", &settings.slow}, {"slow_ms", &settings.slow_ms},
		{"slowest_ms", &settings.slowest_ms},
		{"short_lease_ms", &settings.short_lease_ms}
	};

	if (strcmp(name, "redis") == 0)
		settings.redis = value;
	else if (strcmp(name, "plain") == 0)
		settings.plain = atoi(value) != 0;
	else if (strcmp(name, "snapshot_first") == 0)
		settings.snapshot_first = atoi(value) != 0;
	else if (strcmp(name, "seed") == 0)
		settings.seed = (unsigned) strtoul(value, NULL, 10);
	else
	{
		for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
			if (strcmp(name, numbers[i].name) == 0)
			{
				*numbers[i].number = atoi(value);
				return;
			}
		die("no setting %s", name);
	}
}

static void
start_workers(void *(*run) (void *), int count)
{
	for (int i = 0; i < count; i++)
	{
		Worker	   *worker = &workers[workers_count++];

		if (workers_count > MAX_WORKERS)
			die("more than %d threads", MAX_WORKERS);
		worker->number = i;
		worker->random = settings.seed * 1000 + (unsigned) workers_count;
		worker->cache = cache_new(settings.redis);
		if (pthread_create(&worker->thread, NULL, run, worker) != 0)
			die("could not start a thread");
	}
}

static void
judge(Verdict *verdict)
{
	static const char *const grades[GRADES] = {"visible", "returned", "delivered"};
	History    *histories[MAX_WORKERS];
	Counts		sum = {0};

	for (int i = 0; i < workers_count; i++)
	{
		histories[i] = &workers[i].history;
		counts_add(&sum, &workers[i].history.counts);
	}
	check_histories(histories, workers_count, verdict);
	printf("paused reads=%ld checked=%ld hits=%ld stale=%ld database=%ld bypasses=%ld"
		   " errors=%ld stored=%ld refused=%ld slow=%ld commits=%ld rollbacks=%ld"
		   " failed=%ld looks=%ld", sum.reads, verdict->checked, sum.hits, sum.stale,
		   sum.from_database, sum.bypasses, sum.errors, sum.stored, sum.refused,
		   sum.slow, sum.commits, sum.rollbacks, sum.failed, sum.looks);
	for (Grade grade = 0; grade < GRADES; grade++)
		printf(" %s=%ld %s_age=%.0f", grades[grade], verdict->old[grade], grades[grade],
			   (double) verdict->oldest[grade] / 1000);
	printf("\n");
	fflush(stdout);
}

int
main(int argc, char **argv)
{
	Verdict		verdict = {0};
	char		line[100];

	for (int i = 1; i < argc; i++)
	{
		char	   *rest = argv[i];
		const char *name = strsep(&rest, "=");

		if (rest == NULL)
			die("usage: load NAME=VALUE...");
		set_setting(name, rest);
	}
	if (settings.redis == NULL)
		die("where is Redis?");
	world_make();
	start_workers(monitor_run, 1);
	start_workers(writer_run, settings.writers);
	start_workers(reader_run, settings.readers);
	gate_close(workers_count);
	while (fgets(line, sizeof(line), stdin) != NULL)
	{
		if (strcmp(line, "go\n") == 0)
			gate_open();
		else if (strcmp(line, "pause\n") == 0)
		{
			gate_close(workers_count);
			judge(&verdict);
		}
		else
			die("what is \"%s\"?", line);
	}
	gate_close(workers_count);
	gate_end();
	for (int i = 0; i < workers_count; i++)
		pthread_join(workers[i].thread, NULL);
	return 0;
}
