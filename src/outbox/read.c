/*
 * read.c
 *		Reading the outbox, and removing what is done with.
 *
 * Reading sees what is committed now, not what the caller's snapshot saw: the
 * question is always what is still owed.  Locks for reading are given back at
 * once, so that a session that looked at inval_queue and then idles in its
 * transaction keeps nobody from emptying a table.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/inval.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/xid8.h"

#include "base/catalog.h"
#include "base/settings.h"
#include "outbox/columns.h"
#include "outbox/kept.h"
#include "outbox/ledger.h"
#include "outbox/read.h"
#include "target/targets.h"
#include "target/trust.h"
#include "version/server.h"

/*
 * A transaction of the commit lane that became visible less than this ago may
 * be about to note that its keys are confirmed; added to the commit timeout.
 */
#define RIPENING_MS		1000

static void read_scan(Relation relation, Snapshot snapshot, int table,
					  BlockNumber start, bool own, InvalOutboxVisitor visit, void *arg);
static void read_row(HeapTuple tuple, TupleDesc desc, int table, InvalOutboxRow *row);
static InvalLedgerState read_ledger(const InvalOutboxRow *row);
static void read_letter(char letter, InvalOutboxRow *row);
static bool read_is_lost(const InvalOutboxRow *row);
static bool read_is_there(Relation relation, Snapshot snapshot, const InvalOutboxRow *row);

static bool never_wait = false; /* this process is a worker */

/*
 * Says that this process is a worker: it never waits for a lock on the outbox.
 * Readers queue behind whoever waits for a strong lock, and that may wait for a
 * prepared transaction, for days.
 */
void
inval_outbox_never_wait(void)
{
	never_wait = true;
}

/*
 * Opens an outbox table.  NULL: the extension is gone, or this process never
 * waits and would have to; what is there is then to be left to a later look.
 */
Relation
inval_outbox_open(int table, int lockmode)
{
	const InvalCatalog *catalog = inval_catalog(true);

	return catalog == NULL ? NULL :
		inval_outbox_open_relation(catalog->outbox[table], lockmode);
}

/*
 * The same for another relation of ours.
 */
Relation
inval_outbox_open_relation(Oid relid, int lockmode)
{
	Relation	relation;

	if (!never_wait)
		return try_relation_open(relid, lockmode);
	if (!ConditionalLockRelationOid(relid, lockmode))
		return NULL;
	relation = try_relation_open(relid, NoLock);
	if (relation == NULL)
		UnlockRelationOid(relid, lockmode);
	return relation;
}

/*
 * Visits the committed rows of a table from a block on.  What the row points
 * to lives until the visitor returns.  Returns false if it could not be opened.
 */
bool
inval_outbox_scan(int table, BlockNumber start, InvalOutboxVisitor visit, void *arg)
{
	Relation	relation = inval_outbox_open(table, AccessShareLock);
	Snapshot	snapshot;

	if (relation == NULL)
		return false;
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	inval_outbox_scan_relation(relation, snapshot, table, start, visit, arg);
	UnregisterSnapshot(snapshot);
	relation_close(relation, AccessShareLock);
	return true;
}

/*
 * The same for all rows that are there, committed or not.
 */
bool
inval_outbox_scan_any(int table, BlockNumber start, InvalOutboxVisitor visit, void *arg)
{
	Relation	relation = inval_outbox_open(table, AccessShareLock);

	if (relation == NULL)
		return false;
	inval_outbox_scan_relation(relation, SnapshotAny, table, start, visit, arg);
	relation_close(relation, AccessShareLock);
	return true;
}

/*
 * Visits the committed rows of the first so many tables, each once, although the
 * worker moves rows from one table to another: it needs a table for itself to
 * empty it, and what it moves is in one place or the other for a snapshot.
 */
void
inval_outbox_scan_all(int tables, InvalOutboxVisitor visit, void *arg)
{
	Relation	relations[INVAL_OUTBOX_TABLES];
	Snapshot	snapshot;
	int			table;

	for (table = 0; table < tables; table++)
		relations[table] = inval_outbox_open(table, AccessShareLock);
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	for (table = 0; table < tables; table++)
	{
		if (relations[table] == NULL)
			continue;
		inval_outbox_scan_relation(relations[table], snapshot, table, 0, visit, arg);
		relation_close(relations[table], AccessShareLock);
	}
	UnregisterSnapshot(snapshot);
}

