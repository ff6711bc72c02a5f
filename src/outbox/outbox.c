/*
 * outbox.c
 *		Writing to the tables that hold queued invalidations.
 *
 * Nine tables in three groups.  The fast ones are written at the end of a
 * transaction, so that its lock on them lasts for moments only; the slow ones
 * are written before that (sets larger than memory) or by prepared
 * transactions, whose locks may last for days.  What is queued at the end of a
 * transaction for a target that is away goes to the kept ones, where the other
 * targets' workers do not look; only what is announced afterwards may go there,
 * or what the workers themselves move.  In each group one table is
 * current and takes the new rows; the others wait until nobody holds a lock on
 * them and all they hold is confirmed, and are then emptied whole
 * (rotate.c).  So dead rows never pile up, whatever snapshots are held.
 *
 * Which table is current is only advice: a writer that finds it locked takes
 * the next, and readers look at all of them.
 *
 * Rows go in by heap_insert without logical information: no key reaches a
 * logical replication stream.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/xid8.h"

#include "base/catalog.h"
#include "outbox/columns.h"
#include "outbox/kept.h"
#include "outbox/outbox.h"
#include "outbox/replay.h"
#include "outbox/tables.h"
#include "target/breaker.h"
#include "target/pace.h"
#include "target/targets.h"

/*
 * Bytes of entries in one row: with the other columns, as much as fits on a
 * page.  The largest entry fits, so nothing is ever toasted.
 */
#define PACK_MAX	8000

/* The same where the row says who has queued it */
#define PACK_MAX_KNOWN	(PACK_MAX - VARHDRSZ - INVAL_ORIGIN_SIZE)

StaticAssertDecl(INVAL_MAX_KEY_LENGTH + 64 < PACK_MAX_KNOWN, "an entry must fit into a row");

/* From this many rows on, extend the table by a strategy for bulk writes. */
#define BULK_ROWS	16

/* Numbers the entries of the current transaction. */
static FullTransactionId numbered_xid;
static int64 next_number;

/* The first block of each table that the current transaction wrote to. */
static BlockNumber written[INVAL_OUTBOX_TABLES];

static void outbox_enter_transaction(FullTransactionId xid);
static int	outbox_base(InvalLane lane, int32 target, InvalOutboxUse use);
static bool outbox_is_away(int32 target);
static Relation outbox_open_for_write(int base, int *table);
static BlockNumber outbox_insert(Relation relation, const InvalOutboxRow *row,
						  BulkInsertState bulk);
static char outbox_letter(const InvalOutboxRow *row);
static int	outbox_most_entries(int32 target);
static Size outbox_slice(const char *entries, Size length, Size room, int most, int32 *count);

/*
 * Queues entries (packed as base/entry.h has them) as part of the current
 * transaction; those of the lane "repeat" are due after_ms later.  Leaves a
 * RowExclusiveLock until the transaction ends.
 */
void
inval_outbox_write(const char *entries, Size length, InvalLane lane,
				   int32 target, int after_ms, InvalOutboxUse use)
{
	InvalOutboxRow row = {0};
	Relation	relation;
	BulkInsertState bulk = NULL;
	int			most = outbox_most_entries(target);
	Size		room;

	if (length == 0)
		return;

	row.xid = GetTopFullTransactionId();
	row.lane = lane;
	row.again = (lane == INVAL_LANE_COMMIT || lane == INVAL_LANE_WORKER) &&
		inval_replay_is_wanted();
	row.at_commit = use == INVAL_OUTBOX_AT_COMMIT;
	row.target = target;
	row.queued_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), after_ms);
	inval_origin_of_transaction(&row.origin);
	room = row.origin.commands == 0 ? PACK_MAX : PACK_MAX_KNOWN;
	outbox_enter_transaction(row.xid);

	relation = outbox_open_for_write(outbox_base(lane, target, use), &row.table);
	if (length > BULK_ROWS * PACK_MAX)
		bulk = GetBulkInsertState();
	while (length > 0)
	{
		BlockNumber block;

		row.pack = entries;
		row.pack_length = outbox_slice(entries, length, room, most, &row.entries);
		row.first = next_number;
		row.sole = use == INVAL_OUTBOX_ALL && row.pack_length == length &&
			next_number == 0;
		block = outbox_insert(relation, &row, bulk);
		written[row.table] = Min(written[row.table], block);
		next_number += row.entries;
		entries += row.pack_length;
		length -= row.pack_length;
	}
	if (bulk != NULL)
		FreeBulkInsertState(bulk);
	relation_close(relation, NoLock);
}

/*
 * A number for an entry of this transaction, which no other one of it has.
 */
int64
inval_outbox_take_number(void)
{
	outbox_enter_transaction(GetTopFullTransactionId());
	return next_number++;
}

