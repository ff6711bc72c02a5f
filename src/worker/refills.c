/*
 * refills.c
 *		Values that the worker puts back at keys that were invalidated.
 *
 * A transaction leaves rows of the lane "refill" beside those of its invalidations
 * (capture/refill.c).  The worker meets them while it passes through the outbox, and
 * comes to them when the pass is through.  It does what any reader does: first the
 * lease, then the snapshot, then the value.  So whatever is invalidated meanwhile can
 * only refuse what it stores.
 *
 * The lease must come after the invalidation: a value that is there before it is the
 * old one, not somebody else's who was faster.  Where the commit was to deliver all
 * that the target is owed, the ledger tells whether it has.  Everywhere else the worker
 * voids the lease and removes the key itself, which is done once more than necessary,
 * and harmless.
 *
 * A refill is a favour, and never owed for long: what fails is counted and given up,
 * what cannot be had just now is tried a limited number of times.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "base/attempt.h"
#include "base/settings.h"
#include "base/transaction.h"
#include "capture/refilling.h"
#include "outbox/paused.h"
#include "outbox/read.h"
#include "outbox/tables.h"
#include "store/pauses.h"
#include "target/pace.h"
#include "worker/query_limit.h"
#include "worker/refill_failure.h"
#include "worker/refill_lease.h"
#include "worker/refills.h"
#include "worker/refusal.h"
#include "worker/split.h"

/* So many rows are taken note of at a time. */
#define REFILL_ROWS			256

/* Refills go on for so long, in us, before deliveries have their turn. */
#define REFILL_TURN_US		50000

/* What Redis, or a lock, has kept from being put back so often is given up. */
#define REFILL_TRIES		6

/* Commands to Redis that a value takes, for the target's rate */
#define REFILL_COMMANDS		2

typedef struct RefillRow
{
	InvalOutboxRow row;
	bool		confirmed;		/* what comes before it */
} RefillRow;

struct InvalRefills
{
	InvalTarget *target;
	MemoryContext rows_context; /* of the list */
	MemoryContext context;		/* of one value */
	List	   *rows;			/* of RefillRow * */
	uint64		turn_ends;
	uint64		created;		/* this process, as inval_clock_us */
	char		error[INVAL_ERROR_TEXT_LEN];	/* why something is to be tried later */
};

static bool refills_have(const InvalRefills *refills, const InvalOutboxRow *row);
static void refills_leave(InvalRefills *refills, const InvalOutboxRow *row);
static bool refills_have_time(const InvalRefills *refills);
static void refills_row(InvalRefills *refills, const RefillRow *row);
static void refills_part(InvalRefills *refills, const InvalOutboxRow *row);
static InvalRefillOutcome refills_entry(InvalRefills *refills, const RefillRow *row,
								   const InvalEntry *entry);
static InvalRefillOutcome refills_find(InvalRefills *refills, const RefillRow *row,
								  const InvalEntry *entry, InvalRefillFound *found);
static bool refills_is_accident(const ErrorData *error);
static void refills_settle(InvalRefills *refills, const InvalOutboxRow *row,
						   const InvalRefillOutcome *outcomes);
static bool refills_is_hopeless(int64 id, const char *error);
static void refills_give_up(InvalRefills *refills, const InvalOutboxRow *row,
							const InvalOutboxRow *rest, const char *why);

/*
 * For a worker, which keeps it for its life.
 */
InvalRefills *
inval_refills_create(InvalTarget *target)
{
	InvalRefills *refills = MemoryContextAllocZero(TopMemoryContext, sizeof(InvalRefills));

	refills->target = target;
	refills->created = inval_clock_us();
	refills->rows_context = AllocSetContextCreate(TopMemoryContext, "inval refills",
												  ALLOCSET_DEFAULT_SIZES);
	refills->context = AllocSetContextCreate(TopMemoryContext, "inval refill",
											 ALLOCSET_DEFAULT_SIZES);
	return refills;
}

/*
 * Takes note of a row, if it is one of values to be put back, unless the commit
 * before it is just being delivered.  Returns whether it is such a row.  "refills" is
 * NULL for who puts none back.
 */
bool
inval_refills_meet(InvalRefills *refills, const InvalOutboxRow *row, TimestampTz now)
{
	InvalOutboxRow before;
	bool		told_of;
	MemoryContext old;
	RefillRow  *copy;
	char	   *pack;

	if (row->lane != INVAL_LANE_REFILL)
		return false;
	told_of = inval_outbox_refill_after(row, &before);
	if (refills == NULL || (told_of && !inval_outbox_is_ripe(&before, now)) ||
		refills_have(refills, row))
		return true;
	if (list_length(refills->rows) == REFILL_ROWS)
	{
		refills_leave(refills, row);
		return true;
	}
	old = MemoryContextSwitchTo(refills->rows_context);
	copy = palloc(sizeof(RefillRow));
	copy->row = *row;
	pack = palloc(row->pack_length);
	memcpy(pack, row->pack, row->pack_length);
	copy->row.pack = pack;
	copy->confirmed = told_of && !inval_outbox_is_owed(&before);
	refills->rows = lappend(refills->rows, copy);
	MemoryContextSwitchTo(old);
	return true;
}