/*
 * Visits the rows of a table that the caller has opened, as a snapshot shows them.
 */
void
inval_outbox_scan_relation(Relation relation, Snapshot snapshot, int table,
					 BlockNumber start, InvalOutboxVisitor visit, void *arg)
{
	read_scan(relation, snapshot, table, start, false, visit, arg);
}

/*
 * Visits the rows that this transaction has written early, but for those that were
 * rolled back to a savepoint; whatever command wrote them, so by no snapshot.
 */
void
inval_outbox_scan_own(InvalOutboxVisitor visit, void *arg)
{
	int			table;

	for (table = 0; table < INVAL_OUTBOX_TABLES; table++)
	{
		BlockNumber start = inval_outbox_written(table);
		Relation	relation = BlockNumberIsValid(start) ?
			inval_outbox_open(table, AccessShareLock) : NULL;

		if (relation == NULL)
			continue;
		read_scan(relation, SnapshotSelf, table, start, true, visit, arg);
		relation_close(relation, AccessShareLock);
	}
}

/*
 * Visits rows from a block on: this transaction's own, or those of all others.
 */
static void
read_scan(Relation relation, Snapshot snapshot, int table, BlockNumber start, bool own,
		  InvalOutboxVisitor visit, void *arg)
{
	BlockNumber blocks = RelationGetNumberOfBlocks(relation);
	TableScanDesc scan;
	FullTransactionId xid = GetTopFullTransactionIdIfAny();
	HeapTuple	tuple;
	InvalOutboxRow row;

	if (blocks <= start)
		return;
	scan = table_beginscan_strat(relation, snapshot, 0, NULL, true, false);
	if (start > 0)
		heap_setscanlimits(scan, start, blocks - start);
	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		read_row(tuple, RelationGetDescr(relation), table, &row);

		/* What this transaction wrote early is visible to it, not committed. */
		if (own != (FullTransactionIdIsValid(xid) && FullTransactionIdEquals(row.xid, xid)))
			continue;
		if (!visit(&row, arg))
			break;
	}
	table_endscan(scan);
}

static void
read_row(HeapTuple tuple, TupleDesc desc, int table, InvalOutboxRow *row)
{
	Datum		values[OUTBOX_COLUMNS];
	bool		nulls[OUTBOX_COLUMNS];
	struct varlena *pack;

	heap_deform_tuple(tuple, desc, values, nulls);
	row->table = table;
	row->tid = tuple->t_self;
	row->xid = DatumGetFullTransactionId(values[OUTBOX_XID]);
	row->first = nulls[OUTBOX_FIRST] ? OUTBOX_USUAL_FIRST :
		DatumGetInt64(values[OUTBOX_FIRST]);
	row->target = nulls[OUTBOX_TARGET] ? OUTBOX_USUAL_TARGET :
		DatumGetInt32(values[OUTBOX_TARGET]);
	read_letter(DatumGetChar(values[OUTBOX_LANE]), row);
	row->entries = nulls[OUTBOX_ENTRIES] ? OUTBOX_USUAL_ENTRIES :
		DatumGetInt32(values[OUTBOX_ENTRIES]);
	row->queued_at = DatumGetTimestampTz(values[OUTBOX_QUEUED_AT]);
	pack = (struct varlena *) DatumGetPointer(values[OUTBOX_PACK]);
	row->pack = VARDATA_ANY(pack);
	row->pack_length = VARSIZE_ANY_EXHDR(pack);
	row->origin.commands = 0;
	if (unlikely(!nulls[OUTBOX_ORIGIN]))
	{
		pack = (struct varlena *) DatumGetPointer(values[OUTBOX_ORIGIN]);
		inval_origin_read(VARDATA_ANY(pack), VARSIZE_ANY_EXHDR(pack), &row->origin);
	}
	if (row->lane == INVAL_LANE_REPLAY && read_is_lost(row))
	{
		/* It begins anew. */
		row->lane = INVAL_LANE_WORKER;
		row->again = true;
	}
}

/*
 * What the column "lane" says.
 */
