/*
 * progress.c
 *		How far work is that takes long, for others to see.
 *
 * Who begins such work takes a place in shared memory, says there from time to time how
 * far it is, and gives it back.  An error gives back what was taken within it, the end
 * of a transaction or of a process what it has left; a place of a process that is gone is
 * anybody's.  Where all places are taken the work is done unseen: nothing depends on it.
 *
 * A session is told the same by a NOTICE, if it lasts.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/procarray.h"
#include "utils/timestamp.h"

#include "base/progress.h"
#include "base/settings.h"
#include "base/shared.h"

/* So much of a process's work can be seen at once. */
#define PROGRESS_MINE		4

static InvalSharedArea progress_area = {
	.element_size = sizeof(InvalProgress),
	.layout = 1,
	.preloaded = 64,
	.reserve = 8
};

/* What this process has begun */
typedef struct ProgressMine
{
	InvalProgress *place;		/* NULL: nothing */
	int			level;			/* of transactions, in which it was begun */
	TimestampTz told;			/* when the client was last told */
} ProgressMine;

static ProgressMine mine[PROGRESS_MINE];
static bool leaves = false;		/* the end of the process gives back what is taken */

static InvalProgress *progress_claim(const InvalProgress *wanted);
static bool progress_is_free(const InvalProgress *place);
static void progress_free(ProgressMine *own);
static void progress_tell(ProgressMine *own, TimestampTz now);
static void progress_xact_callback(XactEvent event, void *arg);
static void progress_subxact_callback(SubXactEvent event, SubTransactionId mine_id,
									  SubTransactionId parent, void *arg);
static void progress_exit(int code, Datum arg);

/*
 * Called by _PG_init.
 */
void
inval_progress_init(void)
{
	inval_shared_add(&progress_area);
	RegisterXactCallback(progress_xact_callback, NULL);
	RegisterSubXactCallback(progress_subxact_callback, NULL);
}

/*
 * Says that work begins: what it is, for which target (NULL: none), and how much there
 * is to be done (-1: not known).  Returns a handle for the functions below, NULL if
 * nobody will see it, which they take, too.  It is good until inval_progress_end, or
 * an error out of the subtransaction, or the end of the transaction, if there is one.
 */
InvalProgress *
inval_progress_begin(const char *operation, const char *target, int64 total)
{
	InvalProgress wanted = {0};
	InvalProgress *place;
	int			i;

	for (i = 0; i < PROGRESS_MINE && mine[i].place != NULL; i++)
		;
	if (i == PROGRESS_MINE)
		return NULL;
	wanted.pid = MyProcPid;
	wanted.process_start = MyStartTimestamp;
	wanted.database = MyDatabaseId;
	strlcpy(wanted.operation, operation, sizeof(wanted.operation));
	strlcpy(wanted.target, target != NULL ? target : "", sizeof(wanted.target));
	wanted.total = total;
	wanted.started_at = GetCurrentTimestamp();
	place = progress_claim(&wanted);
	mine[i].place = place;
	mine[i].level = GetCurrentTransactionNestLevel();
	mine[i].told = wanted.started_at;
	return place;
}

/*
 * Takes a place that is free, or left behind.  Whether others are gone is asked only
 * where none is free, and not with the mutex held.
 */
static InvalProgress *
progress_claim(const InvalProgress *wanted)
{
	InvalProgress *places = inval_shared_elements(&progress_area);
	slock_t    *mutex = inval_shared_mutex();
	uint32		turn;

	/* Not before_shmem_exit, of which PG_ENSURE_ERROR_CLEANUP wants its own last. */
	if (!leaves)
		on_shmem_exit(progress_exit, (Datum) 0);
	leaves = true;
	for (turn = 0; turn < progress_area.count * 2; turn++)
	{
		InvalProgress *place = &places[turn % Max(progress_area.count, 1)];
		int			pid = place->pid;
		bool		taken = false;

		if (pid != 0 && (turn < progress_area.count || !progress_is_free(place)))
			continue;
		SpinLockAcquire(mutex);
		if (place->pid == pid)
		{
			*place = *wanted;
			taken = true;
		}
		SpinLockRelease(mutex);
		if (taken)
			return place;
	}
	return NULL;
}

/*
 * Whether the process that took a place is gone.
 */
static bool
progress_is_free(const InvalProgress *place)
{
	if (place->pid == MyProcPid)
		return place->process_start != MyStartTimestamp;
	return BackendPidGetProc(place->pid) == NULL;
}

