/*
 * load.c
 *		Clients that change rows and remove the keys themselves.
 *
 *		load SCRIPT CLIENTS SECONDS ROWS [CACHE]
 *
 * SCRIPT is "update", one single-row update a transaction, or "standard",
 * pgbench's standard script; ROWS is how many there are of item, or the scale
 * of pgbench's tables.  Each client is a thread with a connection of its own.
 * With CACHE it sends an UNLINK after each COMMIT and waits for the answer, as
 * careful applications do; without, the same program is the floor to compare
 * with.  Prints the transactions per second.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache.h"
#include "common.h"

#define MAX_CLIENTS	256

typedef struct Client
{
	pthread_t	thread;
	PGconn	   *connection;
	Cache	   *cache;			/* NULL: removes nothing */
	unsigned	random;
	long		transactions;
} Client;

static bool standard;
static int	rows;
static atomic_bool stop;

static int
random_up_to(Client *client, int limit)
{
	return rand_r(&client->random) % limit + 1;
}

static void
prepare_script(PGconn *connection)
{
	if (!standard)
	{
		prepare(connection, "update",
				"UPDATE item SET status = status + 1 WHERE id = $1");
		return;
	}
	prepare(connection, "accounts", "UPDATE pgbench_accounts"
			" SET abalance = abalance + $2 WHERE aid = $1");
	prepare(connection, "balance",
			"SELECT abalance FROM pgbench_accounts WHERE aid = $1");
	prepare(connection, "tellers", "UPDATE pgbench_tellers"
			" SET tbalance = tbalance + $2 WHERE tid = $1");
	prepare(connection, "branches", "UPDATE pgbench_branches"
			" SET bbalance = bbalance + $2 WHERE bid = $1");
	prepare(connection, "history", "INSERT INTO pgbench_history"
			" (tid, bid, aid, delta, mtime)"
			" VALUES ($1, $2, $3, $4, current_timestamp)");
}

static void
update_item(Client *client)
{
	int			id = random_up_to(client, rows);
	char		key[32];

	execute_prepared(client->connection, "update", 1, &id);
	if (client->cache != NULL)
	{
		snprintf(key, sizeof(key), "item:%d", id);
		cache_remove(client->cache, key);
	}
}

/* The script that pgbench runs by default. */
static void
run_standard(Client *client)
{
	int			aid = random_up_to(client, rows * 100000);
	int			tid = random_up_to(client, rows * 10);
	int			bid = random_up_to(client, rows);
	int			delta = random_up_to(client, 10001) - 5001;
	PGconn	   *connection = client->connection;
	char		key[64];

	execute(connection, "BEGIN");
	execute_prepared(connection, "accounts", 2, (int[]) {aid, delta});
	execute_prepared(connection, "balance", 1, &aid);
	execute_prepared(connection, "tellers", 2, (int[]) {tid, delta});
	execute_prepared(connection, "branches", 2, (int[]) {bid, delta});
	execute_prepared(connection, "history", 4,
					 (int[]) {tid, bid, aid, delta});
	execute(connection, "END");
	if (client->cache != NULL)
	{
		snprintf(key, sizeof(key), "pgbench_accounts:%d", aid);
		cache_remove(client->cache, key);
	}
}

static void *
run_client(void *argument)
{
	Client	   *client = argument;

	while (!atomic_load_explicit(&stop, memory_order_relaxed))
	{
		if (standard)
			run_standard(client);
		else
			update_item(client);
		client->transactions++;
	}
	return NULL;
}

int
main(int count, char **arguments)
{
	static Client clients[MAX_CLIENTS];
	int			clients_count;
	double		seconds;
	double		start;
	long		transactions = 0;

	if (count < 5 || count > 6 || atoi(arguments[2]) > MAX_CLIENTS)
		die("usage: load update|standard CLIENTS SECONDS ROWS [CACHE]");
	standard = strcmp(arguments[1], "standard") == 0;
	clients_count = atoi(arguments[2]);
	seconds = atof(arguments[3]);
	rows = atoi(arguments[4]);

	for (int i = 0; i < clients_count; i++)
	{
		clients[i].connection = connect_database();
		clients[i].random = (unsigned) now_us() + i;
		if (count == 6)
			clients[i].cache = cache_open(arguments[5]);
		prepare_script(clients[i].connection);
	}
	start = now_us();
	for (int i = 0; i < clients_count; i++)
		if (pthread_create(&clients[i].thread, NULL, run_client,
						   &clients[i]) != 0)
			die("could not start a thread");
	pause_us((unsigned) (seconds * 1e6));
	atomic_store(&stop, true);
	for (int i = 0; i < clients_count; i++)
	{
		pthread_join(clients[i].thread, NULL);
		transactions += clients[i].transactions;
	}
	printf("tps = %.3f\n", transactions / ((now_us() - start) / 1e6));
	return 0;
}
