/*
 * consumer.c
 *		The consumers of the alternatives: what reads the invalidations that
 *		their triggers leave behind, and removes the keys from Redis.
 *
 *		consumer CACHE listen CHANNEL
 *		consumer CACHE outbox INTERVAL_US
 *		consumer CACHE pgq QUEUE CONSUMER INTERVAL_US TABLE=COLUMN...
 *		consumer CACHE wal2json TABLE=COLUMN...
 *
 * The last reads what pg_recvlogical prints.  Each does what the documentation of its mechanism shows, with a pipeline to
 * Redis, and runs until it is killed or its input ends.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache.h"
#include "common.h"

#define MAX_TABLES	8
#define MAX_KEY		256

/* Rows that the poller of the outbox takes at a time. */
#define OUTBOX_BATCH	"10000"

typedef struct Table
{
	const char *name;
	const char *column;			/* the one that the key is made of */
} Table;

static Cache *cache;
static Table tables[MAX_TABLES];
static int	tables_count;

/* Each argument is the name of a table, "=", and that of its column. */
static void
read_tables(int count, char **arguments)
{
	for (int i = 0; i < count && i < MAX_TABLES; i++)
	{
		char	   *separator = strchr(arguments[i], '=');

		if (separator == NULL)
			die("no column in \"%s\"", arguments[i]);
		*separator = '\0';
		tables[tables_count++] = (Table) {arguments[i], separator + 1};
	}
}

/* The table of that name, which ends where the text says; NULL if unknown. */
static const Table *
find_table(const char *name, size_t length)
{
	for (int i = 0; i < tables_count; i++)
		if (strlen(tables[i].name) == length &&
			strncmp(tables[i].name, name, length) == 0)
			return &tables[i];
	return NULL;
}

static void
remove_key(const Table *table, const char *value, size_t length)
{
	char		key[MAX_KEY];
	int			size = snprintf(key, sizeof(key), "%s:%.*s",
								table->name, (int) length, value);

	cache_remove_later(cache, key, size);
}

/* Waits until the server sends something. */
static void
wait_for_server(PGconn *connection)
{
	struct pollfd server = {.fd = PQsocket(connection), .events = POLLIN};

	poll(&server, 1, -1);
	if (!PQconsumeInput(connection))
		die("%s", PQerrorMessage(connection));
}

static void
consume_notifications(const char *channel)
{
	PGconn	   *connection = connect_database();
	PGnotify   *notification;
	char		statement[100];

	snprintf(statement, sizeof(statement), "LISTEN %s", channel);
	execute(connection, statement);
	for (;;)
	{
		wait_for_server(connection);
		while ((notification = PQnotifies(connection)) != NULL)
		{
			cache_remove_later(cache, notification->extra,
							   (int) strlen(notification->extra));
			PQfreemem(notification);
		}
		cache_flush(cache);
	}
}

/*
 * Takes rows out of the outbox in the transaction that also removes their
 * keys, so that a crash in between repeats them.
 */
static void
consume_outbox(unsigned interval)
{
	PGconn	   *connection = connect_database();

	for (;;)
	{
		PGresult   *rows;
		int			count;

		execute(connection, "BEGIN");
		rows = query(connection, "DELETE FROM cache_outbox WHERE id IN"
					 " (SELECT id FROM cache_outbox ORDER BY id"
					 "  FOR UPDATE SKIP LOCKED LIMIT " OUTBOX_BATCH ")"
					 " RETURNING key");
		count = PQntuples(rows);
		for (int i = 0; i < count; i++)
			cache_remove_later(cache, PQgetvalue(rows, i, 0),
							   PQgetlength(rows, i, 0));
		cache_flush(cache);
		PQclear(rows);
		execute(connection, "COMMIT");
		if (count == 0)
			pause_us(interval);
	}
}

/* The rows of one batch: the row as url-encoded columns, and its table. */
static void
remove_keys_of_batch(const PGresult *events)
{
	for (int i = 0; i < PQntuples(events); i++)
	{
		const char *name = PQgetvalue(events, i, 1);
		const char *data = PQgetvalue(events, i, 0);
		const char *dot = strchr(name, '.');
		const Table *table;
		char		column[MAX_KEY];
		const char *value = data;
		int			length;

		name = dot == NULL ? name : dot + 1;
		table = find_table(name, strlen(name));
		if (table == NULL)
			continue;
		length = snprintf(column, sizeof(column), "%s=", table->column);
		while (value != NULL && strncmp(value, column, length) != 0)
		{
			value = strchr(value, '&');
			value = value == NULL ? NULL : value + 1;
		}
		if (value == NULL)
			die("no column %s in \"%s\"", table->column, data);
		value += length;
		remove_key(table, value, strcspn(value, "&"));
	}
	cache_flush(cache);
}

