/*
 * rows.c
 *		The rows, and where each is between the database and Redis.
 *
 * A row that was seen to be gone from Redis is cached again, with the stamp it
 * has; only then, as a rule, is it changed again.  So each commit has a witness:
 * an older value that stays in Redis if nobody removes it.  Two things must hold
 * for that to prove anything.  A row is never cached again while a commit of
 * its is owed, which would hide a loss.  And it is never changed while a SET
 * of its may still be on its way, which would look like one.
 *
 * A few rows of each committer are changed more often, gone or not.
 */
#include <stdlib.h>

#include "common.h"
#include "load.h"

/* Of its rows each committer changes that many often: one commit in twenty. */
#define HOT_ROWS	10

static Row *rows;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* Rows that the reader has to do something about, each once. */
static int *pending;
static int	pending_count;

void
rows_make(void)
{
	rows = calloc(settings.rows, sizeof(Row));
	pending = calloc(settings.rows, sizeof(int));
	for (int i = 0; i < settings.rows; i++)
	{
		/* One in five is left to the worker. */
		rows[i].kind = i / settings.committers % 5 == 4 ? IN_BACKGROUND : AT_COMMIT;
		rows[i].queued = true;
		pending[pending_count++] = i;
	}
}

const char *
rows_table(Kind kind)
{
	static const char *const names[KINDS] = {
		"at_commit", "in_background", "untracked"
	};

	return names[kind];
}

int
rows_id(int row)
{
	return row + 1;
}

int
rows_of_id(int id)
{
	return id - 1;
}

Kind
rows_kind(int row)
{
	return rows[row].kind;
}

/* For the row's committer, who has it. */
int
rows_stamp(int row)
{
	return rows[row].stamp;
}

/* The reader is to look at this row. */
static void
queue_row(int row)
{
	if (rows[row].queued)
		return;
	rows[row].queued = true;
	pending[pending_count++] = row;
}

/* The next of the committer's rows in that state, or -1. */
static int
find_row(Committer *committer, RowState state)
{
	int			mine = settings.rows / settings.committers;

	for (int i = 0; i < mine; i++)
	{
		int			number = (committer->next + i) % mine;
		int			row = number * settings.committers + committer->number;

		if (rows[row].state == state)
		{
			committer->next = number + 1;
			return row;
		}
	}
	return -1;
}

int
rows_take(Committer *committer)
{
	int			row = -1;

	pthread_mutex_lock(&lock);
	if (rand_r(&committer->random) % 20 == 0)
	{
		row = rand_r(&committer->random) % HOT_ROWS * settings.committers +
			committer->number;
		if (rows[row].state != CACHED && rows[row].state != OWED)
			row = -1;
	}
	if (row < 0)
		row = find_row(committer, CACHED);
	if (row < 0)
		row = find_row(committer, OWED);
	if (row >= 0)
		rows[row].state = CHANGING;
	pthread_mutex_unlock(&lock);
	return row;
}

/* The state of a row whose committer leaves it: the reader is to look at it. */
static void
settle_state(int row)
{
	rows[row].state = rows[row].owed != NULL ? OWED : GONE;
	queue_row(row);
}

void
rows_give_back(int row, Commit *commit)
{
	pthread_mutex_lock(&lock);
	if (commit != NULL)
	{
		commit->next = rows[row].owed;
		rows[row].owed = commit;
		rows[row].stamp = commit->stamp;
	}
	settle_state(row);
	pthread_mutex_unlock(&lock);
}

void
rows_resync(Committer *committer, int row, int stamp)
{
	pthread_mutex_lock(&lock);
	if (stamp < rows[row].stamp)
	{
		for (int i = 0; i < committer->count; i++)
		{
			Commit	   *commit = committer->commits[i];

			if (commit->row == row && commit->stamp > stamp)
				commit->undone = true;
		}
		for (Commit **link = &rows[row].owed; *link != NULL;)
		{
			if ((*link)->undone)
				*link = (*link)->next;
			else
				link = &(*link)->next;
		}
		if (rows[row].state == OWED)
			settle_state(row);
	}
	rows[row].stamp = stamp;
	pthread_mutex_unlock(&lock);
}

/* The rows of the list that are in that state. */
static int
collect(Look *looks, int limit, RowState state)
{
	int			count = 0;

	for (int i = 0; i < pending_count && count < limit; i++)
	{
		Row		   *row = &rows[pending[i]];

		if (row->state == state)
			looks[count++] = (Look) {pending[i], row->stamp, NO_ANSWER};
	}
	return count;
}

/* Forgets the rows that need nothing. */
static void
tidy_pending(void)
{
	int			kept = 0;

	for (int i = 0; i < pending_count; i++)
	{
		Row		   *row = &rows[pending[i]];

		if (row->state == CACHED || row->state == UNSURE)
			row->queued = false;
		else
			pending[kept++] = pending[i];
	}
	pending_count = kept;
}

int
rows_owed(Look *looks, int limit)
{
	int			count;

	pthread_mutex_lock(&lock);
	tidy_pending();
	count = collect(looks, limit, OWED);
	pthread_mutex_unlock(&lock);
	return count;
}

int
rows_to_cache(Look *looks, int limit)
{
	int			count;

	pthread_mutex_lock(&lock);
	count = collect(looks, limit, GONE);
	for (int i = 0; i < count; i++)
		rows[looks[i].row].state = CACHING;
	pthread_mutex_unlock(&lock);
	return count;
}

void
rows_looked(const Look *look, double when)
{
	Row		   *row = &rows[look->row];
	int			proof = look->held == NO_VALUE ? look->stamp : look->held;

	if (look->held == NO_ANSWER)
		return;
	pthread_mutex_lock(&lock);
	for (Commit **link = &row->owed; *link != NULL;)
	{
		Commit	   *commit = *link;

		if (commit->stamp <= proof)
		{
			commit->gone = when;
			*link = commit->next;
		}
		else
			link = &commit->next;
	}
	if (row->state == OWED && row->owed == NULL)
		row->state = GONE;
	pthread_mutex_unlock(&lock);
}

void
rows_cached(const Look *look)
{
	Row		   *row = &rows[look->row];

	pthread_mutex_lock(&lock);
	if (look->held >= 0)
		row->state = CACHED;
	else
		row->state = look->held == NO_VALUE ? GONE : UNSURE;
	pthread_mutex_unlock(&lock);
}

static bool
any_row(RowState one, RowState other)
{
	bool		found = false;

	pthread_mutex_lock(&lock);
	for (int i = 0; i < settings.rows && !found; i++)
		found = rows[i].state == one || rows[i].state == other;
	pthread_mutex_unlock(&lock);
	return found;
}

bool
rows_all_cached(void)
{
	return !any_row(GONE, CACHING);
}

bool
rows_nothing_owed(void)
{
	return !any_row(OWED, CHANGING);
}