static bool
refills_have(const InvalRefills *refills, const InvalOutboxRow *row)
{
	ListCell   *lc;

	foreach(lc, refills->rows)
	{
		const RefillRow *known = lfirst(lc);

		if (FullTransactionIdEquals(known->row.xid, row->xid) &&
			known->row.first == row->first)
			return true;
	}
	return false;
}

/*
 * Leaves a row to the next pass, as if it was announced now.
 */
static void
refills_leave(InvalRefills *refills, const InvalOutboxRow *row)
{
	inval_outbox_leave_from(&refills->target->health->low_block[row->table],
							ItemPointerGetBlockNumber(&row->tid));
}

/*
 * Puts values back, for a turn; what is left is for the next one.  Returns whether
 * there was anything to be done.  For a worker, which is in no transaction; raises no
 * error for the sake of a rule, or of the target.
 */
bool
inval_refills_run(InvalRefills *refills)
{
	bool		any = refills->rows != NIL;
	ListCell   *lc;

	refills->turn_ends = inval_clock_us() + REFILL_TURN_US;
	foreach(lc, refills->rows)
	{
		RefillRow  *row = lfirst(lc);

		CHECK_FOR_INTERRUPTS();
		if (!refills_have_time(refills))
			refills_leave(refills, &row->row);
		else if (inval_outbox_paused(&row->row) > 0)
			refills_part(refills, &row->row);
		else
			refills_row(refills, row);
	}
	refills->rows = NIL;
	MemoryContextReset(refills->rows_context);
	return any;
}

static bool
refills_have_time(const InvalRefills *refills)
{
	return inval_clock_us() < refills->turn_ends &&
		pg_atomic_read_u32(&refills->target->health->paused) == 0 &&
		inval_pace_wait_ms(refills->target) <= 0;
}

/*
 * Parts what is held back of a row from the rest of it, whose failures are not its.
 */
static void
refills_part(InvalRefills *refills, const InvalOutboxRow *row)
{
	const char *place = row->pack;
	InvalOutboxRow parts[2];
	Relation	relation;
	bool	   *goes;
	bool	   *stays;
	int			i;

	if (inval_outbox_is_paused(row))
		return;
	inval_transaction_begin();
	goes = palloc(row->entries * sizeof(bool));
	stays = palloc(row->entries * sizeof(bool));
	for (i = 0; i < row->entries; i++)
	{
		InvalEntry	entry;

		place = inval_entry_read(place, row->pack + row->pack_length, &entry);
		stays[i] = inval_pauses_hold(&entry);
		goes[i] = !stays[i];
	}
	(void) inval_split_keep(row, goes, &parts[0]);
	(void) inval_split_keep(row, stays, &parts[1]);
	relation = inval_outbox_open(row->table, RowExclusiveLock);
	if (relation != NULL)
	{
		if (inval_outbox_delete(relation, row))
			for (i = 0; i < (int) lengthof(parts); i++)
				inval_outbox_write_row(&parts[i], false);
		relation_close(relation, NoLock);
	}
	inval_transaction_commit();
	inval_outbox_announce(refills->target->health);
}

/*
 * Makes values of the entries of a row, none of which is held back, as far as there is
 * time.
 */
static void
refills_row(InvalRefills *refills, const RefillRow *row)
{
	const char *place = row->row.pack;
	const char *end = place + row->row.pack_length;
	InvalRefillOutcome *outcomes;
	bool		lost = false;
	int			i;

	if (inval_limit_was_overrun(inval_outbox_entry_id(row->row.xid, row->row.first)))
	{
		inval_transaction_begin();
		refills_give_up(refills, &row->row, &row->row, INVAL_LIMIT_OVERRUN);
		inval_transaction_commit();
		return;
	}
	outcomes = MemoryContextAlloc(refills->rows_context,
								  row->row.entries * sizeof(InvalRefillOutcome));
	for (i = 0; i < row->row.entries; i++)
	{
		MemoryContext old = MemoryContextSwitchTo(refills->context);
		InvalEntry	entry;

		CHECK_FOR_INTERRUPTS();
		place = inval_entry_read(place, end, &entry);
		outcomes[i] = INVAL_REFILL_NOT_TRIED;
		if (!lost && (i == 0 || refills_have_time(refills)))
			outcomes[i] = refills_entry(refills, row, &entry);
		lost |= outcomes[i] == INVAL_REFILL_LATER && refills->target->connection == NULL;
		MemoryContextSwitchTo(old);
		MemoryContextReset(refills->context);
	}
	refills_settle(refills, &row->row, outcomes);
}

/*
 * Puts a value back.  In the memory context of one value.
 */