static void
consume_pgq(const char *queue, const char *consumer, unsigned interval)
{
	PGconn	   *connection = connect_database();
	char		next[200];
	char		statement[200];

	snprintf(next, sizeof(next), "SELECT pgq.next_batch('%s', '%s')",
			 queue, consumer);
	for (;;)
	{
		PGresult   *batch = query(connection, next);
		PGresult   *events;
		const char *number = PQgetvalue(batch, 0, 0);

		if (PQgetisnull(batch, 0, 0))
		{
			PQclear(batch);
			pause_us(interval);
			continue;
		}
		snprintf(statement, sizeof(statement), "SELECT ev_data, ev_extra1"
				 " FROM pgq.get_batch_events(%s)", number);
		events = query(connection, statement);
		remove_keys_of_batch(events);
		PQclear(events);
		snprintf(statement, sizeof(statement), "SELECT pgq.finish_batch(%s)",
				 number);
		execute(connection, statement);
		PQclear(batch);
	}
}

/*
 * The value of the key's column in a part of a line, "columns" or "identity",
 * where each column is {"name":"id","type":"integer","value":42}.  NULL if the
 * line has no such part, or the column is not in it.
 */
static const char *
find_value(const Table *table, const char *line, const char *part,
		   size_t *length)
{
	char		name[MAX_KEY];
	const char *value = strstr(line, part);

	snprintf(name, sizeof(name), "\"name\":\"%s\",", table->column);
	if (value != NULL)
		value = strstr(value, name);
	if (value != NULL)
		value = strstr(value, "\"value\":");
	if (value == NULL)
		return NULL;
	value += strlen("\"value\":");
	*length = strcspn(value, ",}");
	return value;
}

/* Removes the key of the new row, and that of the old if it is another. */
static void
remove_keys_of_line(const Table *table, const char *line)
{
	size_t		new_length = 0;
	size_t		old_length = 0;
	const char *new = find_value(table, line, "\"columns\":", &new_length);
	const char *old = find_value(table, line, "\"identity\":", &old_length);

	if (new != NULL)
		remove_key(table, new, new_length);
	if (old != NULL && (new == NULL || old_length != new_length ||
						strncmp(old, new, old_length) != 0))
		remove_key(table, old, old_length);
}

/*
 * One line is one changed row (format version 2).  Answers are awaited when
 * no further line has come yet, so that none waits for the next.
 */
static void
consume_wal2json(void)
{
	struct pollfd input = {.fd = 0, .events = POLLIN};
	char	   *line = NULL;
	size_t		size = 0;

	while (getline(&line, &size, stdin) > 0)
	{
		const char *name = strstr(line, "\"table\":\"");
		const Table *table = NULL;

		if (name != NULL)
		{
			name += strlen("\"table\":\"");
			table = find_table(name, strcspn(name, "\""));
		}
		if (table != NULL)
			remove_keys_of_line(table, line);
		if (poll(&input, 1, 0) == 0)
			cache_flush(cache);
	}
	free(line);
}

int
main(int count, char **arguments)
{
	if (count < 3)
		die("usage: consumer CACHE listen|outbox|pgq|wal2json ...");
	cache = cache_open(arguments[1]);
	if (strcmp(arguments[2], "listen") == 0 && count == 4)
		consume_notifications(arguments[3]);
	else if (strcmp(arguments[2], "outbox") == 0 && count == 4)
		consume_outbox((unsigned) atoi(arguments[3]));
	else if (strcmp(arguments[2], "pgq") == 0 && count > 6)
	{
		read_tables(count - 6, arguments + 6);
		consume_pgq(arguments[3], arguments[4],
					(unsigned) atoi(arguments[5]));
	}
	else if (strcmp(arguments[2], "wal2json") == 0)
	{
		read_tables(count - 3, arguments + 3);
		consume_wal2json();
	}
	else
		die("consumer: no way to consume %s", arguments[2]);
	return 0;
}
