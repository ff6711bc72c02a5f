/*
 * main.c
 *		The load of the drills: clients that commit, and a reader that looks at
 *		the keys of what they changed.
 *
 *		load ROWS RATE CLIENTS SETTLE_SECONDS single|primary|cluster REDIS...
 *
 * Says "ready" when all keys are cached and the clients start.  Goes on until
 * its standard input ends, then waits until no key is owed any more or the time
 * for that has passed, and prints a line for each commit:
 *
 *		KIND RETURNED LATENCY GONE UNDONE
 *
 * as in struct Commit (load.h), times in microseconds of the clock that counts
 * from some fixed moment; and at the end
 *
 *		clients RECONNECTS REFUSED
 *
 * The server is the one that the environment describes to libpq.  It has the
 * tables at_commit, in_background and untracked, each with the rows 1 to ROWS.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common.h"
#include "load.h"
#include "nodes.h"

#define MAX_COMMITTERS	64
#define CHECK_US		5000

Settings	settings;

static Arrangement
arrangement_named(const char *name)
{
	static const char *const names[] = {"single", "primary", "cluster"};

	for (int i = 0; i < 3; i++)
		if (strcmp(names[i], name) == 0)
			return (Arrangement) i;
	die("what is \"%s\"?", name);
}

static void
start_thread(pthread_t *thread, void *(*run) (void *), void *argument)
{
	if (pthread_create(thread, NULL, run, argument) != 0)
		die("could not start a thread");
}

static void
wait_for_end_of_input(void)
{
	char		buffer[100];

	while (fgets(buffer, sizeof(buffer), stdin) != NULL)
		;
}

static void
print_commits(const Committer *committer)
{
	for (int i = 0; i < committer->count; i++)
	{
		const Commit *commit = committer->commits[i];

		printf("%s %.0f %.1f %.0f %d\n", rows_table(commit->kind),
			   commit->returned, commit->latency, commit->gone, commit->undone);
	}
}

int
main(int count, char **arguments)
{
	static Committer committers[MAX_COMMITTERS];
	pthread_t	reader;
	double		deadline;
	int			reconnects = 0;
	int			refused = 0;

	if (count < 7 || atoi(arguments[3]) > MAX_COMMITTERS)
		die("usage: load ROWS RATE CLIENTS SETTLE_SECONDS single|primary|cluster"
			" REDIS...");
	settings = (Settings) {
		.rows = atoi(arguments[1]), .rate = atof(arguments[2]),
		.committers = atoi(arguments[3]), .settle = atof(arguments[4])
	};
	settings.rows -= settings.rows % settings.committers;
	nodes_set(arrangement_named(arguments[5]), count - 6, arguments + 6);

	rows_make();
	start_thread(&reader, reader_run, NULL);
	while (!rows_all_cached())
		pause_us(CHECK_US);
	for (int i = 0; i < settings.committers; i++)
	{
		committers[i].number = i;
		committers[i].random = (unsigned) now_us() + i;
		start_thread(&committers[i].thread, committer_run, &committers[i]);
	}
	puts("ready");
	fflush(stdout);

	wait_for_end_of_input();
	committers_stop();
	for (int i = 0; i < settings.committers; i++)
		pthread_join(committers[i].thread, NULL);
	deadline = now_us() + settings.settle * 1e6;
	while (!rows_nothing_owed() && now_us() < deadline)
		pause_us(CHECK_US);
	reader_stop();
	pthread_join(reader, NULL);

	for (int i = 0; i < settings.committers; i++)
	{
		print_commits(&committers[i]);
		reconnects += committers[i].reconnects;
		refused += committers[i].refused;
	}
	printf("clients %d %d\n", reconnects, refused);
	return 0;
}
