/*
 * drain.c
 *		Delivers what is in the outbox, batch by batch.
 *
 * A batch is: read some rows that are owed, send their entries, remove the
 * rows that were confirmed.  The worker does each database step in a short
 * transaction of its own and has none open while it waits for the target;
 * inval_drain does the same within its caller's.  Two may work on the same
 * rows: a key is then deleted twice, and a row once.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "delivery.h"
#include "drain.h"
#include "ledger.h"
#include "outbox.h"
#include "refusal.h"
#include "settings.h"
#include "stats.h"

/* Where a target has a rate, its batches are so small. */
#define BATCHES_PER_SECOND	20

/* Bytes of entries in one batch */
#define BATCH_MAX_BYTES		(8 * 1024 * 1024)

/* A row of a batch */
typedef struct DrainRow
{
	InvalOutboxRow row;
	int			number;			/* of its first entry in the batch */
	bool		settled;		/* confirmed, and noted so */
} DrainRow;

/* One batch, while it is gathered and worked on */
typedef struct DrainBatch
{
	InvalDrain *drain;
	DrainRow   *rows;
	int			nrows;
	int			max_rows;
	int			entries;
	Size		bytes;
	bool		full;
	TimestampTz now;
} DrainBatch;

static void drain_pace(InvalDrain *drain, int entries);
static int	drain_batch_keys(const InvalTarget *target);
static void drain_start_transaction(InvalDrain *drain);
static void drain_commit_transaction(InvalDrain *drain);
static void drain_gather(InvalDrain *drain, DrainBatch *batch);
static BlockNumber drain_first_block(InvalDrain *drain);
static bool drain_gather_row(InvalOutboxRow *row, void *arg);
static bool drain_is_due(DrainBatch *batch, const InvalOutboxRow *row);
static void drain_add_row(InvalShipment *shipment, const InvalOutboxRow *row);
static bool drain_send(InvalDrain *drain, DrainBatch *batch, InvalShipment *shipment);
static bool drain_send_refused_alone(InvalDrain *drain, DrainBatch *batch,
									 InvalShipment *shipment);
static void drain_settle(InvalDrain *drain, DrainBatch *batch,
						 InvalShipment *shipment);
static bool drain_note_row(const InvalOutboxRow *row, const InvalOutcome *outcomes,
						   uint64 horizon, uint64 *confirmed);
static void drain_settle_rows(InvalDrain *drain, DrainBatch *batch,
							  InvalShipment *shipment);
static void drain_settle_row(Relation relation, const InvalOutboxRow *row,
							 const InvalOutcome *outcomes, char **errors,
							 uint64 *confirmed);
static void drain_split_row(const InvalOutboxRow *row, const InvalOutcome *outcomes,
							char **errors);
static void drain_count(const InvalDrain *drain, const InvalOutboxRow *row,
						const InvalOutcome *outcomes, TimestampTz now);

/*
 * Prepares for passes; each begins with inval_drain_rewind.  "own_transactions"
 * is for the worker, which also is who announcements are for.
 */
void
inval_drain_begin(InvalDrain *drain, InvalTarget *target, bool own_transactions)
{
	memset(drain, 0, sizeof(*drain));
	drain->target = target;
	drain->own_transactions = own_transactions;
	drain->context = AllocSetContextCreate(CurrentMemoryContext, "inval batch",
										   ALLOCSET_DEFAULT_SIZES);
}

/*
 * Starts a pass: through all of the outbox, or through what was announced
 * since the last one (inval_outbox_announce).  The second is what makes a
 * wake-up cheap; the first finds what nobody announced, such as the rows of a
 * transaction that was prepared elsewhere.
 */
void
inval_drain_rewind(InvalDrain *drain, bool whole)
{
	drain->whole = whole;
	drain->table = 0;
	drain->block = InvalidBlockNumber;
	ItemPointerSet(&drain->resume, 0, 0);
	drain->found = 0;
	drain->next_due = 0;
}

void
inval_drain_end(InvalDrain *drain)
{
	MemoryContextDelete(drain->context);
}

/*
 * Delivers the next batch over the target's connection, which must be there.
 */
InvalDrainResult
inval_drain_batch(InvalDrain *drain)
{
	MemoryContext old;
	DrainBatch	batch = {0};
	InvalShipment shipment;
	bool		sent = true;

	drain_pace(drain, 0);
	MemoryContextReset(drain->context);
	old = MemoryContextSwitchTo(drain->context);

	drain_gather(drain, &batch);
	if (batch.nrows > 0)
	{
		sent = drain_send(drain, &batch, &shipment);
		drain_pace(drain, batch.entries);
		drain_settle(drain, &batch, &shipment);
		drain->found += batch.entries;
	}
	MemoryContextSwitchTo(old);

	if (!sent)
		return INVAL_DRAIN_FAILED;
	return drain->table < INVAL_OUTBOX_TABLES ? INVAL_DRAIN_MORE : INVAL_DRAIN_PASSED;
}

