/*
 * common.h
 *		What the programs of the benchmark share: ending, time, libpq.
 */
#ifndef BENCH_COMMON_H
#define BENCH_COMMON_H

#include <stdint.h>
#include <stdnoreturn.h>

#include <libpq-fe.h>

/* Microseconds of a clock that only goes forward. */
extern double now_us(void);

/* Sleeps at least that long. */
extern void pause_us(unsigned microseconds);

/* Prints the message and ends the program with status 1. */
extern noreturn void die(const char *format,...)
			__attribute__((format(printf, 1, 2)));

/*
 * A connection as the environment describes it (PGHOST, PGPORT, PGDATABASE,
 * PGUSER, PGOPTIONS).  Ends the program if there is none.
 */
extern PGconn *connect_database(void);

/* Runs a statement without parameters; ends the program if it fails. */
extern void execute(PGconn *connection, const char *statement);

/* As execute, with rows for the caller to clear. */
extern PGresult *query(PGconn *connection, const char *statement);

extern void prepare(PGconn *connection, const char *name,
					const char *statement);

/* Runs a prepared statement with integers; ends the program if it fails. */
extern void execute_prepared(PGconn *connection, const char *name,
							 int count, const int *values);

#endif