/*
 * Which group rows go to: where it begins.
 */
static int
outbox_base(InvalLane lane, int32 target, InvalOutboxUse use)
{
	if (use == INVAL_OUTBOX_LASTING)
		return INVAL_OUTBOX_SLOW;
	if (lane != INVAL_LANE_COMMIT && outbox_is_away(target))
		return INVAL_OUTBOX_KEPT;
	return use == INVAL_OUTBOX_STAYING ? INVAL_OUTBOX_SLOW : INVAL_OUTBOX_FAST;
}

static bool
outbox_is_away(int32 number)
{
	InvalTarget *target = inval_target_by_number(number);

	return target != NULL && !inval_target_is_open(target);
}

/*
 * What was noted of another transaction does not count in this one.
 */
static void
outbox_enter_transaction(FullTransactionId xid)
{
	int			i;

	if (FullTransactionIdEquals(xid, numbered_xid))
		return;
	numbered_xid = xid;
	next_number = 0;
	for (i = 0; i < INVAL_OUTBOX_TABLES; i++)
		written[i] = InvalidBlockNumber;
}

/*
 * The first block of a table that this transaction wrote to, savepoints that were
 * rolled back included; InvalidBlockNumber if it wrote nothing there.
 */
BlockNumber
inval_outbox_written(int table)
{
	FullTransactionId own = GetTopFullTransactionIdIfAny();

	return FullTransactionIdIsValid(own) && FullTransactionIdEquals(own, numbered_xid) ?
		written[table] : InvalidBlockNumber;
}

/*
 * Tells the worker of a target from where on it finds what this transaction
 * wrote.  Called when that is visible, so that who looks from there on sees it.
 */
void
inval_outbox_announce(InvalTargetHealth *target)
{
	int			i;

	for (i = 0; i < INVAL_OUTBOX_TABLES; i++)
		inval_outbox_leave_from(&target->low_block[i], written[i]);
}

/*
 * The same for look-ups that are to be made again.  Cannot fail.
 */
void
inval_outbox_announce_looks(void)
{
	int			i;

	for (i = 0; i < INVAL_OUTBOX_TABLES; i++)
		inval_outbox_leave_looks(i, written[i]);
}

/*
 * Queues a row that was queued before, under its old identity: what remains of
 * a row when some of its entries are done, or a row that is moved.  "keep": to where
 * what nobody can deliver now lies, which is for what will be announced only.
 */
void
inval_outbox_write_row(const InvalOutboxRow *row, bool keep)
{
	InvalOutboxRow again = *row;
	Relation	relation;
	BlockNumber block;

	relation = outbox_open_for_write(keep ? INVAL_OUTBOX_KEPT : INVAL_OUTBOX_SLOW,
									 &again.table);
	outbox_enter_transaction(GetTopFullTransactionId());
	block = outbox_insert(relation, &again, NULL);
	written[again.table] = Min(written[again.table], block);
	relation_close(relation, NoLock);
}

/*
 * Opens the current table of a group, or the next one that is not just being
 * emptied.  If all are, waits for the current one, which takes moments.
 */
static Relation
outbox_open_for_write(int base, int *table)
{
	InvalOutboxTables *tables = inval_outbox_tables();
	int			current = (int) pg_atomic_read_u32(&tables->current[base / INVAL_OUTBOX_GROUP]);
	int			i;

	for (i = 0; i < INVAL_OUTBOX_GROUP; i++)
	{
		Oid			relid;

		*table = base + (current - base + i) % INVAL_OUTBOX_GROUP;
		relid = inval_catalog(false)->outbox[*table];
		if (ConditionalLockRelationOid(relid, RowExclusiveLock))
			return relation_open(relid, NoLock);
	}
	*table = current;
	return relation_open(inval_catalog(false)->outbox[current], RowExclusiveLock);
}

/*
 * A row is delivered as a whole, so it has no more entries than a batch of its
 * target, which may have a rate, can have.
 */
static int
outbox_most_entries(int32 number)
{
	InvalTarget *target = inval_target_by_number(number);

	return target ? inval_pace_batch(target) : INT_MAX;
}

/*
 * How many bytes from the front of "entries" make one row of at most so many bytes and
 * entries, and how many they are.  What is delivered by other means is alone in its
 * row.
 */
static Size
outbox_slice(const char *entries, Size length, Size room, int most, int32 *count)
{
	const char *place = entries;
	const char *end = entries + length;

	*count = 0;
	while (place < end)
	{
		InvalEntry	entry;
		const char *next = inval_entry_read(place, end, &entry);

		if (next == NULL)
			elog(ERROR, "malformed invalidation in the pending set");
		if (*count > 0 && ((Size) (next - entries) > room || *count == most ||
						   entry.action == INVAL_ACTION_PREFIX))
			break;
		(*count)++;
		place = next;
		if (entry.action == INVAL_ACTION_PREFIX)
			break;
	}
	return (Size) (place - entries);
}