static void
read_letter(char letter, InvalOutboxRow *row)
{
	row->lane = INVAL_LANE_WORKER;
	row->sole = row->again = row->at_commit = false;
	switch (letter)
	{
		case OUTBOX_LETTER_COMMIT_ALL_AGAIN:
		case OUTBOX_LETTER_COMMIT_AGAIN:
			row->again = true;
			pg_fallthrough;
		case OUTBOX_LETTER_COMMIT_ALL:
		case OUTBOX_LETTER_COMMIT:
			row->lane = INVAL_LANE_COMMIT;
			break;
		case OUTBOX_LETTER_WORKER_ALL_AGAIN:
		case OUTBOX_LETTER_WORKER_AGAIN:
			row->again = true;
			break;
		case OUTBOX_LETTER_REPEAT:
			row->lane = INVAL_LANE_REPEAT;
			break;
		case OUTBOX_LETTER_REPLAY:
			row->lane = INVAL_LANE_REPLAY;
			break;
		case OUTBOX_LETTER_HELD:
			row->lane = INVAL_LANE_HELD;
			break;
		case OUTBOX_LETTER_LOOK:
			row->lane = INVAL_LANE_LOOK;
			break;
		case OUTBOX_LETTER_REFILL_COMMITTED:
			row->at_commit = true;
			pg_fallthrough;
		case OUTBOX_LETTER_REFILL:
			row->lane = INVAL_LANE_REFILL;
			break;
	}
	row->sole = letter == OUTBOX_LETTER_COMMIT_ALL ||
		letter == OUTBOX_LETTER_COMMIT_ALL_AGAIN ||
		letter == OUTBOX_LETTER_WORKER_ALL ||
		letter == OUTBOX_LETTER_WORKER_ALL_AGAIN;
}

/*
 * Whether the first delivery of a row that is to be repeated may be lost, with the
 * server that has confirmed it.
 */
static bool
read_is_lost(const InvalOutboxRow *row)
{
	InvalTarget *target = inval_target_by_number(row->target);

	return target != NULL && inval_trust_is_limited(target) &&
		(!inval_trust_covers(target, row->xid) || inval_ledger_predates(row->xid));
}

/*
 * What the ledger knows of a row that it can know of: what its transaction's
 * targets have all confirmed, or its own.  Of one that is held, what it would say
 * if it knew.  Of what may be lost it knows nothing.
 */
static InvalLedgerState
read_ledger(const InvalOutboxRow *row)
{
	InvalLedgerState state = inval_ledger_look(row->xid);
	InvalTarget *target = inval_target_by_number(row->target);

	if (row->lane == INVAL_LANE_HELD)
		state = inval_ledger_predates(row->xid) ? INVAL_LEDGER_UNKNOWN : INVAL_LEDGER_CONFIRMED;
	if (target == NULL)
		return state;
	if (!inval_trust_covers(target, row->xid))
		return INVAL_LEDGER_UNKNOWN;
	return state == INVAL_LEDGER_LEFT && row->lane == INVAL_LANE_COMMIT &&
		inval_ledger_has_part(row->xid, target->health) ? INVAL_LEDGER_CONFIRMED : state;
}

/*
 * Whether a committed row is not yet confirmed, or not yet as often as it is to
 * be.  What the ledger says is of a transaction's commit lane, or of the one row
 * that it has queued.
 */
bool
inval_outbox_is_owed(const InvalOutboxRow *row)
{
	if (row->lane == INVAL_LANE_COMMIT || row->lane == INVAL_LANE_HELD || row->sole)
	{
		InvalLedgerState state = read_ledger(row);

		if (state == INVAL_LEDGER_REPEATED ||
			(state == INVAL_LEDGER_CONFIRMED && !row->again))
			return false;
	}
	if (row->lane == INVAL_LANE_LOOK ||
		likely(inval_target_by_number(row->target) != NULL))
		return true;

	/* Nobody is owed what was queued for a target that was dropped. */
	AcceptInvalidationMessages();
	inval_targets_refresh();
	return inval_target_by_number(row->target) != NULL;
}

/*
 * Whether a row that is not owed never will be again, so that it may go.
 */
bool
inval_outbox_is_settled(const InvalOutboxRow *row)
{
	InvalTarget *target = inval_target_by_number(row->target);

	return target == NULL || inval_trust_is_settled(target, row->queued_at);
}

