/*
 * gate.c
 *		Lets all threads stand still between two operations, and what they share.
 */
#include <stdatomic.h>
#include <stdlib.h>

#include "common.h"
#include "load.h"

#define RECONNECT_US	20000

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static atomic_bool closed = true;
static bool ended;
static int	standing;

bool
gate_is_closed(void)
{
	return atomic_load_explicit(&closed, memory_order_relaxed);
}

bool
gate_pass(void)
{
	bool		over;

	if (!gate_is_closed())
		return true;
	pthread_mutex_lock(&lock);
	standing++;
	pthread_cond_broadcast(&changed);
	while (gate_is_closed() && !ended)
		pthread_cond_wait(&changed, &lock);
	standing--;
	over = ended;
	pthread_mutex_unlock(&lock);
	return !over;
}

void
gate_close(int threads)
{
	pthread_mutex_lock(&lock);
	atomic_store(&closed, true);
	while (standing < threads)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
}

void
gate_open(void)
{
	pthread_mutex_lock(&lock);
	atomic_store(&closed, false);
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

void
gate_end(void)
{
	pthread_mutex_lock(&lock);
	ended = true;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

int
random_below(Worker *worker, int limit)
{
	return rand_r(&worker->random) % limit;
}

bool
is_good(const PGresult *result)
{
	ExecStatusType status = PQresultStatus(result);

	return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
}

bool
prepare_kinds(PGconn *connection, char letter, const char *(*text) (Kind))
{
	bool		good = true;

	for (Kind kind = 0; kind < KINDS && good; kind++)
	{
		char		name[8];
		PGresult   *result;

		snprintf(name, sizeof(name), "%c%d", letter, kind);
		result = PQprepare(connection, name, text(kind), 0, NULL);
		good = is_good(result);
		PQclear(result);
	}
	return good;
}

PGconn *
worker_database(Worker *worker, bool (*prepare) (PGconn *))
{
	PGconn	   *connection = worker->connection;

	if (connection != NULL)
		return connection;
	connection = PQconnectdb("");
	if (PQstatus(connection) == CONNECTION_OK && prepare(connection))
		return worker->connection = connection;
	PQfinish(connection);
	pause_us(RECONNECT_US);
	return NULL;
}

void
worker_failed(Worker *worker)
{
	worker->history.counts.errors++;
	if (PQstatus(worker->connection) == CONNECTION_OK)
		return;
	PQfinish(worker->connection);
	worker->connection = NULL;
}
