/*
 * relook.c
 *		Look-ups that are made once more after their transaction has committed.
 *
 * A transaction that looks keys up does so before its commit record, and cannot
 * see what others commit from then until it is visible itself (capture/looks.c).
 * So it leaves rows of the lane "look" in the outbox.  The worker of "default"
 * takes them out and makes the look-ups again; what they find that the
 * transaction has not found is queued and delivered by the worker's own
 * transaction, as that of any session.
 *
 * A query of a rule is somebody's code, so it gets a limited time, and is given
 * up when it fails; what is nobody's fault, as far as one can tell, a limited
 * number of tries.  The server log says so.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timeout.h"

#include "base/attempt.h"
#include "base/catalog.h"
#include "base/settings.h"
#include "base/transaction.h"
#include "capture/looks.h"
#include "capture/owed.h"
#include "outbox/outbox.h"
#include "outbox/read.h"
#include "outbox/tables.h"
#include "rule/carrier.h"
#include "worker/pass.h"
#include "worker/query_limit.h"
#include "worker/refusal.h"
#include "worker/relook.h"

/* So many entries, and bytes, are taken out at a time. */
#define RELOOK_ENTRIES	1000
#define RELOOK_BYTES	(1024 * 1024)

/*
 * How long the look-ups of one row may take, in ms, at the first try and at most.
 * Whoever wants to alter what they read waits so long: most take far less, and
 * one that does not should not be the first to be waited for.
 */
#define RELOOK_FIRST_TIMEOUT_MS	250
#define RELOOK_TIMEOUT_MS		5000

/* A row whose look-ups have failed so often is given up. */
#define RELOOK_TRIES	5

/* Rows found in the outbox */
typedef struct Relook
{
	MemoryContext context;		/* of what follows */
	List	   *rows;			/* of InvalOutboxRow * */
	int			entries;
	Size		bytes;
	BlockNumber block;			/* where the next one stands, in the table */
	bool		more;			/* than fits */
	TimestampTz now;
} Relook;

static TimestampTz next_whole;	/* look at all of the outbox */

/* A row in a transaction that is another's */
typedef struct RelookTry
{
	InvalOutboxRow *row;
	uint64		found;
} RelookTry;

static void relook_find(Relook *relook, bool whole);
static bool relook_visit(InvalOutboxRow *row, void *arg);
static int	relook_timeout(const InvalOutboxRow *row);
static int64 relook_id(const InvalOutboxRow *row);
static void relook_row_alone(InvalOutboxRow *row);
static void relook_row_in_transaction(void *arg);
static uint64 relook_row(InvalOutboxRow *row);
static void relook_entries(void *arg);
static void relook_failed(InvalOutboxRow *row, const ErrorData *error);
static bool relook_is_hopeless(const InvalOutboxRow *row, const ErrorData *error);
static void relook_give_up(InvalOutboxRow *row, const char *error);

/*
 * Makes the look-ups that were announced, and at intervals all that there are,
 * each row in a transaction of its own.  For the worker of "default".  Raises no
 * error for a look-up's sake.  Returns whether there were any.
 */
bool
inval_relook(void)
{
	Relook		relook = {0};
	ListCell   *lc;
	bool		any;

	relook.context = AllocSetContextCreate(TopMemoryContext, "inval relook",
										   ALLOCSET_DEFAULT_SIZES);
	relook.now = GetCurrentTimestamp();
	inval_transaction_begin();
	relook_find(&relook, relook.now >= next_whole);
	inval_transaction_commit();
	if (relook.now >= next_whole && !relook.more)
	{
		TimestampTz end = GetCurrentTimestamp();

		next_whole = TimestampTzPlusMilliseconds(end, inval_sweep_interval) +
			(end - relook.now) * INVAL_LOOK_SHARE;
	}
	any = relook.rows != NIL;
	foreach(lc, relook.rows)
	{
		CHECK_FOR_INTERRUPTS();
		relook_row_alone(lfirst(lc));
	}
	MemoryContextDelete(relook.context);
	return any;
}

/*
 * Makes all of them, as far as they are due, in the current transaction, which is
 * to deliver what they find; until a time, after which *in_time is cleared if any
 * are left.  For sessions, where there may be no worker.  Returns how many
 * invalidations were queued.
 */
