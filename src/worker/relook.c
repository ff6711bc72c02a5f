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
#include "outbox/outbox.h"
#include "outbox/read.h"
#include "outbox/tables.h"
#include "worker/refusal.h"
#include "worker/relook.h"

/* So many entries, and bytes, are taken out at a time. */
#define RELOOK_ENTRIES	1000
#define RELOOK_BYTES	(1024 * 1024)

/* How long the look-ups of one row may take, in ms */
#define RELOOK_TIMEOUT_MS	5000

/*
 * We hold locks, weak ones, while we wait for others: so briefly that nobody
 * else looks for a deadlock meanwhile.
 */
#define RELOOK_LOCK_TIMEOUT	"5ms"

/* A row whose look-ups have failed so often is given up. */
#define RELOOK_TRIES	5

/* A look at all of the outbox takes that share of the time. */
#define LOOK_SHARE		50

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

static void relook_find(Relook *relook, bool whole);
static bool relook_visit(InvalOutboxRow *row, void *arg);
static void relook_row_alone(InvalOutboxRow *row);
static bool relook_row(InvalOutboxRow *row);
static void relook_entries(void *arg);
static void relook_failed(InvalOutboxRow *row, const ErrorData *error);

/*
 * Makes the look-ups that were announced, and at intervals all that there are,
 * each row in a transaction of its own.  For the worker of "default".  Raises no
 * error for a look-up's sake.
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
			(end - relook.now) * LOOK_SHARE;
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
 * Makes all of them in the current transaction, which is to deliver what they
 * find.  For sessions, where there may be no worker.
 */
bool
inval_relook_in_transaction(void)
{
	Relook		relook = {0};
	ListCell   *lc;
	bool		any;

	relook.context = AllocSetContextCreate(CurrentMemoryContext, "inval relook",
										   ALLOCSET_DEFAULT_SIZES);
	relook.now = GetCurrentTimestamp();
	relook_find(&relook, true);
	any = relook.rows != NIL;
	foreach(lc, relook.rows)
	{
		CHECK_FOR_INTERRUPTS();
		(void) relook_row(lfirst(lc));
	}
	MemoryContextDelete(relook.context);
	return any;
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

	PG_TRY();
	{
		int			nest_level;

		inval_transaction_begin();
		nest_level = NewGUCNestLevel();
		(void) set_config_option("lock_timeout", RELOOK_LOCK_TIMEOUT, PGC_USERSET,
								 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
		enable_timeout_after(STATEMENT_TIMEOUT, RELOOK_TIMEOUT_MS);
		(void) relook_row(row);
		disable_timeout(STATEMENT_TIMEOUT, false);
		AtEOXact_GUC(false, nest_level);
		inval_transaction_commit();
	}
	PG_CATCH();
	{
		ErrorData  *error;

		disable_timeout(STATEMENT_TIMEOUT, false);
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		AbortCurrentTransaction();
		QueryCancelPending = false;
		relook_failed(row, error);
		FreeErrorData(error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
}

/*
 * Takes a row out of the outbox and makes its look-ups.  Returns false if
 * somebody else has.
 */
static bool
relook_row(InvalOutboxRow *row)
{
	Relation	relation = inval_outbox_open(row->table, RowExclusiveLock);
	bool		ours = relation != NULL && inval_outbox_delete(relation, row);
	ErrorData  *error;

	if (relation != NULL)
		relation_close(relation, NoLock);
	if (!ours)
		return false;
	error = inval_attempt(relook_entries, row);
	if (error != NULL)
		ereport(LOG,
				(errmsg("a look-up of inval has failed after the commit: %s", error->message),
				 errdetail("What it would have found beyond what was found before is not removed.")));
	return true;
}

static void
relook_entries(void *arg)
{
	InvalOutboxRow *row = arg;
	const char *place = row->pack;
	const char *end = row->pack + row->pack_length;

	while (place != NULL && place < end)
	{
		InvalEntry	look;

		CHECK_FOR_INTERRUPTS();
		place = inval_entry_read(place, end, &look);
		if (place != NULL)
			inval_looks_again(&look);
	}
}

/*
 * Something that is no rule's fault, as far as one can tell, kept a row from
 * being looked up: it is tried again after a pause, but not for ever, unless it
 * is a lock, which somebody will give back.
 */
static void
relook_failed(InvalOutboxRow *row, const ErrorData *error)
{
	int64		id = inval_outbox_entry_id(row->xid, row->first);
	InvalRefusal refusal;
	Relation	relation;

	inval_refusal_note(id, error->message);
	if (error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE ||
		(inval_refusal_find(id, &refusal) && refusal.attempts < RELOOK_TRIES))
		return;
	inval_transaction_begin();
	relation = inval_outbox_open(row->table, RowExclusiveLock);
	if (relation != NULL)
	{
		(void) inval_outbox_delete(relation, row);
		relation_close(relation, NoLock);
	}
	inval_transaction_commit();
	inval_refusal_forget(id);
	ereport(LOG,
			(errmsg("a look-up of inval is given up after %d tries: %s", RELOOK_TRIES,
					error->message),
			 errdetail("What it would have found beyond what was found before is not removed.")));
}
