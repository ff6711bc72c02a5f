/*
 * monitor.c
 *		Looks at the queue of inval: which keys are not delivered yet?
 */

#include "common.h"
#include "load.h"

#define PAUSE_US	20000

static bool
prepare_nothing(PGconn *connection)
{
	(void) connection;
	return true;
}

static void
look(Worker *worker, PGconn *connection)
{
	Look		look = {.begin = time_now()};
	PGresult   *result = PQexec(connection, "SELECT DISTINCT key FROM inval_queue");

	look.end = time_now();
	if (!is_good(result))
	{
		PQclear(result);
		worker_failed(worker);
		return;
	}
	for (int i = 0; i < PQntuples(result); i++)
	{
		int			key = world_find_key(PQgetvalue(result, i, 0));

		if (key >= 0)
			look.queued |= UINT64_C(1) << key;
	}
	PQclear(result);
	worker->history.counts.looks++;
	history_look(&worker->history, &look);
}

void *
monitor_run(void *argument)
{
	Worker	   *worker = argument;

	while (gate_pass())
	{
		PGconn	   *connection = worker_database(worker, prepare_nothing);

		if (connection != NULL)
			look(worker, connection);
		pause_us(PAUSE_US);
	}
	return NULL;
}
