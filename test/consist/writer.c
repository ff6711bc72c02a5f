/*
 * writer.c
 *		A client that changes rows: one in a transaction, or several, some of
 *		which are rolled back.
 *
 * A version counts from the moment at which its COMMIT has returned.  If that answer
 * is lost, nobody knows; a query of a reader will tell.
 */
#include <stdio.h>
#include <stdlib.h>

#include "common.h"
#include "load.h"

/* Rows of one transaction, at most. */
#define MOST_ROWS	3

/* Of a hundred transactions, that many change several rows, and that many fail. */
#define SEVERAL		30
#define ROLLED_BACK	10

atomic_int	last_changed;

static bool
prepare_updates(PGconn *connection)
{
	return prepare_kinds(connection, 'u', world_update);
}

/* The row's new version; -1 if the statement failed. */
static int
change(PGconn *connection, int row)
{
	char		name[8];
	char		id[16];
	const char *values[] = {id};
	PGresult   *result;
	int			version = -1;

	snprintf(name, sizeof(name), "u%d", world_row_kind(row));
	snprintf(id, sizeof(id), "%d", world_row_id(row));
	result = PQexecPrepared(connection, name, 1, values, NULL, NULL, 0);
	if (is_good(result) && PQntuples(result) == 1)
		version = atoi(PQgetvalue(result, 0, 0));
	PQclear(result);
	return version;
}

static bool
execute_word(PGconn *connection, const char *word)
{
	PGresult   *result = PQexec(connection, word);
	bool		good = is_good(result);

	PQclear(result);
	return good;
}

/* Different rows, in order, so that transactions do not wait for each other in a circle. */
static int
choose_rows(Worker *worker, int *rows)
{
	int			wanted = random_below(worker, 100) < SEVERAL ?
		2 + random_below(worker, MOST_ROWS - 1) : 1;
	int			left = ROWS;
	int			count = 0;

	for (int row = 0; row < ROWS && count < wanted; row++, left--)
		if (random_below(worker, left) < wanted - count)
			rows[count++] = row;
	return count;
}

static void
write_rows(Worker *worker, PGconn *connection)
{
	Counts	   *counts = &worker->history.counts;
	int			rows[MOST_ROWS];
	int			versions[MOST_ROWS];
	int			count = choose_rows(worker, rows);
	bool		back = random_below(worker, 100) < ROLLED_BACK;
	bool		block = count > 1 || back;
	bool		good = !block || execute_word(connection, "BEGIN");
	Time		end;

	atomic_store(&last_changed, rows[count - 1]);
	for (int i = 0; i < count && good; i++)
	{
		versions[i] = change(connection, rows[i]);
		good = versions[i] >= 0;
	}
	if (block && PQstatus(connection) == CONNECTION_OK)
	{
		/* COMMIT of a transaction that has failed is no error, but a rollback. */
		bool		commit = good && !back;

		good = execute_word(connection, commit ? "COMMIT" : "ROLLBACK") && good;
	}
	end = time_now();
	if (!good)
	{
		counts->failed++;
		worker_failed(worker);
	}
	else if (back)
		counts->rollbacks++;
	else
	{
		counts->commits++;
		for (int i = 0; i < count; i++)
			history_fact(&worker->history, rows[i], versions[i], RETURNED, end);
	}
}

void *
writer_run(void *argument)
{
	Worker	   *worker = argument;
	int			pause = 2 * 1000000 / settings.rate * settings.writers;

	while (gate_pass())
	{
		PGconn	   *connection = worker_database(worker, prepare_updates);

		if (connection != NULL)
			write_rows(worker, connection);
		pause_us((unsigned) random_below(worker, pause + 1));
	}
	return NULL;
}
