/*
 * rotate.c
 *		Emptying the tables of the outbox.
 *
 * Emptying a table is safe when nobody can still have uncommitted rows in it
 * and everything committed in it is confirmed for good.  Writers keep their lock
 * on the table until they end, prepared ones until they are finished, so an
 * AccessExclusiveLock proves the first, and a look at the table under that
 * lock the second.  The lock is only ever tried for: no writer ever queues
 * behind a waiting worker.  The table is truncated in place, which needs no
 * new catalog rows and so leaves none to vacuum; that cannot be rolled back,
 * and need not be, because there is nothing in it.  Rows of a transaction that was
 * rolled back are nothing, unless it has left fences that are to be ended.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/tableam.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/catalog.h"
#include "base/fencers.h"
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
	InvalOutboxState state;
	InvalOutboxRow row;			/* that says so, if it is not empty */
} RotateLook;

/*
 * For each table a row that was owed, or may be again, when we last looked.  While
 * it is, there is nothing to be found out: an idle server with entries that stay
 * takes no lock and so no transaction id, and reads one row.
 */
static InvalOutboxRow witnesses[INVAL_OUTBOX_TABLES];
static bool has_witness[INVAL_OUTBOX_TABLES];

static bool rotate_visit(InvalOutboxRow *row, void *arg);
static bool rotate_ask_witness(int table, InvalOutboxState *state);
static InvalOutboxState rotate_try_empty(int table);
static bool rotate_switch(int table);

static bool
rotate_visit(InvalOutboxRow *row, void *arg)
{
	RotateLook *look = arg;
	bool		owed = inval_outbox_is_owed(row);

	if (!owed && inval_outbox_is_settled(row))
		return true;
	look->row = *row;
	look->row.pack = NULL;
	/* Locks are released before replies are waited for. */
	if (!owed || !inval_outbox_is_ripe(row, look->now) ||
		(inval_outbox_is_waiting(row) &&
		 !TimestampDifferenceExceeds(row->queued_at, look->now, WAITING_MS)))
		look->state = INVAL_OUTBOX_IN_USE;
	else
		look->state = INVAL_OUTBOX_OWES;
	return false;
}

/*
 * Whether that row still keeps its table from being emptied, and what that means.
 */
static bool
rotate_ask_witness(int table, InvalOutboxState *state)
{
	RotateLook	look = {.now = GetCurrentTimestamp(),.state = INVAL_OUTBOX_EMPTY};
	Relation	relation;

	if (!has_witness[table] || rotate_visit(&witnesses[table], &look))
		return false;
	relation = inval_outbox_open(table, AccessShareLock);
	*state = INVAL_OUTBOX_IN_USE;
	if (relation == NULL)
		return true;
	has_witness[table] = inval_outbox_has(relation, &witnesses[table]);
	relation_close(relation, AccessShareLock);
	*state = look.state;
	return has_witness[table];
}

/*
 * Empties a table if that is safe now.  Not for a transaction that has changed
 * anything: truncating cannot be rolled back.
 *
 * The lock is given back before the commit, as vacuum does after it has
 * truncated: who locks the table next hears first that it is shorter now.  So
 * nobody waits for us should the transaction last, for a standby for example.
 */
static InvalOutboxState
rotate_try_empty(int table)
{
	Oid			relid = inval_catalog(false)->outbox[table];
	Relation	relation;
	RotateLook	look = {.now = GetCurrentTimestamp(),.state = INVAL_OUTBOX_EMPTY};
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
	inval_outbox_scan_relation(relation, snapshot, table, 0, rotate_visit, &look);
	UnregisterSnapshot(snapshot);
	has_witness[table] = look.state != INVAL_OUTBOX_EMPTY;
	witnesses[table] = look.row;
	if (look.state == INVAL_OUTBOX_EMPTY && inval_fencers_need(table))
		look.state = INVAL_OUTBOX_IN_USE;
	if (look.state == INVAL_OUTBOX_EMPTY && RelationGetNumberOfBlocks(relation) > 0)
		table_relation_nontransactional_truncate(relation);
	relation_close(relation, AccessExclusiveLock);
	return look.state;
}

bool
inval_outbox_is_current(int table)
{
	InvalOutboxTables *tables = inval_outbox_tables();

	return (int) pg_atomic_read_u32(&tables->current[table / INVAL_OUTBOX_GROUP]) == table;
}

/*
 * Makes an empty table of the same group the current one in place of this
 * one.  Returns false if there is none.
 */
static bool
rotate_switch(int table)
{
	InvalOutboxTables *tables = inval_outbox_tables();
	int			group = table / INVAL_OUTBOX_GROUP;
	int			base = group * INVAL_OUTBOX_GROUP;
	int			i;

	for (i = 1; i < INVAL_OUTBOX_GROUP; i++)
	{
		int			next = base + (table - base + i) % INVAL_OUTBOX_GROUP;

		if (inval_outbox_blocks(next) == 0)
		{
			pg_atomic_write_u32(&tables->current[group], (uint32) next);
			return true;
		}
	}
	return false;
}

/*
 * Takes a table that holds anything out of use, if it is in use and another
 * can take its place, so that it comes to rest; and empties it if that is safe
 * now.
 */
InvalOutboxState
inval_outbox_retire(int table)
{
	BlockNumber blocks = inval_outbox_blocks(table);
	InvalOutboxState state;

	if (blocks == 0 || blocks == InvalidBlockNumber)
		return blocks == 0 ? INVAL_OUTBOX_EMPTY : INVAL_OUTBOX_IN_USE;
	if (inval_outbox_is_current(table))
		(void) rotate_switch(table);
	if (rotate_ask_witness(table, &state))
		return state;
	return rotate_try_empty(table);
}