/*
 * Keeps to the target's rate: after a batch, notes when the next one may begin;
 * with no entries, waits until then.  Batches are small enough that a second is
 * made of many.
 */
static void
drain_pace(InvalDrain *drain, int entries)
{
	InvalTarget *target = drain->target;
	uint64		now = inval_clock_us();

	if (target->max_rate == 0)
		return;
	if (entries > 0)
	{
		target->next_batch = Max(target->next_batch, now) +
			(uint64) entries * 1000000 / (uint64) target->max_rate;
		return;
	}
	while (now < target->next_batch)
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 (long) ((target->next_batch - now + 999) / 1000),
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		now = inval_clock_us();
	}
}

/*
 * How many entries make a batch.
 */
static int
drain_batch_keys(const InvalTarget *target)
{
	if (target->max_rate == 0)
		return inval_batch_keys;
	return Min(inval_batch_keys, Max(target->max_rate / BATCHES_PER_SECOND, 1));
}

static void
drain_start_transaction(InvalDrain *drain)
{
	if (drain->own_transactions)
	{
		SetCurrentStatementStartTimestamp();
		StartTransactionCommand();
		PushActiveSnapshot(GetTransactionSnapshot());
	}
	MemoryContextSwitchTo(drain->context);
}

static void
drain_commit_transaction(InvalDrain *drain)
{
	if (drain->own_transactions)
	{
		PopActiveSnapshot();
		CommitTransactionCommand();
	}
	else
		CommandCounterIncrement();
	MemoryContextSwitchTo(drain->context);
}

/*
 * Reads owed rows from where the pass is, until the batch is full or the pass
 * is through.
 */
static void
drain_gather(InvalDrain *drain, DrainBatch *batch)
{
	batch->drain = drain;
	batch->now = GetCurrentTimestamp();
	drain_start_transaction(drain);
	while (drain->table < INVAL_OUTBOX_TABLES && !batch->full)
	{
		if (!BlockNumberIsValid(drain->block))
			drain->block = drain_first_block(drain);
		if (BlockNumberIsValid(drain->block) &&
			!inval_outbox_scan(drain->table, drain->block, drain_gather_row, batch))
		{
			drain->table = INVAL_OUTBOX_TABLES; /* the extension is gone */
			break;
		}
		if (!batch->full)
		{
			drain->table++;
			drain->block = InvalidBlockNumber;
			ItemPointerSet(&drain->resume, 0, 0);
		}
	}
	drain_commit_transaction(drain);
}

/*
 * Where the look at a table begins; InvalidBlockNumber if there is nothing to
 * look at.
 */
static BlockNumber
drain_first_block(InvalDrain *drain)
{
	BlockNumber low;

	if (!drain->own_transactions)
		return 0;				/* the announcements are the worker's */
	low = pg_atomic_exchange_u32(&drain->target->health->low_block[drain->table],
							 InvalidBlockNumber);
	return drain->whole ? 0 : low;
}

static bool
drain_gather_row(InvalOutboxRow *row, void *arg)
{
	DrainBatch *batch = arg;
	DrainRow   *copy;
	char	   *pack;
	int64		id = inval_outbox_entry_id(row->xid, row->first);

	if (row->target != batch->drain->target->number ||
		ItemPointerCompare(&row->tid, &batch->drain->resume) < 0 ||
		!inval_outbox_is_owed(row) || !drain_is_due(batch, row) ||
		!inval_outbox_is_ripe(row, batch->now) ||
		!inval_refusal_is_due(id, batch->now))
		return true;
	if (!inval_outbox_is_readable(row))
	{
		/* It stays queued, is shown, and is none of its neighbours' business. */
		inval_refusal_note(id, INVAL_OUTBOX_UNREADABLE);
		return true;
	}

	if (batch->nrows > 0 &&
		(batch->entries + row->entries > drain_batch_keys(batch->drain->target) ||
		 batch->bytes + row->pack_length > BATCH_MAX_BYTES))
	{
		/* The next batch begins here. */
		batch->full = true;
		batch->drain->block = ItemPointerGetBlockNumber(&row->tid);
		batch->drain->resume = row->tid;
		return false;
	}

	if (batch->nrows == batch->max_rows)
	{
		batch->max_rows = Max(64, batch->max_rows * 2);
		batch->rows = batch->rows == NULL ?
			palloc(batch->max_rows * sizeof(DrainRow)) :
			repalloc(batch->rows, batch->max_rows * sizeof(DrainRow));
	}
	pack = palloc(row->pack_length);
	memcpy(pack, row->pack, row->pack_length);
	copy = &batch->rows[batch->nrows++];
	copy->row = *row;
	copy->row.pack = pack;
	copy->number = batch->entries;
	copy->settled = false;
	batch->entries += row->entries;
	batch->bytes += row->pack_length;
	return true;
}