uint64
inval_relook_in_transaction(TimestampTz deadline, bool *in_time)
{
	TimestampTz limit = get_timeout_active(STATEMENT_TIMEOUT) ?
		get_timeout_finish_time(STATEMENT_TIMEOUT) : 0;
	int			nest_level;
	Relook		relook = {0};
	RelookTry	try = {0};
	ListCell   *lc;

	relook.context = AllocSetContextCreate(CurrentMemoryContext, "inval relook",
										   ALLOCSET_DEFAULT_SIZES);
	relook.now = GetCurrentTimestamp();
	/* The outbox is read as ever: who waits for a table of it waits. */
	relook_find(&relook, true);
	nest_level = NewGUCNestLevel();
	inval_limit_lock_waits();
	foreach(lc, relook.rows)
	{
		TimestampTz until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
														RELOOK_TIMEOUT_MS);
		ErrorData  *error;

		CHECK_FOR_INTERRUPTS();
		if (GetCurrentTimestamp() >= deadline)
		{
			*in_time = false;
			break;
		}
		try.row = lfirst(lc);
		until = Min(until, deadline);
		if (limit == 0 || until < limit)
			enable_timeout_at(STATEMENT_TIMEOUT, until);
		error = inval_attempt_anyhow(relook_row_in_transaction, &try);
		/* It may have ended late without noticing; our caller's limit is set again. */
		if (get_timeout_indicator(STATEMENT_TIMEOUT, true))
			QueryCancelPending = false;
		if (limit != 0)
			enable_timeout_at(STATEMENT_TIMEOUT, limit);
		else
			disable_timeout(STATEMENT_TIMEOUT, false);
		if (error == NULL)
			continue;
		if (error->sqlerrcode == ERRCODE_QUERY_CANCELED && GetCurrentTimestamp() < until)
			ReThrowError(error);	/* it is we who were */
		*in_time = false;
		if (relook_is_hopeless(try.row, error))
			relook_give_up(try.row, error->message);
	}
	AtEOXact_GUC(false, nest_level);
	MemoryContextDelete(relook.context);
	return try.found;
}

/*
 * How long a row's look-ups may take this time, in ms.
 */
static int
relook_timeout(const InvalOutboxRow *row)
{
	InvalRefusal refusal;

	if (!inval_refusal_find(relook_id(row), &refusal))
		return RELOOK_FIRST_TIMEOUT_MS;
	return Min(RELOOK_TIMEOUT_MS, RELOOK_FIRST_TIMEOUT_MS << Min(2 * refusal.attempts, 10));
}

/*
 * A row as the places of refusals know it.
 */
static int64
relook_id(const InvalOutboxRow *row)
{
	return inval_outbox_entry_id(row->xid, row->first);
}

static void
relook_find(Relook *relook, bool whole)
{
	int			table;

	for (table = 0; table < INVAL_OUTBOX_KEPT; table++)
	{
		BlockNumber start = inval_outbox_take_looks(table);

		if (whole)
			start = 0;
		if (start == InvalidBlockNumber)
			continue;
		relook->block = start;
		if (!relook->more)
			(void) inval_outbox_scan(table, start, relook_visit, relook);
		if (relook->more)
			inval_outbox_leave_looks(table, relook->block);
	}
}

static bool
relook_visit(InvalOutboxRow *row, void *arg)
{
	Relook	   *relook = arg;
	InvalOutboxRow *copy;
	MemoryContext old;
	char	   *pack;

	if (row->lane != INVAL_LANE_LOOK ||
		!inval_refusal_is_due(inval_outbox_entry_id(row->xid, row->first), false,
							  relook->now))
		return true;
	relook->block = ItemPointerGetBlockNumber(&row->tid);
	if (relook->entries >= RELOOK_ENTRIES || relook->bytes >= RELOOK_BYTES)
	{
		relook->more = true;
		return false;
	}
	old = MemoryContextSwitchTo(relook->context);
	copy = palloc(sizeof(InvalOutboxRow));
	*copy = *row;
	pack = palloc(row->pack_length);
	memcpy(pack, row->pack, row->pack_length);
	copy->pack = pack;
	relook->rows = lappend(relook->rows, copy);
	MemoryContextSwitchTo(old);
	relook->entries += row->entries;
	relook->bytes += row->pack_length;
	return true;
}

