/*
 * committer.c
 *		A client that changes rows, each in a transaction of its own.
 *
 * At an even pace, whatever happens: a tracked row and an untracked one each
 * time, in random order, so that what the two cost can be compared at every
 * moment.  The latency of a commit is from sending the UPDATE to having its
 * answer.
 *
 * When the server goes away, the client asks for one that takes writes until
 * there is one again (libpq tries the hosts of PGHOST in turn), and then asks
 * it what its rows have: the answer to the last commit was lost, and a standby
 * that took over may lack others.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common.h"
#include "load.h"

/* Behind by more than this the pace is not made up for. */
#define LATE_US			1e6
#define RECONNECT_US	20000

static atomic_bool stopping;
static atomic_int last_stamp;

void
committers_stop(void)
{
	atomic_store(&stopping, true);
}

static bool
is_stopping(void)
{
	return atomic_load_explicit(&stopping, memory_order_relaxed);
}

static bool
is_good(PGresult *result)
{
	ExecStatusType status = PQresultStatus(result);

	return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
}

/* Prepares the statements; false if the connection does not last that long. */
static bool
prepare_updates(PGconn *connection)
{
	bool		good = true;

	for (Kind kind = 0; kind < KINDS && good; kind++)
	{
		char		statement[100];
		PGresult   *result;

		snprintf(statement, sizeof(statement),
				 "UPDATE %s SET n = $2 WHERE id = $1", rows_table(kind));
		result = PQprepare(connection, rows_table(kind), statement, 0, NULL);
		good = is_good(result);
		PQclear(result);
	}
	return good;
}

/* Tells the rows what the server has; false if it does not answer. */
static bool
resync(Committer *committer, PGconn *connection)
{
	bool		good = true;

	for (Kind kind = AT_COMMIT; kind <= IN_BACKGROUND && good; kind++)
	{
		char		statement[100];
		PGresult   *result;

		snprintf(statement, sizeof(statement), "SELECT id, n FROM %s WHERE (id - 1) %% %d = %d",
				 rows_table(kind), settings.committers, committer->number);
		result = PQexec(connection, statement);
		good = is_good(result);
		for (int i = 0; good && i < PQntuples(result); i++)
		{
			int			row = rows_of_id(atoi(PQgetvalue(result, i, 0)));

			if (rows_kind(row) == kind)
				rows_resync(committer, row, atoi(PQgetvalue(result, i, 1)));
		}
		PQclear(result);
	}
	return good;
}

/* A server that takes writes, waited for; NULL if the load ends first. */
static PGconn *
reconnect(Committer *committer)
{
	while (!is_stopping())
	{
		PGconn	   *connection = PQconnectdb("");

		if (PQstatus(connection) == CONNECTION_OK &&
			prepare_updates(connection) && resync(committer, connection))
			return connection;
		PQfinish(connection);
		pause_us(RECONNECT_US);
	}
	return NULL;
}

static Commit *
remember(Committer *committer, Kind kind, int row, int stamp, double latency)
{
	Commit	   *commit = calloc(1, sizeof(Commit));

	if (committer->count == committer->room)
	{
		committer->room = committer->room == 0 ? 1024 : 2 * committer->room;
		committer->commits = realloc(committer->commits,
									 committer->room * sizeof(Commit *));
	}
	*commit = (Commit) {
		.returned = now_us(), .latency = latency, .row = row,
		.stamp = stamp, .kind = kind
	};
	return committer->commits[committer->count++] = commit;
}

/* Runs the UPDATE; 1: committed, 0: refused, -1: who knows. */
static int
update(PGconn *connection, Kind kind, int id, int stamp)
{
	char		texts[2][16];
	const char *values[2] = {texts[0], texts[1]};
	PGresult   *result;
	int			outcome;

	snprintf(texts[0], sizeof(texts[0]), "%d", id);
	snprintf(texts[1], sizeof(texts[1]), "%d", stamp);
	result = PQexecPrepared(connection, rows_table(kind), 2, values, NULL, NULL, 0);
	outcome = is_good(result) ? 1 : 0;
	if (outcome == 0)
	{
		const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

		if (PQstatus(connection) != CONNECTION_OK || state == NULL)
			outcome = -1;
		else
			fprintf(stderr, "%s", PQresultErrorMessage(result));
	}
	PQclear(result);
	return outcome;
}

/*
 * Whether the commit whose answer was lost took place is what the row has now.
 * Each server that the client met meanwhile has told the rows.
 */
static PGconn *
find_out(Committer *committer, PGconn *connection, int row, int stamp)
{
	Commit	   *commit = NULL;

	PQfinish(connection);
	committer->reconnects++;
	connection = reconnect(committer);
	if (row < 0)
		return connection;
	if (connection != NULL && rows_stamp(row) == stamp)
		commit = remember(committer, rows_kind(row), row, stamp, -1);
	rows_give_back(row, commit);
	return connection;
}

/* Changes the row, or (-1) an untracked one; returns the connection to use. */
static PGconn *
change(Committer *committer, PGconn *connection, int row)
{
	Kind		kind = row < 0 ? UNTRACKED : rows_kind(row);
	int			id = row < 0 ? committer->number + 1 +
		settings.committers * (rand_r(&committer->random) %
							   (settings.rows / settings.committers)) : rows_id(row);
	int			stamp = atomic_fetch_add(&last_stamp, 1) + 1;
	double		sent = now_us();
	int			outcome = update(connection, kind, id, stamp);
	Commit	   *commit = NULL;

	if (outcome < 0)
		return find_out(committer, connection, row, stamp);
	if (outcome > 0)
		commit = remember(committer, kind, row, stamp, now_us() - sent);
	else
		committer->refused++;
	if (row >= 0)
		rows_give_back(row, commit);
	return connection;
}

/* Waits for the time of the next commit; returns the one after that. */
static double
keep_pace(double next)
{
	double		now = now_us();

	if (next > now)
		pause_us((unsigned) (next - now));
	else if (now - next > LATE_US)
		next = now;
	return next + 1e6 * settings.committers / settings.rate;
}

void *
committer_run(void *argument)
{
	Committer  *committer = argument;
	PGconn	   *connection = reconnect(committer);
	double		next = now_us() +
		1e6 * committer->number / settings.rate;

	while (connection != NULL && !is_stopping())
	{
		bool		tracked_first = rand_r(&committer->random) % 2 == 0;

		next = keep_pace(next);
		for (int i = 0; i < 2 && connection != NULL; i++)
		{
			bool		tracked = (i == 0) == tracked_first;
			int			row = tracked ? rows_take(committer) : -1;

			if (!tracked || row >= 0)
				connection = change(committer, connection, row);
		}
	}
	if (connection != NULL)
		PQfinish(connection);
	return NULL;
}