/*
 * Whether a repetition is due; all else is.
 */
static bool
drain_is_due(DrainBatch *batch, const InvalOutboxRow *row)
{
	InvalDrain *drain = batch->drain;

	if (row->lane != INVAL_LANE_REPEAT || row->queued_at <= batch->now)
		return true;
	if (drain->next_due == 0 || row->queued_at < drain->next_due)
		drain->next_due = row->queued_at;
	return false;
}

static void
drain_add_row(InvalShipment *shipment, const InvalOutboxRow *row)
{
	const char *place = row->pack;
	const char *end = row->pack + row->pack_length;
	InvalEntry	entry;
	int			i;

	for (i = 0; i < row->entries; i++)
	{
		place = inval_entry_read(place, end, &entry);
		inval_shipment_add(shipment, &entry);
	}
}

/*
 * Sends a batch.  Returns false if the target failed on the way.
 */
static bool
drain_send(InvalDrain *drain, DrainBatch *batch, InvalShipment *shipment)
{
	int			i;

	inval_shipment_init(shipment, true);
	for (i = 0; i < batch->nrows; i++)
		drain_add_row(shipment, &batch->rows[i].row);
	inval_shipment_seal(shipment);
	if (inval_shipment_send(shipment, drain->target,
							inval_clock_us() + (uint64) inval_reply_timeout * 1000,
							INVAL_WAIT_INTERRUPTIBLE))
		return true;
	if (drain->target->connection == NULL)
		return false;
	return drain_send_refused_alone(drain, batch, shipment);
}

/*
 * An error concerns a whole command.  Sends what was refused together with
 * others once more, each by itself, to find out who is to blame.
 */
static bool
drain_send_refused_alone(InvalDrain *drain, DrainBatch *batch, InvalShipment *shipment)
{
	InvalShipment alone;
	int		   *places = palloc(shipment->entries * sizeof(int));
	int			number = 0;
	int			i;

	inval_shipment_init(&alone, true);
	for (i = 0; i < batch->nrows; i++)
	{
		const InvalOutboxRow *row = &batch->rows[i].row;
		const char *place = row->pack;
		InvalEntry	entry;
		int			e;

		for (e = 0; e < row->entries; e++, number++)
		{
			place = inval_entry_read(place, row->pack + row->pack_length, &entry);
			if (shipment->outcomes[number] != INVAL_OUTCOME_REFUSED)
				continue;
			places[alone.entries] = number;
			inval_shipment_add_alone(&alone, &entry);
		}
	}
	inval_shipment_seal(&alone);
	if (alone.entries == 0)
		return true;

	(void) inval_shipment_send(&alone, drain->target,
							   inval_clock_us() + (uint64) inval_reply_timeout * 1000,
							   INVAL_WAIT_INTERRUPTIBLE);
	for (i = 0; i < alone.entries; i++)
	{
		shipment->outcomes[places[i]] = alone.outcomes[i];
		shipment->errors[places[i]] = alone.errors[i];
	}
	return drain->target->connection != NULL;
}

/*
 * Sees that what was confirmed is owed no more, and counts.  Most transactions
 * have queued one row: for those a note in the ledger is enough, which writes
 * no WAL.  Only the worker does so, which empties the tables before the ledger
 * forgets; and not for what is older than the worker, which may be another
 * database's, copied from a template.
 */
static void
drain_settle(InvalDrain *drain, DrainBatch *batch, InvalShipment *shipment)
{
	TimestampTz now = GetCurrentTimestamp();
	uint64		horizon = Max(drain->note_from, inval_ledger_horizon());
	int			left = batch->nrows;
	int			i;

	for (i = 0; i < batch->nrows; i++)
	{
		DrainRow   *row = &batch->rows[i];
		const InvalOutcome *outcomes = shipment->outcomes + row->number;

		drain_count(drain, &row->row, outcomes, now);
		row->settled = drain->note_from != 0 &&
			drain_note_row(&row->row, outcomes, horizon, &drain->confirmed);
		if (row->settled)
			left--;
	}
	if (left > 0)
		drain_settle_rows(drain, batch, shipment);
}

/*
 * Notes a row as confirmed in the ledger, if that is where such is noted, it
 * is, and the ledger will remember.
 */
