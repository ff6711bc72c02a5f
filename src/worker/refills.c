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
#include "outbox/read.h"
#include "redis/marker.h"
#include "stats/stats.h"
#include "target/ask.h"
#include "target/pace.h"
#include "worker/query_limit.h"
#include "worker/refills.h"
#include "worker/refusal.h"

/* So many rows are taken note of at a time. */
#define REFILL_ROWS			256

/* Refills go on for so long, in us, before deliveries have their turn. */
#define REFILL_TURN_US		50000

/* What Redis, or a lock, has kept from being put back so often is given up. */
#define REFILL_TRIES		6

/* The lease lives for so much longer than the query may take, in ms. */
#define LEASE_MARGIN_MS		1000

/* Commands to Redis that a value takes, for the target's rate */
#define REFILL_COMMANDS		2

typedef enum RefillOutcome
{
	REFILL_DONE,				/* or given up */
	REFILL_LATER,				/* it cannot be had now */
	REFILL_NOT_TRIED			/* for lack of time */
} RefillOutcome;

typedef struct RefillRow
{
	InvalOutboxRow row;
	bool		confirmed;		/* what comes before it */
} RefillRow;

/* What the log was told of a rule last */
typedef struct RefillTold
{
	uint32		rule;
	char	   *why;
} RefillTold;

struct InvalRefills
{
	InvalTarget *target;
	MemoryContext rows_context; /* of the list */
	MemoryContext context;		/* of one value */
	List	   *rows;			/* of RefillRow * */
	uint64		turn_ends;
	uint64		created;		/* as inval_clock_us */
	char		error[INVAL_ERROR_TEXT_LEN];	/* why something is to be tried later */
};

static List *told = NIL;		/* of RefillTold * */

static bool refills_have(const InvalRefills *refills, const InvalOutboxRow *row);
static void refills_leave(InvalRefills *refills, const InvalOutboxRow *row);
static bool refills_have_time(const InvalRefills *refills);
static void refills_row(InvalRefills *refills, const RefillRow *row);
static RefillOutcome refills_entry(InvalRefills *refills, const RefillRow *row,
								   const InvalEntry *entry);
static RefillOutcome refills_take_lease(InvalRefills *refills, const RefillRow *row,
										const InvalEntry *entry, const char **token);
static bool refills_may_be_ours(const InvalRefills *refills);
static void refills_ask_unlink(InvalQuestion *questions, int *count, const char *name,
							   Size length);
static InvalQuestion refills_call(const char *function, const InvalEntry *entry);
static RefillOutcome refills_find(InvalRefills *refills, const RefillRow *row,
								  const InvalEntry *entry, InvalRefillFound *found);
static bool refills_is_accident(const ErrorData *error);
static RefillOutcome refills_store(InvalRefills *refills, const InvalEntry *entry,
								   const char *token, const InvalRefillFound *found);
static void refills_release(InvalRefills *refills, const InvalEntry *entry,
							const char *token);
static void refills_settle(InvalRefills *refills, const InvalOutboxRow *row,
						   const RefillOutcome *outcomes);
static bool refills_rest(const InvalOutboxRow *row, const RefillOutcome *outcomes,
						 InvalOutboxRow *rest);
static bool refills_is_hopeless(int64 id, const char *error);
static void refills_give_up(InvalRefills *refills, const InvalOutboxRow *row,
							const InvalOutboxRow *rest, const char *why);
static void refills_failed(InvalRefills *refills, uint32 rule, const char *why);
static RefillTold *refills_told_of(uint32 rule);

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
	pg_atomic_uint32 *place = &refills->target->health->low_block[row->table];
	BlockNumber block = ItemPointerGetBlockNumber(&row->tid);
	uint32		low = pg_atomic_read_u32(place);

	while (block < low && !pg_atomic_compare_exchange_u32(place, &low, block))
		;
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
		if (refills_have_time(refills))
			refills_row(refills, row);
		else
			refills_leave(refills, &row->row);
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
 * Makes values of the entries of a row, as far as there is time.
 */
static void
refills_row(InvalRefills *refills, const RefillRow *row)
{
	const char *place = row->row.pack;
	const char *end = place + row->row.pack_length;
	RefillOutcome *outcomes;
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
								  row->row.entries * sizeof(RefillOutcome));
	for (i = 0; i < row->row.entries; i++)
	{
		MemoryContext old = MemoryContextSwitchTo(refills->context);
		InvalEntry	entry;

		CHECK_FOR_INTERRUPTS();
		place = inval_entry_read(place, end, &entry);
		outcomes[i] = REFILL_NOT_TRIED;
		if (!lost && (i == 0 || refills_have_time(refills)))
			outcomes[i] = refills_entry(refills, row, &entry);
		lost |= outcomes[i] == REFILL_LATER && refills->target->connection == NULL;
		MemoryContextSwitchTo(old);
		MemoryContextReset(refills->context);
	}
	refills_settle(refills, &row->row, outcomes);
}