/*
 * Whether an owed row was delivered, and is owed only once more when standbys
 * have replayed it.
 */
bool
inval_outbox_is_waiting(const InvalOutboxRow *row)
{
	return row->lane == INVAL_LANE_REPLAY ||
		(row->again && (row->lane == INVAL_LANE_COMMIT || row->sole) &&
		 read_ledger(row) == INVAL_LEDGER_CONFIRMED);
}

/*
 * Whether nobody is just about to deliver the row: a visible row of the commit
 * lane belongs to a transaction that is in its commit callback, unless it has said
 * how that ended, or is from before the server started, or has been silent for
 * longer than its callback can take.
 */
bool
inval_outbox_is_ripe(const InvalOutboxRow *row, TimestampTz now)
{
	if (row->lane != INVAL_LANE_COMMIT ||
		inval_ledger_look(row->xid) != INVAL_LEDGER_UNKNOWN ||
		inval_ledger_predates(row->xid))
		return true;
	return TimestampDifferenceExceeds(row->queued_at, now,
									  inval_commit_timeout + RIPENING_MS);
}

/*
 * What a row of the lane "refill" comes after, as a row of the commit lane, for the
 * functions above; false if that was not the commit's to deliver.
 */
bool
inval_outbox_refill_after(const InvalOutboxRow *row, InvalOutboxRow *before)
{
	*before = *row;
	before->lane = INVAL_LANE_COMMIT;
	return row->at_commit;
}

/*
 * Whether a row's entries are what this version of inval can read.
 */
bool
inval_outbox_is_readable(const InvalOutboxRow *row)
{
	const char *place = row->pack;
	InvalEntry	entry;
	int			i;

	for (i = 0; i < row->entries && place != NULL; i++)
		place = inval_entry_read(place, row->pack + row->pack_length, &entry);
	return place != NULL;
}

/*
 * Removes a row whose entries are confirmed, in a table that the caller holds
 * a RowExclusiveLock on.  Returns false if the row is gone: somebody else has
 * removed it, and its place may by now be another row's.
 */
bool
inval_outbox_delete(Relation relation, const InvalOutboxRow *row)
{
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	ItemPointerData tid = row->tid;
	TM_FailureData failure;
	bool		deleted;

	/* The row's place cannot change hands while our snapshot sees it. */
	deleted = read_is_there(relation, snapshot, row) &&
		inval_server_delete(relation, &tid, &failure) == TM_Ok;
	UnregisterSnapshot(snapshot);
	if (deleted && row->table >= INVAL_OUTBOX_KEPT && row->lane != INVAL_LANE_REFILL)
		inval_kept_change(row->target, row->xid, -(int64) row->entries, 0);
	return deleted;
}

/*
 * Whether a row is still where it was found, in a table that the caller has
 * opened.
 */
bool
inval_outbox_has(Relation relation, const InvalOutboxRow *row)
{
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	bool		there = read_is_there(relation, snapshot, row);

	UnregisterSnapshot(snapshot);
	return there;
}

static bool
read_is_there(Relation relation, Snapshot snapshot, const InvalOutboxRow *row)
{
	HeapTupleData tuple;
	Buffer		buffer = InvalidBuffer;
	InvalOutboxRow found;
	bool		same;

	tuple.t_self = row->tid;
	if (!BlockNumberIsValid(ItemPointerGetBlockNumber(&row->tid)) ||
		ItemPointerGetBlockNumber(&row->tid) >= RelationGetNumberOfBlocks(relation) ||
		!heap_fetch(relation, snapshot, &tuple, &buffer, false))
		return false;
	read_row(&tuple, RelationGetDescr(relation), row->table, &found);
	same = FullTransactionIdEquals(found.xid, row->xid) &&
		found.first == row->first && found.entries == row->entries;
	ReleaseBuffer(buffer);
	return same;
}

/*
 * How many blocks a table has; InvalidBlockNumber if it could not be opened.
 */
BlockNumber
inval_outbox_blocks(int table)
{
	Relation	relation = inval_outbox_open(table, AccessShareLock);
	BlockNumber blocks;

	if (relation == NULL)
		return InvalidBlockNumber;
	blocks = RelationGetNumberOfBlocks(relation);
	relation_close(relation, AccessShareLock);
	return blocks;
}
