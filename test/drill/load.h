/*
 * load.h
 *		The load of the drills: rows, what was committed to them, who does it.
 *
 * A row's key holds, as its value, the stamp that the row had when a reader
 * cached it.  Every commit gives its row a stamp that is larger than all
 * before.  So a value that is smaller than the row's stamp is stale, whatever
 * happened in between, and whoever looks at both can tell.
 */
#ifndef DRILL_LOAD_H
#define DRILL_LOAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* The three tables: who removes a key, if anybody. */
typedef enum Kind
{
	AT_COMMIT,
	IN_BACKGROUND,
	UNTRACKED,					/* has no rule: what a commit costs without */
	KINDS
} Kind;

/* One commit that the database has confirmed. */
typedef struct Commit
{
	double		returned;		/* when its client had the answer, us */
	double		latency;		/* from sending the statement to that, us; -1
								 * if the answer was lost with the server */
	double		gone;			/* when a look at the key found it absent or
								 * not older than this commit; 0: never */
	int			row;			/* index into rows; -1: an untracked one */
	int			stamp;
	Kind		kind;
	bool		undone;			/* the server that took over has it not */
	struct Commit *next;		/* the next one that its row is owed */
} Commit;

/*
 * CACHED, OWED: may be changed.  All others belong to whom the comment names.
 */
typedef enum RowState
{
	GONE,						/* the reader: to be cached again */
	CACHING,					/* the reader: a SET is under way */
	CACHED,						/* Redis has the row's stamp */
	CHANGING,					/* its committer: a commit is under way */
	OWED,						/* Redis may have an older stamp */
	UNSURE						/* nobody: a SET without an answer, which may
								 * still arrive; the row stays as it is */
} RowState;

typedef struct Row
{
	RowState	state;
	Kind		kind;
	int			stamp;			/* the row's in the database, as far as we know */
	bool		queued;			/* the reader has it in its list */
	Commit	   *owed;			/* commits whose key was not yet seen gone */
} Row;

/* A client that commits, in a thread of its own; its rows are nobody else's. */
typedef struct Committer
{
	pthread_t	thread;
	int			number;
	unsigned	random;
	int			next;			/* where it looks for a row to change */
	Commit	  **commits;
	int			count;
	int			room;
	int			reconnects;
	int			refused;		/* statements that failed, connection intact */
} Committer;

/* What the command line says. */
typedef struct Settings
{
	int			rows;			/* tracked ones; a multiple of committers */
	double		rate;			/* tracked commits a second, all together */
	int			committers;
	double		settle;			/* seconds to wait for the last keys */
} Settings;

extern Settings settings;

/* --- rows.c: all under one lock --- */

extern void rows_make(void);
extern const char *rows_table(Kind kind);
extern int	rows_id(int row);
extern int	rows_of_id(int id);
extern Kind rows_kind(int row);
extern int	rows_stamp(int row);

/* Takes a row of this committer to change it; -1 if there is none just now. */
extern int	rows_take(Committer *committer);

/*
 * Gives it back: the commit is owed, or (NULL) there was none.  Of a commit that
 * nobody confirmed the caller knows from rows_stamp, after rows_resync.
 */
extern void rows_give_back(int row, Commit *commit);

/*
 * The database says that the row has this stamp, which is true of another
 * server than before, or after an answer was lost.
 */
extern void rows_resync(Committer *committer, int row, int stamp);

/* A look of the reader at a row: what its key held at that time. */
typedef struct Look
{
	int			row;
	int			stamp;			/* the newest one that the row was owed */
	int			held;			/* what the key holds: NO_VALUE, NO_ANSWER */
} Look;

#define NO_VALUE	(-1)
#define NO_ANSWER	(-2)

/* Rows to look at or to cache again, up to limit; returns how many. */
extern int	rows_owed(Look *looks, int limit);
extern int	rows_to_cache(Look *looks, int limit);

/* What came of it.  After a SET, held is the stamp, NO_VALUE (refused), or NO_ANSWER. */
extern void rows_looked(const Look *look, double when);
extern void rows_cached(const Look *look);

extern bool rows_all_cached(void);
extern bool rows_nothing_owed(void);

/* --- committer.c --- */

extern void *committer_run(void *argument);
extern void committers_stop(void);

/* --- reader.c --- */

extern void *reader_run(void *argument);
extern void reader_stop(void);

#endif