/*
 * Puts a value back.  In the memory context of one value.
 */
static RefillOutcome
refills_entry(InvalRefills *refills, const RefillRow *row, const InvalEntry *entry)
{
	InvalRefillFound found;
	RefillOutcome outcome;
	const char *token = NULL;

	/* It may have got another namespace. */
	if (!inval_target_may_have(refills->target, entry))
		return REFILL_DONE;
	inval_pace_sent(refills->target, REFILL_COMMANDS);
	outcome = refills_take_lease(refills, row, entry, &token);
	if (token == NULL)
		return outcome;
	outcome = refills_find(refills, row, entry, &found);
	if (found.value.bytes != NULL)
		outcome = refills_store(refills, entry, token, &found);
	if (found.value.bytes == NULL || outcome != REFILL_DONE)
		refills_release(refills, entry, token);
	return outcome;
}

/*
 * Takes the lease of a key, after its invalidation: then *token is set.  Who has it, or
 * has filled the key since, knows what is new; while a strict commit is under way nobody
 * may fill it.
 */
static RefillOutcome
refills_take_lease(InvalRefills *refills, const RefillRow *row, const InvalEntry *entry,
				   const char **token)
{
	InvalQuestion questions[3] = {{0}};
	int			count = 0;
	const InvalReply *answer;
	const char *word = NULL;
	char	   *lease_ms = psprintf("%d", inval_refill_timeout + LEASE_MARGIN_MS);

	if (!row->confirmed)
	{
		char	   *lease = palloc(INVAL_MARKER_SIZE(entry->key_length));
		Size		length = inval_marker_write(INVAL_LEASE, entry->key, entry->key_length,
											   lease);

		refills_ask_unlink(questions, &count, lease, length);
		refills_ask_unlink(questions, &count, entry->key, entry->key_length);
	}
	questions[count] = refills_call("inval_get", entry);
	inval_question_add(&questions[count++], lease_ms, strlen(lease_ms));
	answer = inval_ask(refills->target, entry->key, entry->key_length, questions, count,
					   refills->error, sizeof(refills->error));
	if (answer == NULL)
	{
		/* It is there, and larger than what we read. */
		return strcmp(refills->error, INVAL_REPLY_TOO_LARGE) == 0 ? REFILL_DONE : REFILL_LATER;
	}
	if (answer->type == INVAL_REPLY_LIST)
		word = inval_reply_text(answer, 0);
	if (word != NULL && strcmp(word, "fill") == 0)
		*token = inval_reply_text(answer, 1);
	if (word != NULL && (strcmp(word, "hit") == 0 ||
						 (strcmp(word, "wait") == 0 && !refills_may_be_ours(refills))))
		return REFILL_DONE;
	strlcpy(refills->error, word == NULL ? "inval_get answers what it never does" :
			strcmp(word, "bypass") == 0 ? "a strict commit of the key is under way" :
			"the key is being filled", sizeof(refills->error));
	return REFILL_LATER;
}

/*
 * Whether a lease may be that of a worker before us, which is gone.
 */
static bool
refills_may_be_ours(const InvalRefills *refills)
{
	return inval_clock_us() < refills->created +
		(uint64) (inval_refill_timeout + LEASE_MARGIN_MS) * 1000;
}

static void
refills_ask_unlink(InvalQuestion *questions, int *count, const char *name, Size length)
{
	InvalQuestion *question = &questions[(*count)++];

	inval_question_add(question, "UNLINK", strlen("UNLINK"));
	inval_question_add(question, name, length);
}

/*
 * The call of a function for a key, but for its arguments.
 */
static InvalQuestion
refills_call(const char *function, const InvalEntry *entry)
{
	InvalQuestion question = {0};

	inval_question_add(&question, "FCALL", strlen("FCALL"));
	inval_question_add(&question, function, strlen(function));
	inval_question_add(&question, "1", 1);
	inval_question_add(&question, entry->key, entry->key_length);
	return question;
}

/*
 * Finds the value, in a transaction of its own that begins after the lease was taken.
 */