static bool
drain_note_row(const InvalOutboxRow *row, const InvalOutcome *outcomes,
			   uint64 horizon, uint64 *confirmed)
{
	int			i;

	if (!row->sole || U64FromFullTransactionId(row->xid) < horizon)
		return false;
	for (i = 0; i < row->entries; i++)
		if (outcomes[i] != INVAL_OUTCOME_CONFIRMED)
			return false;
	if (inval_ledger_note(row->xid, INVAL_LEDGER_CONFIRMED))
		*confirmed += row->entries;
	inval_refusal_forget(inval_outbox_entry_id(row->xid, row->first));
	return true;
}

/*
 * Removes the other rows from the outbox.
 */
static void
drain_settle_rows(InvalDrain *drain, DrainBatch *batch, InvalShipment *shipment)
{
	Relation	relation = NULL;
	int			table = -1;
	int			i;

	drain_start_transaction(drain);
	for (i = 0; i < batch->nrows; i++)
	{
		InvalOutboxRow *row = &batch->rows[i].row;
		int			number = batch->rows[i].number;

		if (batch->rows[i].settled)
			continue;
		if (row->table != table)
		{
			if (relation != NULL)
				relation_close(relation, NoLock);
			table = row->table;
			relation = inval_outbox_open(table, RowExclusiveLock);
			if (relation == NULL)
				break;			/* the extension is gone */
		}
		drain_settle_row(relation, row, shipment->outcomes + number,
						 shipment->errors + number, &drain->confirmed);
	}
	if (relation != NULL)
		relation_close(relation, NoLock);
	drain_commit_transaction(drain);
}

static void
drain_settle_row(Relation relation, const InvalOutboxRow *row,
				 const InvalOutcome *outcomes, char **errors, uint64 *confirmed)
{
	int			done = 0;
	int			refused = 0;
	int			i;

	for (i = 0; i < row->entries; i++)
	{
		done += outcomes[i] == INVAL_OUTCOME_CONFIRMED;
		refused += outcomes[i] == INVAL_OUTCOME_REFUSED;
	}

	if (done == row->entries)
	{
		if (inval_outbox_delete(relation, row))
			*confirmed += done;
		inval_refusal_forget(inval_outbox_entry_id(row->xid, row->first));
	}
	else if (refused > 0 && row->entries == 1 && row->table >= INVAL_OUTBOX_GROUP)
		inval_refusal_note(inval_outbox_entry_id(row->xid, row->first), errors[0]);
	else if (refused > 0)
	{
		/*
		 * One poisonous entry must hold up neither its neighbours nor the
		 * emptying of a table that is written at commit.
		 */
		if (inval_outbox_delete(relation, row))
		{
			drain_split_row(row, outcomes, errors);
			*confirmed += done;
		}
	}
	/* Else the row is delivered once more as a whole, which is harmless. */
}

/*
 * Queues the entries of a row that are not confirmed anew, each by itself.
 */
static void
drain_split_row(const InvalOutboxRow *row, const InvalOutcome *outcomes, char **errors)
{
	const char *place = row->pack;
	int			i;

	for (i = 0; i < row->entries; i++)
	{
		InvalOutboxRow single = *row;
		InvalEntry	entry;

		single.pack = place;
		place = inval_entry_read(place, row->pack + row->pack_length, &entry);
		if (outcomes[i] == INVAL_OUTCOME_CONFIRMED)
			continue;
		single.pack_length = (Size) (place - single.pack);
		single.first = row->first + i;
		single.entries = 1;
		single.lane = INVAL_LANE_WORKER;
		single.sole = false;
		inval_outbox_write_row(&single);
		if (outcomes[i] == INVAL_OUTCOME_REFUSED)
			inval_refusal_note(inval_outbox_entry_id(single.xid, single.first),
							   errors[i]);
	}
}

/*
 * Adds a row's outcomes to the counters of its rules.
 */
static void
drain_count(const InvalDrain *drain, const InvalOutboxRow *row,
			const InvalOutcome *outcomes, TimestampTz now)
{
	uint64		lag_us = (uint64) Max(now - row->queued_at, 0);
	const char *place = row->pack;
	InvalStatsSlot *slot = NULL;
	uint32		rule = 0;
	uint64		run = 0;
	int			i;

	for (i = 0; i < row->entries; i++)
	{
		InvalEntry	entry;

		place = inval_entry_read(place, row->pack + row->pack_length, &entry);
		if (i == 0 || entry.rule != rule)
		{
			inval_stats_delivered(slot, run, lag_us, true);
			run = 0;
			rule = entry.rule;
			slot = inval_stats_slot(rule, drain->target->name);
		}
		if (outcomes[i] == INVAL_OUTCOME_CONFIRMED)
			run++;
		else if (slot != NULL)
			pg_atomic_fetch_add_u64(&slot->failed_tries, 1);
	}
	inval_stats_delivered(slot, run, lag_us, true);
}
