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
#include "outbox/paused.h"
#include "outbox/read.h"
#include "outbox/rotate.h"
#include "store/pauses.h"
#include "target/breaker.h"
#include "target/health.h"
#include "target/targets.h"
#include "worker/pass.h"
#include "worker/removal.h"
#include "worker/sweep.h"

/* A table of the outbox that has grown beyond this is retired early. */
#define ROTATE_BLOCKS	128

/* How often that is looked at, in ms */
#define SIZE_INTERVAL	100

/* So many rows are moved at a time. */
#define MOVE_ROWS		1000

/* What is owed in a table, and moves to others */
typedef struct SweepMove
{
	bool		under_way;
	bool		only_away;		/* of it, only what is owed to targets that are away */
	Size		size;			/* of it all, and */
	Size		away;			/* of what is owed to those */
	BlockNumber block;			/* how far it is */
	int			rows;			/* moved this time */
	TimestampTz next_measure;
	Relation	relation;
} SweepMove;

static TimestampTz next_sweep;	/* of the tables that may be emptied */
static TimestampTz next_size;	/* look at the size of the tables */
static SweepMove moves[INVAL_OUTBOX_TABLES];

static bool sweep_table(int table);
static bool sweep_has_grown(int table);
static void sweep_measure(int table);
static void sweep_move(int table);
static void sweep_announce_moved(void);
static bool sweep_is_for_away(const InvalOutboxRow *row);
static bool sweep_sum_owed(InvalOutboxRow *row, void *arg);
static bool sweep_move_owed(InvalOutboxRow *row, void *arg);

/*
 * Empties what can be emptied: at intervals, and early where a table has grown.
 * Returns whether there is more to do at once.  For the worker of the target
 * "default".
 */
bool
inval_sweep(void)
{
	TimestampTz now = GetCurrentTimestamp();
	bool		more = false;
	int			table;

	if (now < next_sweep)
	{
		bool		grown = false;

		if (now < next_size)
			return false;
		next_size = TimestampTzPlusMilliseconds(now, SIZE_INTERVAL);
		inval_transaction_begin();
		for (table = 0; table < INVAL_OUTBOX_TABLES && !grown; table++)
			grown = inval_outbox_is_current(table) && sweep_has_grown(table);
		inval_transaction_commit();
		if (!grown)
			return false;
	}
	for (table = 0; table < INVAL_OUTBOX_TABLES; table++)
		more |= sweep_table(table);
	next_sweep = more ? now : TimestampTzPlusMilliseconds(now, inval_sweep_interval);
	return more;
}

/*
 * Empties a table, or else moves some of what it owes.  Returns whether there is
 * more to move.
 *
 * What is owed to targets that are away moves to the tables that are for that, so
 * that nobody else reads it again and again.  And a few entries that cannot be
 * delivered must not keep a table from being emptied: where less than half of it
 * is still owed, all of that moves.  A fast table gets rid of them at once, others
 * when they are large, so that each entry is moved rarely.
 */
static bool
sweep_table(int table)
{
	SweepMove  *move = &moves[table];
	InvalOutboxState state;

	inval_transaction_begin();
	state = inval_outbox_retire(table);
	inval_transaction_commit();
	if (state != INVAL_OUTBOX_OWES || inval_outbox_is_current(table))
	{
		move->under_way = false;
		return false;
	}
	if (!move->under_way && GetCurrentTimestamp() >= move->next_measure)
		sweep_measure(table);
	if (move->under_way)
		sweep_move(table);
	return move->under_way;
}

static bool
sweep_has_grown(int table)
{
	BlockNumber blocks = inval_outbox_blocks(table);

	return blocks > ROTATE_BLOCKS && blocks != InvalidBlockNumber;
}

/*
 * Looks at what is owed in a table, and whether any of it is worth moving.
 */
static void
sweep_measure(int table)
{
	SweepMove  *move = &moves[table];
	TimestampTz begun = GetCurrentTimestamp();
	TimestampTz end;
	BlockNumber blocks;

	memset(move, 0, sizeof(*move));
	inval_transaction_begin();
	inval_pauses_refresh();
	blocks = inval_outbox_blocks(table);
	if (blocks != InvalidBlockNumber)
		(void) inval_outbox_scan(table, 0, sweep_sum_owed, move);
	inval_transaction_commit();
	end = GetCurrentTimestamp();
	move->next_measure = TimestampTzPlusMilliseconds(end, inval_sweep_interval) +
		(end - begun) * INVAL_LOOK_SHARE;
	move->only_away = (table >= INVAL_OUTBOX_SLOW && blocks <= ROTATE_BLOCKS) ||
		move->size * 2 >= (Size) blocks * BLCKSZ;
	move->under_way = move->only_away ? table < INVAL_OUTBOX_KEPT && move->away > 0 :
		move->size > 0;
}

/*
 * Moves the next of it, in a transaction.
 */
static void
sweep_move(int table)
{
	SweepMove  *move = &moves[table];

	move->rows = 0;
	inval_transaction_begin();
	inval_pauses_refresh();
	move->relation = inval_outbox_open(table, RowExclusiveLock);
	if (move->relation != NULL)
	{
		(void) inval_outbox_scan(table, move->block, sweep_move_owed, move);
		relation_close(move->relation, NoLock);
	}
	inval_transaction_commit();
	if (move->rows > 0)
		sweep_announce_moved();
	move->under_way = move->rows >= MOVE_ROWS;
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
		if (inval_target_is_open(other))
			inval_target_wake_worker(other->health);
	}
}

/*
 * What nobody can deliver now: its target is away, or its rules are paused.  The
 * removal of a namespace stays where it is: it stands for what was kept.
 */
static bool
sweep_is_for_away(const InvalOutboxRow *row)
{
	InvalTarget *target = inval_target_by_number(row->target);

	return target != NULL &&
		(inval_outbox_is_paused(row) ||
		 (!inval_target_is_open(target) && !inval_removal_meet(NULL, row)));
}

static bool
sweep_sum_owed(InvalOutboxRow *row, void *arg)
{
	SweepMove  *move = arg;
	Size		size = row->pack_length + MAXALIGN(SizeofHeapTupleHeader) + 48;

	if (!inval_outbox_is_owed(row))
		return true;
	move->size += size;
	if (sweep_is_for_away(row))
		move->away += size;
	return true;
}

static bool
sweep_move_owed(InvalOutboxRow *row, void *arg)
{
	SweepMove  *move = arg;
	InvalOutboxRow moved = *row;

	if ((move->only_away && !sweep_is_for_away(row)) || !inval_outbox_is_owed(row) ||
		!inval_outbox_is_ripe(row, GetCurrentTimestamp()))
		return true;
	move->block = ItemPointerGetBlockNumber(&row->tid);
	if (move->rows >= MOVE_ROWS)
		return false;
	if (!inval_outbox_delete(move->relation, row))
		return true;
	if (inval_outbox_is_waiting(row))
	{
		moved.lane = INVAL_LANE_REPLAY;
		moved.again = false;
	}
	else if (moved.lane != INVAL_LANE_REPEAT && moved.lane != INVAL_LANE_LOOK &&
			 moved.lane != INVAL_LANE_REFILL)
		moved.lane = INVAL_LANE_WORKER;
	moved.sole = false;
	inval_outbox_write_row(&moved, sweep_is_for_away(row));
	move->rows++;
	return true;
}