static RefillOutcome
refills_find(InvalRefills *refills, const RefillRow *row, const InvalEntry *entry,
			 InvalRefillFound *found)
{
	MemoryContext context = CurrentMemoryContext;
	volatile RefillOutcome outcome = REFILL_DONE;

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
			refills_failed(refills, entry->rule, result.problem);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		inval_limit_after_error();
		AbortCurrentTransaction();
		if (refills_is_accident(error))
		{
			strlcpy(refills->error, error->message, sizeof(refills->error));
			outcome = REFILL_LATER;
		}
		else
			refills_failed(refills, entry->rule, error->message);
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
 * Stores a value under the lease.  If that is gone, somebody has invalidated the key
 * since.
 */
static RefillOutcome
refills_store(InvalRefills *refills, const InvalEntry *entry, const char *token,
			  const InvalRefillFound *found)
{
	InvalQuestion question = refills_call("inval_set", entry);
	char	   *ttl_ms = psprintf("%d", found->ttl_ms);
	const InvalReply *answer;
	InvalStatsSlot *slot;
	RefillTold *known;

	inval_question_add(&question, token, strlen(token));
	inval_question_add(&question, found->value.bytes, found->value.length);
	inval_question_add(&question, ttl_ms, strlen(ttl_ms));
	answer = inval_ask(refills->target, entry->key, entry->key_length, &question, 1,
					   refills->error, sizeof(refills->error));
	if (answer == NULL)
		return REFILL_LATER;
	if (answer->type != INVAL_REPLY_INTEGER || answer->integer != 1)
		return REFILL_DONE;
	slot = inval_stats_slot(entry->rule, refills->target->name);
	if (slot != NULL)
		pg_atomic_fetch_add_u64(&slot->refilled, 1);
	known = refills_told_of(entry->rule);
	if (known != NULL)
		told = list_delete_ptr(told, known);
	return REFILL_DONE;
}

/*
 * Gives the lease back.  If that cannot be done, it ends by itself.
 */
static void
refills_release(InvalRefills *refills, const InvalEntry *entry, const char *token)
{
	InvalQuestion question = refills_call("inval_release", entry);
	char		error[INVAL_ERROR_TEXT_LEN];

	inval_question_add(&question, token, strlen(token));
	(void) inval_ask(refills->target, entry->key, entry->key_length, &question, 1,
					 error, sizeof(error));
}

/*
 * Takes a row out of the outbox, or what of it is done.
 */
static void
refills_settle(InvalRefills *refills, const InvalOutboxRow *row, const RefillOutcome *outcomes)
{
	InvalOutboxRow rest;
	Relation	relation;
	bool		left;
	bool		later = false;
	int			i;

	for (i = 0; i < row->entries; i++)
		later |= outcomes[i] == REFILL_LATER;
	inval_transaction_begin();
	left = refills_rest(row, outcomes, &rest);
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
 * Makes a row of what is not done; false if all is.
 */
static bool
refills_rest(const InvalOutboxRow *row, const RefillOutcome *outcomes, InvalOutboxRow *rest)
{
	char	   *pack = palloc(row->pack_length);
	const char *place = row->pack;
	int			i;

	*rest = *row;
	rest->pack = pack;
	rest->pack_length = 0;
	rest->entries = 0;
	for (i = 0; i < row->entries; i++)
	{
		const char *start = place;
		InvalEntry	entry;

		place = inval_entry_read(place, row->pack + row->pack_length, &entry);
		if (outcomes[i] == REFILL_DONE)
			continue;
		if (rest->entries == 0)
			rest->first = row->first + i;
		memcpy(pack + rest->pack_length, start, (Size) (place - start));
		rest->pack_length += (Size) (place - start);
		rest->entries++;
	}
	return rest->entries > 0;
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
			refills_failed(refills, entry.rule, why);
	}
}

/*
 * Counts a key that stays empty, and says why in the log, if it was not said last.
 */
static void
refills_failed(InvalRefills *refills, uint32 rule, const char *why)
{
	InvalStatsSlot *slot = inval_stats_slot(rule, refills->target->name);
	RefillTold *known = refills_told_of(rule);
	MemoryContext old;

	if (slot != NULL)
		pg_atomic_fetch_add_u64(&slot->refill_failed, 1);
	if (known != NULL && strcmp(known->why, why) == 0)
		return;
	ereport(LOG,
			(errmsg("inval rule %u could not put a value back: %s", rule, why),
			 errdetail("The key stays empty. This is said once, until it is for another reason."),
			 errhint("inval_stats.refill_failed counts them.")));
	old = MemoryContextSwitchTo(TopMemoryContext);
	if (known == NULL)
	{
		known = palloc0(sizeof(RefillTold));
		known->rule = rule;
		told = lappend(told, known);
	}
	if (known->why != NULL)
		pfree(known->why);
	known->why = pstrdup(why);
	MemoryContextSwitchTo(old);
}

static RefillTold *
refills_told_of(uint32 rule)
{
	ListCell   *lc;

	foreach(lc, told)
	{
		RefillTold *known = lfirst(lc);

		if (known->rule == rule)
			return known;
	}
	return NULL;
}
