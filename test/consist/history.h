/*
 * history.h
 *		What was done, by whom it was done: one list for each thread.
 *
 * Every time is one of CLOCK_MONOTONIC, which all threads share.  An operation
 * has the time before its first byte was sent and that after its last byte had
 * come: what it did, it did in between.
 */
#ifndef CONSIST_HISTORY_H
#define CONSIST_HISTORY_H

#include <stddef.h>
#include <stdint.h>

#include "world.h"

/* Nanoseconds. */
typedef int64_t Time;

extern Time time_now(void);

/* How one came to know what a row is. */
typedef enum How
{
	RETURNED,					/* a commit of it returned to its client */
	SEEN						/* a query of the database had it */
} How;

/* From now (the end of the operation) on, a row has at least this version. */
typedef struct Fact
{
	Time		when;
	int			version;
	short		row;
	short		how;
} Fact;

/* Where a value came from. */
typedef enum Source
{
	HIT,						/* Redis, as a hit */
	STALE						/* Redis, with the words fill or wait */
} Source;

/* A read that had a value from the cache. */
typedef struct Read
{
	Time		begin;
	Time		end;
	int			versions[PARTS];
	short		key;
	short		source;
} Read;

/* A look at the queue: all keys that were in it between two moments. */
typedef struct Look
{
	Time		begin;
	Time		end;
	uint64_t	queued;			/* set of keys */
} Look;

/* What a thread has counted. */
typedef struct Counts
{
	long		reads;			/* answered, from wherever */
	long		hits;
	long		stale;
	long		from_database;
	long		bypasses;
	long		errors;			/* Redis or the database gave none */
	long		stored;
	long		refused;		/* fills that came too late */
	long		slow;			/* fills that were made to take long */
	long		commits;
	long		rollbacks;
	long		failed;			/* transactions that the server did not take */
	long		looks;
} Counts;

typedef struct History
{
	Fact	   *facts;
	size_t		facts_count;
	size_t		facts_room;
	Read	   *reads;
	size_t		reads_count;
	size_t		reads_room;
	Look	   *looks;
	size_t		looks_count;
	size_t		looks_room;
	Counts		counts;
} History;

extern void history_fact(History *history, int row, int version, How how, Time when);
extern void history_read(History *history, const Read *read);
extern void history_look(History *history, const Look *look);

/* Forgets everything but the counts. */
extern void history_clear(History *history);

extern void counts_add(Counts *sum, const Counts *counts);

#endif
