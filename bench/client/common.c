/*
 * common.c
 *		What the programs of the benchmark share: ending, time, libpq.
 *
 * A program that meets an error ends: a measurement with errors in it is none.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common.h"

#define MAX_PARAMETERS	4

double
now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1e6 + now.tv_nsec / 1e3;
}

void
pause_us(unsigned microseconds)
{
	struct timespec pause = {
		.tv_sec = microseconds / 1000000,
		.tv_nsec = microseconds % 1000000 * 1000L
	};

	nanosleep(&pause, NULL);
}

void
die(const char *format,...)
{
	va_list		arguments;

	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	exit(1);
}

PGconn *
connect_database(void)
{
	PGconn	   *connection = PQconnectdb("");

	if (PQstatus(connection) != CONNECTION_OK)
		die("could not connect: %s", PQerrorMessage(connection));
	return connection;
}

/* Ends the program unless the result is a good one; returns it. */
static PGresult *
check(PGconn *connection, PGresult *result)
{
	ExecStatusType status = PQresultStatus(result);

	if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
		die("%s", PQerrorMessage(connection));
	return result;
}

void
execute(PGconn *connection, const char *statement)
{
	PQclear(query(connection, statement));
}

PGresult *
query(PGconn *connection, const char *statement)
{
	return check(connection, PQexec(connection, statement));
}

void
prepare(PGconn *connection, const char *name, const char *statement)
{
	PQclear(check(connection,
				  PQprepare(connection, name, statement, 0, NULL)));
}

void
execute_prepared(PGconn *connection, const char *name,
				 int count, const int *values)
{
	char		text[MAX_PARAMETERS][16];
	const char *parameters[MAX_PARAMETERS];

	for (int i = 0; i < count; i++)
	{
		snprintf(text[i], sizeof(text[i]), "%d", values[i]);
		parameters[i] = text[i];
	}
	PQclear(check(connection,
				  PQexecPrepared(connection, name, count, parameters,
								 NULL, NULL, 0)));
}
