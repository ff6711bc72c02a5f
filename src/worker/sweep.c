/*
 * sweep.c
 *		Keeps the tables of the outbox small.
 *
 * Tables that owe nothing any more are emptied whole (outbox/rotate.c); what
 * little is owed in others is moved, so that they can be.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/xact.h"
#include "utils/rel.h"

#include "base/settings.h"
#include "base/transaction.h"
#include "outbox/outbox.h"
#include "outbox/read.h"
#include "outbox/rotate.h"
#include "target/health.h"
#include "target/targets.h"
#include "worker/sweep.h"

/* A table of the outbox that has grown beyond this is retired early. */
#define ROTATE_BLOCKS	128

/* How often that is looked at, in ms */
#define SIZE_INTERVAL	100

static TimestampTz next_sweep;	/* of the tables that may be emptied */
static TimestampTz next_size;	/* look at the size of the tables */

static void sweep_table(int table);
static void sweep_compact(int table);
static void sweep_announce_moved(void);
static bool sweep_sum_owed(InvalOutboxRow *row, void *arg);
static bool sweep_move_owed(InvalOutboxRow *row, void *arg);

/*
 * Empties what can be emptied: at intervals, and early where a table has grown.
 * For the worker of the target "default".
 */
void
inval_sweep(void)
{
	TimestampTz now = GetCurrentTimestamp();
	int			table;

	if (now < next_sweep)
	{
		bool		grown = false;

		if (now < next_size)
			return;
		next_size = TimestampTzPlusMilliseconds(now, SIZE_INTERVAL);
		inval_transaction_begin();
		for (table = 0; table < INVAL_OUTBOX_TABLES && !grown; table++)
			grown = inval_outbox_is_current(table) &&
				inval_outbox_blocks(table) > ROTATE_BLOCKS;
		inval_transaction_commit();
		if (!grown)
			return;
	}
	for (table = 0; table < INVAL_OUTBOX_TABLES; table++)
		sweep_table(table);
	next_sweep = TimestampTzPlusMilliseconds(now, inval_sweep_interval);
}

static void
sweep_table(int table)
{
	InvalOutboxState state;

	inval_transaction_begin();
	state = inval_outbox_retire(table, true);
	inval_transaction_commit();
	if (state == INVAL_OUTBOX_OWES && !inval_outbox_is_current(table))
		sweep_compact(table);
}

/*
 * A few entries that cannot be delivered must not keep a table from being
 * emptied: where less than half of it is still owed, that moves to the current
 * slow table.  A fast table gets rid of them at once, a slow one when it is
 * large, so that each entry is moved rarely.
 */
static void
sweep_compact(int table)
{
	BlockNumber blocks;
	Size		owed = 0;
	Relation	relation;
	bool		moved = false;

	inval_transaction_begin();
	blocks = inval_outbox_blocks(table);
	if (table >= INVAL_OUTBOX_GROUP && blocks <= ROTATE_BLOCKS)
	{
		inval_transaction_commit();
		return;
	}
	(void) inval_outbox_scan(table, 0, sweep_sum_owed, &owed);
	if (owed * 2 < (Size) blocks * BLCKSZ)
	{
		relation = inval_outbox_open(table, RowExclusiveLock);
		if (relation != NULL)
		{
			(void) inval_outbox_scan(table, 0, sweep_move_owed, relation);
			relation_close(relation, NoLock);
			moved = TransactionIdIsValid(GetTopTransactionIdIfAny());
		}
	}
	inval_transaction_commit();
	if (moved)
		sweep_announce_moved();
}

/*
 * Their transactions have said where they are, and they are there no more: the
 * workers would find them at their next look at everything only.
 */
static void
sweep_announce_moved(void)
{
	InvalTarget *other;

	for (other = inval_targets(); other != NULL; other = other->next)
	{
		if (other->dropped)
			continue;
		inval_outbox_announce(other->health);
		inval_target_wake_worker(other->health);
	}
}

static bool
sweep_sum_owed(InvalOutboxRow *row, void *arg)
{
	if (inval_outbox_is_owed(row))
		*(Size *) arg += row->pack_length + MAXALIGN(SizeofHeapTupleHeader) + 48;
	return true;
}

static bool
sweep_move_owed(InvalOutboxRow *row, void *arg)
{
	if (inval_outbox_is_owed(row) &&
		inval_outbox_is_ripe(row, GetCurrentTimestamp()) &&
		inval_outbox_delete(arg, row))
	{
		InvalOutboxRow moved = *row;

		if (inval_outbox_is_waiting(row))
		{
			moved.lane = INVAL_LANE_REPLAY;
			moved.again = false;
		}
		else if (moved.lane != INVAL_LANE_REPEAT && moved.lane != INVAL_LANE_LOOK)
			moved.lane = INVAL_LANE_WORKER;
		moved.sole = false;
		inval_outbox_write_row(&moved);
	}
	return true;
}