/*
 * Says how much is done, of all that there is.  May tell the client.
 */
void
inval_progress_update(InvalProgress *progress, int64 done)
{
	slock_t    *mutex = inval_shared_mutex();
	TimestampTz now;
	int			i;

	if (progress == NULL)
		return;
	SpinLockAcquire(mutex);
	progress->done = done;
	if (progress->total >= 0 && done > progress->total)
		progress->total = done;
	SpinLockRelease(mutex);
	if (inval_progress_interval < 0 || MyBackendType != B_BACKEND)
		return;
	now = GetCurrentTimestamp();
	for (i = 0; i < PROGRESS_MINE; i++)
		if (mine[i].place == progress &&
			TimestampDifferenceExceeds(mine[i].told, now, inval_progress_interval))
			progress_tell(&mine[i], now);
}

static void
progress_tell(ProgressMine *own, TimestampTz now)
{
	const InvalProgress *place = own->place;
	char		total[32] = "";
	char		target[INVAL_PROGRESS_NAME_LEN + 16] = "";

	own->told = now;
	if (place->total >= 0)
		snprintf(total, sizeof(total), " of %lld", (long long) place->total);
	if (place->target[0] != '\0')
		snprintf(target, sizeof(target), " of target \"%s\"", place->target);
	ereport(NOTICE,
			(errmsg("inval %s%s: %lld%s%s%s", place->operation, target,
					(long long) place->done, total, place->detail[0] ? ", " : "",
					place->detail)));
}

/*
 * Says more of it: which table, how far a search is.  Nothing that may be a key.
 */
void
inval_progress_detail(InvalProgress *progress, const char *detail)
{
	slock_t    *mutex = inval_shared_mutex();

	if (progress == NULL)
		return;
	SpinLockAcquire(mutex);
	strlcpy(progress->detail, detail, sizeof(progress->detail));
	SpinLockRelease(mutex);
}

/*
 * Says that it is done.
 */
void
inval_progress_end(InvalProgress *progress)
{
	int			i;

	for (i = 0; i < PROGRESS_MINE; i++)
		if (progress != NULL && mine[i].place == progress)
			progress_free(&mine[i]);
}

/*
 * Cannot fail.
 */
static void
progress_free(ProgressMine *own)
{
	slock_t    *mutex = inval_shared_mutex();

	SpinLockAcquire(mutex);
	own->place->pid = 0;
	SpinLockRelease(mutex);
	own->place = NULL;
}

static void
progress_xact_callback(XactEvent event, void *arg)
{
	int			i;

	(void) arg;
	if (event == XACT_EVENT_PRE_COMMIT || event == XACT_EVENT_PRE_PREPARE ||
		event == XACT_EVENT_PARALLEL_PRE_COMMIT)
		return;
	for (i = 0; i < PROGRESS_MINE; i++)
		if (mine[i].place != NULL && mine[i].level > 0)
			progress_free(&mine[i]);
}

static void
progress_subxact_callback(SubXactEvent event, SubTransactionId mine_id,
						  SubTransactionId parent, void *arg)
{
	int			level = GetCurrentTransactionNestLevel();
	int			i;

	(void) mine_id;
	(void) parent;
	(void) arg;
	if (event != SUBXACT_EVENT_ABORT_SUB)
		return;
	for (i = 0; i < PROGRESS_MINE; i++)
		if (mine[i].place != NULL && mine[i].level >= level)
			progress_free(&mine[i]);
}

static void
progress_exit(int code, Datum arg)
{
	int			i;

	(void) code;
	(void) arg;
	for (i = 0; i < PROGRESS_MINE; i++)
		if (mine[i].place != NULL)
			progress_free(&mine[i]);
}

/*
 * Copies of all that is under way in this database, by processes that are there, in
 * the current memory context.
 */
InvalProgress *
inval_progress_copies(int *count)
{
	InvalProgress *places = inval_shared_elements(&progress_area);
	slock_t    *mutex = inval_shared_mutex();
	InvalProgress *copies = palloc(progress_area.count * sizeof(InvalProgress));
	uint32		i;

	*count = 0;
	for (i = 0; i < progress_area.count; i++)
	{
		InvalProgress *copy = &copies[*count];

		SpinLockAcquire(mutex);
		*copy = places[i];
		SpinLockRelease(mutex);
		if (copy->pid != 0 && copy->database == MyDatabaseId && !progress_is_free(copy))
			(*count)++;
	}
	return copies;
}
