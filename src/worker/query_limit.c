/*
 * query_limit.c
 *		Queries of rules that a worker runs, and how long they may take.
 *
 * A query of a rule is somebody's code.  It gets a limited time; if a function in it
 * catches that it is canceled, the process ends, which nobody can catch, and whoever
 * comes after it is told by a note (refusal.h) to give up what the query was for.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lock.h"
#include "utils/guc.h"
#include "utils/timeout.h"

#include "worker/query_limit.h"
#include "worker/refusal.h"

/* A function that catches the cancellation costs us the process after so long, in ms. */
#define OVERRUN_MS	10000

/*
 * We hold locks, weak ones, while we wait for others: so briefly that nobody
 * else looks for a deadlock meanwhile.
 */
#define LOCK_TIMEOUT_TEXT	"5ms"

static int64 running;			/* what a query is for, as an entry's number; 0: none runs */
static int	running_level;		/* of settings */
static volatile sig_atomic_t overrun = false;
static TimeoutId overrun_timeout = MAX_TIMEOUTS;

static void limit_stop(void);
static void limit_watch(void);
static void limit_overrun(void);
static void limit_on_exit(int code, Datum arg);

/*
 * Lets the transaction wait for locks only briefly, until its settings are put back.
 */
void
inval_limit_lock_waits(void)
{
	(void) set_config_option("lock_timeout", LOCK_TIMEOUT_TEXT, PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

/*
 * Whether a query for an entry, by its number, has cost a process before.
 */
bool
inval_limit_was_overrun(int64 id)
{
	InvalRefusal refusal;

	return inval_refusal_find(id, &refusal) && strcmp(refusal.error, INVAL_LIMIT_OVERRUN) == 0;
}

/*
 * Begins what may take so long, for an entry, in a transaction of a worker's own that
 * has just begun.  inval_limit_end must follow before that ends, or, after an error,
 * inval_limit_caught.
 */
void
inval_limit_begin(int64 id, int timeout_ms)
{
	limit_watch();
	running = id;
	running_level = NewGUCNestLevel();
	inval_limit_lock_waits();
	enable_timeout_after(overrun_timeout, timeout_ms + OVERRUN_MS);
	enable_timeout_after(STATEMENT_TIMEOUT, timeout_ms);
}

void
inval_limit_end(void)
{
	limit_stop();
	AtEOXact_GUC(false, running_level);
}

/*
 * After an error, in PG_CATCH: ends that as well, and the transaction.  Returns the
 * error, in the memory context.
 */
ErrorData *
inval_limit_caught(MemoryContext context)
{
	ErrorData  *error;

	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	FlushErrorState();
	limit_stop();
	AbortCurrentTransaction();
	return error;
}

/*
 * A query may have ended without noticing that its time is over: then that concerns
 * nobody any more, least of all what we do next, which would end with an error.  If it
 * has cost us the process, that is what the next one must be told.
 */
static void
limit_stop(void)
{
	disable_timeout(STATEMENT_TIMEOUT, false);
	disable_timeout(overrun_timeout, false);
	QueryCancelPending = false;
	if (!overrun)
		running = 0;
}

/*
 * Gives back what a query may have locked beyond its transaction.  A session keeps
 * its advisory locks until it ends, which a worker does not: they would be held for
 * good.
 */
void
inval_limit_forget_locks(void)
{
	LockReleaseAll(USER_LOCKMETHOD, true);
}

/*
 * Sees to it that a query that catches its cancellation does not keep this process
 * for ever.
 */
static void
limit_watch(void)
{
	if (overrun_timeout != MAX_TIMEOUTS)
		return;
	overrun_timeout = RegisterTimeout(USER_TIMEOUT, limit_overrun);
	before_shmem_exit(limit_on_exit, (Datum) 0);
}

/*
 * Timeout handler: what nobody can catch.
 */
static void
limit_overrun(void)
{
	overrun = true;
	ProcDiePending = true;
	InterruptPending = true;
}

/*
 * The next process must know.
 */
static void
limit_on_exit(int code, Datum arg)
{
	(void) code;
	(void) arg;
	if (overrun && running != 0)
		inval_refusal_note(running, INVAL_LIMIT_OVERRUN);
}