/*
 * One row in a transaction of its own.  Whatever goes wrong is noted, and the
 * row tried again later.
 */
static void
relook_row_alone(InvalOutboxRow *row)
{
	MemoryContext context = CurrentMemoryContext;

	if (inval_limit_was_overrun(relook_id(row)))
	{
		inval_transaction_begin();
		relook_give_up(row, INVAL_LIMIT_OVERRUN);
		inval_transaction_commit();
		return;
	}
	PG_TRY();
	{
		inval_transaction_begin();
		inval_limit_begin(relook_id(row), relook_timeout(row));
		(void) relook_row(row);
		inval_limit_end();
		inval_transaction_commit();
		inval_refusal_forget(relook_id(row));
	}
	PG_CATCH();
	{
		ErrorData  *error = inval_limit_caught(context);

		relook_failed(row, error);
		FreeErrorData(error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	inval_limit_forget_locks();
}

static void
relook_row_in_transaction(void *arg)
{
	RelookTry  *try = arg;

	try->found += relook_row(try->row);
}

/*
 * Takes a row out of the outbox, unless somebody else has, and makes its look-ups.
 * Returns how many invalidations they have queued.
 */
static uint64
relook_row(InvalOutboxRow *row)
{
	Relation	relation = inval_outbox_open(row->table, RowExclusiveLock);
	bool		ours = relation != NULL && inval_outbox_delete(relation, row);
	RelookTry	try = {row, 0};
	ErrorData  *error;

	if (relation != NULL)
		relation_close(relation, NoLock);
	if (!ours)
		return 0;
	error = inval_attempt(relook_entries, &try);
	if (error == NULL)
		return try.found;
	ereport(LOG,
			(errmsg("inval: a look-up has failed after the commit: %s", error->message),
			 errdetail("What it would have found beyond what was found before is not removed.")));
	return 0;
}

static void
relook_entries(void *arg)
{
	RelookTry  *try = arg;
	const char *place = try->row->pack;
	const char *end = place + try->row->pack_length;

	while (place != NULL && place < end)
	{
		InvalEntry	look;

		CHECK_FOR_INTERRUPTS();
		place = inval_entry_read(place, end, &look);
		if (place != NULL)
			try->found += inval_looks_again(&look);
	}
}

/*
 * A row was not looked up: it is tried again after a pause, or given up.
 */
static void
relook_failed(InvalOutboxRow *row, const ErrorData *error)
{
	if (!relook_is_hopeless(row, error))
		return;
	inval_transaction_begin();
	relook_give_up(row, error->message);
	inval_transaction_commit();
}

/*
 * Notes that something that is no rule's fault, as far as one can tell, kept a row
 * from being looked up.  Returns whether that was so too often, unless it is a lock,
 * which somebody will give back.
 */
static bool
relook_is_hopeless(const InvalOutboxRow *row, const ErrorData *error)
{
	InvalRefusal refusal;

	inval_refusal_note(relook_id(row), error->message);
	return error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE &&
		(!inval_refusal_find(relook_id(row), &refusal) || refusal.attempts >= RELOOK_TRIES);
}

/*
 * Takes a row out of the outbox without looking anything up, which is counted.
 * In a transaction.
 */
static void
relook_give_up(InvalOutboxRow *row, const char *error)
{
	Relation	relation = inval_outbox_open(row->table, RowExclusiveLock);
	const char *place = row->pack;
	const char *end = place + row->pack_length;

	ereport(LOG,
			(errmsg("inval: a look-up is given up: %s", error),
			 errdetail("What it would have found beyond what was found before is not removed.")));
	if (relation != NULL)
	{
		(void) inval_outbox_delete(relation, row);
		relation_close(relation, NoLock);
	}
	inval_refusal_forget(relook_id(row));
	while (place != NULL && place < end)
	{
		const InvalDefinition *definition = NULL;
		InvalEntry	look;

		place = inval_entry_read(place, end, &look);
		if (place != NULL)
			definition = inval_carrier_find((int32) look.rule);
		if (definition != NULL)
			inval_owed_count_unasked(definition);
	}
}
