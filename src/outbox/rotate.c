/*
 * rotate.c
 *		Emptying the tables of the outbox.
 *
 * Emptying a table is safe when nobody can still have uncommitted rows in it
 * and everything committed in it is confirmed.  Writers keep their lock on the
 * table until they end, prepared ones until they are finished, so an
 * AccessExclusiveLock proves the first, and a look at the table under that
 * lock the second.  The lock is only ever tried for: no writer ever queues
 * behind a waiting worker.  The table is truncated in place, which needs no
 * new catalog rows and so leaves none to vacuum; that cannot be rolled back,
 * and need not be, because there is nothing in it.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/tableam.h"
#include "catalog/heap.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/catalog.h"
#include "outbox/outbox.h"
#include "outbox/read.h"
#include "outbox/rotate.h"
#include "outbox/tables.h"

/*
 * What waits for standbys will usually be done with so soon that it is not
 * worth moving out of a table that could be emptied.
 */
#define WAITING_MS		10000

/* What a look at a table has found */
typedef struct RotateLook
{
	TimestampTz now;
	bool		owed;
	bool		under_way;		/* somebody waits for replies about a row of it,
								 * or for standbys */
} RotateLook;

static bool rotate_visit_owed(InvalOutboxRow *row, void *arg);
static InvalOutboxState rotate_try_empty(int table, bool may_keep_locks);
static InvalOutboxState rotate_truncate(Relation relation, bool may_keep_locks);
static bool rotate_switch(int table);

static bool
rotate_visit_owed(InvalOutboxRow *row, void *arg)
{
	RotateLook *look = arg;

	if (!inval_outbox_is_owed(row))
		return true;
	/* Locks are released before replies are waited for. */
	if (!inval_outbox_is_ripe(row, look->now) ||
		(inval_outbox_is_waiting(row) &&
		 !TimestampDifferenceExceeds(row->queued_at, look->now, WAITING_MS)))
		look->under_way = true;
	else
		look->owed = true;
	return !look->under_way;
}

/*
 * Empties a table if that is safe now.  Not for a transaction that has changed
 * the table itself: truncating cannot be rolled back.  "may_keep_locks" says
 * that the transaction ends at once, so that locks may last until then.
 */
static InvalOutboxState
rotate_try_empty(int table, bool may_keep_locks)
{
	Oid			relid = inval_catalog(false)->outbox[table];
	Relation	relation;
	RotateLook	look = {.now = GetCurrentTimestamp()};
	Snapshot	snapshot;

	if (!ConditionalLockRelationOid(relid, AccessExclusiveLock))
		return INVAL_OUTBOX_IN_USE;
	relation = try_relation_open(relid, NoLock);
	if (relation == NULL)
	{
		UnlockRelationOid(relid, AccessExclusiveLock);
		return INVAL_OUTBOX_EMPTY;	/* the extension was dropped */
	}
	if (relation->rd_refcnt != 1)
	{
		/* A query of our own is reading it, which no lock keeps from us. */
		relation_close(relation, AccessExclusiveLock);
		return INVAL_OUTBOX_IN_USE;
	}

	snapshot = RegisterSnapshot(GetLatestSnapshot());
	inval_outbox_scan_relation(relation, snapshot, table, 0, rotate_visit_owed, &look);
	UnregisterSnapshot(snapshot);
	if (look.owed || look.under_way || RelationGetNumberOfBlocks(relation) == 0)
	{
		relation_close(relation, AccessExclusiveLock);
		return look.under_way ? INVAL_OUTBOX_IN_USE :
			look.owed ? INVAL_OUTBOX_OWES : INVAL_OUTBOX_EMPTY;
	}

	return rotate_truncate(relation, may_keep_locks);
}

/*
 * Truncates a table and closes it.
 *
 * Usually there is nothing in its toast table.  Then the lock is given back
 * before the commit, as vacuum does after it has truncated: who locks the
 * table next hears first that it is shorter now.  So nobody waits for us should
 * the transaction last, for a standby for example.  With toasted entries the
 * toast table's index is built anew, which others hear of only at commit, so
 * its lock stays until then; it is only tried for, too.
 */
static InvalOutboxState
rotate_truncate(Relation relation, bool may_keep_locks)
{
	Oid			toast = relation->rd_rel->reltoastrelid;
	BlockNumber toast_blocks = 0;

	if (OidIsValid(toast))
	{
		Relation	toast_relation;

		if (!ConditionalLockRelationOid(toast, AccessShareLock))
			toast_blocks = MaxBlockNumber;
		else
		{
			toast_relation = relation_open(toast, NoLock);
			toast_blocks = RelationGetNumberOfBlocks(toast_relation);
			relation_close(toast_relation, AccessShareLock);
		}
	}

	if (toast_blocks == 0)
	{
		table_relation_nontransactional_truncate(relation);
		relation_close(relation, AccessExclusiveLock);
		return INVAL_OUTBOX_EMPTY;
	}
	if (!may_keep_locks || !ConditionalLockRelationOid(toast, AccessExclusiveLock))
	{
		relation_close(relation, AccessExclusiveLock);
		return INVAL_OUTBOX_IN_USE;
	}
	heap_truncate_one_rel(relation);
	relation_close(relation, NoLock);
	return INVAL_OUTBOX_EMPTY;
}

bool
inval_outbox_is_current(int table)
{
	InvalOutboxTables *tables = inval_outbox_tables();

	return (int) pg_atomic_read_u32(table < INVAL_OUTBOX_GROUP ? &tables->current_fast :
									&tables->current_slow) == table;
}

/*
 * Makes an empty table of the same group the current one in place of this
 * one.  Returns false if there is none.
 */
static bool
rotate_switch(int table)
{
	InvalOutboxTables *tables = inval_outbox_tables();
	bool		fast = table < INVAL_OUTBOX_GROUP;
	int			base = fast ? 0 : INVAL_OUTBOX_GROUP;
	int			i;

	for (i = 1; i < INVAL_OUTBOX_GROUP; i++)
	{
		int			next = base + (table - base + i) % INVAL_OUTBOX_GROUP;

		if (inval_outbox_blocks(next) == 0)
		{
			pg_atomic_write_u32(fast ? &tables->current_fast : &tables->current_slow,
								(uint32) next);
			return true;
		}
	}
	return false;
}

/*
 * Takes a table that holds anything out of use, if it is in use and another
 * can take its place, so that it comes to rest; and empties it if that is safe
 * now.  For "may_keep_locks" see rotate_try_empty.
 */
InvalOutboxState
inval_outbox_retire(int table, bool may_keep_locks)
{
	if (inval_outbox_blocks(table) == 0)
		return INVAL_OUTBOX_EMPTY;
	if (inval_outbox_is_current(table))
		(void) rotate_switch(table);
	return rotate_try_empty(table, may_keep_locks);
}

/*
 * Empties what can be emptied, in a session's transaction: for databases
 * without a worker.  Leaves alone what this transaction has changed, since
 * truncating cannot be rolled back.
 */
void
inval_outbox_sweep(bool may_keep_locks)
{
	int			table;

	for (table = 0; table < INVAL_OUTBOX_TABLES; table++)
		if (!inval_outbox_is_mine(table))
			(void) inval_outbox_retire(table, may_keep_locks);
}
