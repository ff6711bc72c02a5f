/*
 * load.h
 *		The load: who changes rows, who reads keys, who looks at the queue.
 */
#ifndef CONSIST_LOAD_H
#define CONSIST_LOAD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <libpq-fe.h>

#include "cache.h"
#include "history.h"

/* What the command line says. */
typedef struct Settings
{
	const char *redis;			/* where it is, see cache.h */
	int			readers;
	int			writers;
	int			rate;			/* transactions a second, of all writers */
	bool		plain;			/* readers know of GET and SET only */
	bool		snapshot_first; /* readers break the first rule of readers */
	int			ttl_ms;
	int			stale_ms;
	int			early_ms;
	int			slow;			/* fills of a thousand that take long */
	int			slow_ms;		/* how long: up to this, */
	int			slowest_ms;		/* and a tenth of them up to this */
	int			short_lease_ms; /* that long are the leases of one reader in
								 * four; 0: as those of the others */
	unsigned	seed;
} Settings;

extern Settings settings;

#define LEASE_MS	5000

/* A thread of any kind. */
typedef struct Worker
{
	pthread_t	thread;
	int			number;			/* among those of its kind */
	unsigned	random;
	PGconn	   *connection;		/* NULL: there is none now */
	Cache	   *cache;
	History		history;
} Worker;

extern void *writer_run(void *worker);
extern void *reader_run(void *worker);
extern void *monitor_run(void *worker);

/* A row whose change is about to be committed, or was just now. */
extern atomic_int last_changed;

/* A number below that. */
extern int	random_below(Worker *worker, int limit);

/* --- gate.c --- */

/*
 * To be called between two operations: waits while all are to stand still.
 * False: it is over.
 */
extern bool gate_pass(void);

/* Whether threads that wait for something should rather come to the gate. */
extern bool gate_is_closed(void);

/* Of so many threads; returns when all of them stand still. */
extern void gate_close(int threads);
extern void gate_open(void);

/* Opens it for the last time. */
extern void gate_end(void);

/*
 * A connection, made anew if need be; NULL if there is none just now.  The
 * callback prepares what the thread needs there.
 */
extern PGconn *worker_database(Worker *worker, bool (*prepare) (PGconn *));

/* To be called when a statement failed: forgets a connection that is broken. */
extern void worker_failed(Worker *worker);

extern bool is_good(const PGresult *result);

/* Prepares a statement for each kind of row or key, named by the letter and its number. */
extern bool prepare_kinds(PGconn *connection, char letter, const char *(*text) (Kind));

#endif