static char
outbox_letter(const InvalOutboxRow *row)
{
	if (row->lane == INVAL_LANE_REPEAT)
		return OUTBOX_LETTER_REPEAT;
	if (row->lane == INVAL_LANE_REPLAY)
		return OUTBOX_LETTER_REPLAY;
	if (row->lane == INVAL_LANE_HELD)
		return OUTBOX_LETTER_HELD;
	if (row->lane == INVAL_LANE_LOOK)
		return OUTBOX_LETTER_LOOK;
	if (row->lane == INVAL_LANE_REFILL)
		return row->at_commit ? OUTBOX_LETTER_REFILL_COMMITTED : OUTBOX_LETTER_REFILL;
	if (row->again && row->lane == INVAL_LANE_COMMIT)
		return row->sole ? OUTBOX_LETTER_COMMIT_ALL_AGAIN : OUTBOX_LETTER_COMMIT_AGAIN;
	if (row->again)
		return row->sole ? OUTBOX_LETTER_WORKER_ALL_AGAIN : OUTBOX_LETTER_WORKER_AGAIN;
	if (row->lane == INVAL_LANE_COMMIT)
		return row->sole ? OUTBOX_LETTER_COMMIT_ALL : OUTBOX_LETTER_COMMIT;
	return row->sole ? OUTBOX_LETTER_WORKER_ALL : OUTBOX_LETTER_WORKER;
}

/*
 * Inserts a row; returns the block it went to.
 */
static BlockNumber
outbox_insert(Relation relation, const InvalOutboxRow *row, BulkInsertState bulk)
{
	Datum		values[OUTBOX_COLUMNS] = {0};
	bool		nulls[OUTBOX_COLUMNS] = {0};
	bytea	   *pack = palloc(VARHDRSZ + row->pack_length);
	bytea	   *origin = NULL;
	HeapTuple	tuple;
	BlockNumber block;

	SET_VARSIZE(pack, VARHDRSZ + row->pack_length);
	memcpy(VARDATA(pack), row->pack, row->pack_length);

	values[OUTBOX_XID] = FullTransactionIdGetDatum(row->xid);
	values[OUTBOX_FIRST] = Int64GetDatum(row->first);
	values[OUTBOX_TARGET] = Int32GetDatum(row->target);
	values[OUTBOX_LANE] = CharGetDatum(outbox_letter(row));
	values[OUTBOX_ENTRIES] = Int32GetDatum(row->entries);
	values[OUTBOX_QUEUED_AT] = TimestampTzGetDatum(row->queued_at);
	values[OUTBOX_PACK] = PointerGetDatum(pack);
	nulls[OUTBOX_ORIGIN] = row->origin.commands == 0;
	if (!nulls[OUTBOX_ORIGIN])
	{
		origin = palloc(VARHDRSZ + INVAL_ORIGIN_SIZE);
		SET_VARSIZE(origin, VARHDRSZ + inval_origin_write(&row->origin, VARDATA(origin)));
	}
	values[OUTBOX_ORIGIN] = PointerGetDatum(origin);

	/* What is usual is left out: a commit waits for each page of WAL. */
	nulls[OUTBOX_FIRST] = row->first == OUTBOX_USUAL_FIRST;
	nulls[OUTBOX_TARGET] = row->target == OUTBOX_USUAL_TARGET;
	nulls[OUTBOX_ENTRIES] = row->entries == OUTBOX_USUAL_ENTRIES;

	tuple = heap_form_tuple(RelationGetDescr(relation), values, nulls);
	heap_insert(relation, tuple, GetCurrentCommandId(true),
				HEAP_INSERT_NO_LOGICAL, bulk);
	block = ItemPointerGetBlockNumber(&tuple->t_self);
	heap_freetuple(tuple);
	pfree(pack);
	if (origin != NULL)
		pfree(origin);
	if (row->table >= INVAL_OUTBOX_KEPT && row->lane != INVAL_LANE_REFILL)
		inval_kept_change(row->target, row->xid, row->entries, row->queued_at);
	return block;
}

/*
 * The number that identifies an entry while it is queued.  Leaves room for 16
 * million entries in a transaction; those beyond run on into the numbers of
 * the next ones, which only makes them ambiguous to people.
 */
int64
inval_outbox_entry_id(FullTransactionId xid, int64 number)
{
	return (int64) ((U64FromFullTransactionId(xid) << 24) + (uint64) number) &
		PG_INT64_MAX;
}
