/*
 * roster.h
 *		Which workers there are, and which are wanted.
 */
#ifndef INVAL_ROSTER_H
#define INVAL_ROSTER_H

#include "nodes/pg_list.h"
#include "postmaster/bgworker.h"
#include "utils/timestamp.h"

/* A worker that runs, or might: one for each target of a database */
typedef struct InvalRosterKey
{
	Oid			database;
	int32		target;			/* its number; 0: "default" */
} InvalRosterKey;

typedef struct InvalRosterWorker
{
	InvalRosterKey key;
	bool		exists;			/* at the last look at pg_database; target */
	bool		visited;		/* a worker was there since the server started */
	BackgroundWorkerHandle *handle; /* NULL: none is running */
	TimestampTz not_before;		/* of the next start */
	TimestampTz since;			/* it waits for a place; 0: it does not */

	/* As shared memory has it */
	bool		asked;			/* somebody asks for it: it is no mere visit */
	bool		present;		/* one is there, whoever has started it */
	bool		left;			/* the last one has left, to come back at: */
	TimestampTz visit_at;
	TimestampTz hold_until;		/* of a database, in the entry of "default" */
} InvalRosterWorker;

extern void inval_roster_init(void);
extern bool inval_roster_meets_new_database(void);
extern void inval_roster_read_databases(void);
extern List *inval_roster_take_stock(int *running, int *leaving, bool *ended,
									 long *timeout);
extern void inval_roster_say_visit(const InvalRosterWorker *db, TimestampTz visit_at);
extern bool inval_roster_database_exists(InvalRosterWorker *db);

#endif							/* INVAL_ROSTER_H */