static InvalRefillOutcome
refills_entry(InvalRefills *refills, const RefillRow *row, const InvalEntry *entry)
{
	InvalRefillFound found;
	InvalRefillOutcome outcome;
	const char *token = NULL;

	/* It may have got another namespace. */
	if (!inval_target_may_have(refills->target, entry))
		return INVAL_REFILL_DONE;
	inval_pace_sent(refills->target, REFILL_COMMANDS);
	outcome = inval_refill_take_lease(refills->target, entry, row->confirmed, refills->created,
									  &token, refills->error);
	if (token == NULL)
		return outcome;
	outcome = refills_find(refills, row, entry, &found);
	if (found.value.bytes != NULL)
		outcome = inval_refill_store(refills->target, entry, token, &found, refills->error);
	if (found.value.bytes == NULL || outcome != INVAL_REFILL_DONE)
		inval_refill_release(refills->target, entry, token);
	return outcome;
}

/*
 * Finds the value, in a transaction of its own that begins after the lease was taken.
 */
static InvalRefillOutcome
refills_find(InvalRefills *refills, const RefillRow *row, const InvalEntry *entry,
			 InvalRefillFound *found)
{
	MemoryContext context = CurrentMemoryContext;
	volatile InvalRefillOutcome outcome = INVAL_REFILL_DONE;

	memset(found, 0, sizeof(*found));
	PG_TRY();
	{
		InvalRefillFound result;

		inval_transaction_begin();
		inval_limit_begin(inval_outbox_entry_id(row->row.xid, row->row.first),
						  inval_refill_timeout);
		MemoryContextSwitchTo(context);
		result = inval_refill_find(entry);
		inval_limit_end();
		inval_transaction_commit();
		*found = result;
		if (result.problem != NULL)
			inval_refill_failed(refills->target, entry->rule, result.problem);
	}
	PG_CATCH();
	{
		ErrorData  *error = inval_limit_caught(context);

		if (refills_is_accident(error))
		{
			strlcpy(refills->error, error->message, sizeof(refills->error));
			outcome = INVAL_REFILL_LATER;
		}
		else
			inval_refill_failed(refills->target, entry->rule, error->message);
		FreeErrorData(error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	inval_limit_forget_locks();
	return outcome;
}

/*
 * Whether an error says nothing of the query: there was no lock or no memory.
 */
static bool
refills_is_accident(const ErrorData *error)
{
	int			category = ERRCODE_TO_CATEGORY(error->sqlerrcode);

	return inval_attempt_is_servers(error) &&
		(error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE ||
		 category == ERRCODE_TO_CATEGORY(ERRCODE_TRANSACTION_ROLLBACK) ||
		 category == ERRCODE_TO_CATEGORY(ERRCODE_INSUFFICIENT_RESOURCES));
}

/*
 * Takes a row out of the outbox, or what of it is done.
 */
static void
refills_settle(InvalRefills *refills, const InvalOutboxRow *row, const InvalRefillOutcome *outcomes)
{
	InvalOutboxRow rest;
	Relation	relation;
	bool	   *undone;
	bool		left;
	bool		later = false;
	int			i;

	inval_transaction_begin();
	undone = palloc(row->entries * sizeof(bool));
	for (i = 0; i < row->entries; i++)
	{
		later |= outcomes[i] == INVAL_REFILL_LATER;
		undone[i] = outcomes[i] != INVAL_REFILL_DONE;
	}
	left = inval_split_keep(row, undone, &rest);
	if (later && refills_is_hopeless(inval_outbox_entry_id(rest.xid, rest.first),
									 refills->error))
		refills_give_up(refills, row, &rest, refills->error);
	else if (!left || rest.entries < row->entries)
	{
		relation = inval_outbox_open(row->table, RowExclusiveLock);
		if (relation != NULL)
		{
			if (inval_outbox_delete(relation, row) && left)
				inval_outbox_write_row(&rest, false);
			relation_close(relation, NoLock);
		}
	}
	if (!left)
		inval_refusal_forget(inval_outbox_entry_id(row->xid, row->first));
	inval_transaction_commit();
	if (left && !later)
		refills_leave(refills, &rest);
}

/*
 * Notes that a row could not be done with now.  Returns whether that was so too often.
 */
static bool
refills_is_hopeless(int64 id, const char *error)
{
	InvalRefusal refusal;

	inval_refusal_note(id, error);
	return !inval_refusal_find(id, &refusal) || refusal.attempts >= REFILL_TRIES;
}

/*
 * Takes a row out of the outbox without putting back what is left of it, which is
 * counted.  In a transaction.
 */
static void
refills_give_up(InvalRefills *refills, const InvalOutboxRow *row,
				const InvalOutboxRow *rest, const char *why)
{
	Relation	relation = inval_outbox_open(row->table, RowExclusiveLock);
	const char *place = rest->pack;
	const char *end = place + rest->pack_length;

	if (relation != NULL)
	{
		(void) inval_outbox_delete(relation, row);
		relation_close(relation, NoLock);
	}
	inval_refusal_forget(inval_outbox_entry_id(rest->xid, rest->first));
	while (place != NULL && place < end)
	{
		InvalEntry	entry;

		place = inval_entry_read(place, end, &entry);
		if (place != NULL)
			inval_refill_failed(refills->target, entry.rule, why);
	}
}

