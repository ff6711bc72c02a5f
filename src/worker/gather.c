/*
 * gather.c
 *		Reads a batch from the outbox, fairly.
 *
 * Rows of small transactions are read in the order in which they lie in the
 * tables: first what was announced, and, when all of the tables are looked at, a
 * slice of that.  Large rows, as a statement over many rows leaves them by the
 * thousand, are only noticed on the way: they are read by cursors of their own,
 * and every batch has an equal share of each cursor.  So what was queued last
 * does not wait until the largest purge is through, nor does one rule's wait
 * for another's.  Rules share the cursors for large rows by their numbers.
 * The cursor for what is announced begins again whenever somebody announces
 * something.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "base/settings.h"
#include "outbox/paused.h"
#include "outbox/read.h"
#include "outbox/replay.h"
#include "outbox/tables.h"
#include "store/pauses.h"
#include "target/pace.h"
#include "worker/gather.h"
#include "worker/pass.h"
#include "worker/refusal.h"
#include "worker/removal.h"
#include "worker/requeue.h"

/* Bytes of entries in one batch */
#define BATCH_MAX_BYTES		(8 * 1024 * 1024)

/*
 * A row with more entries is large, and so are all but the first of a transaction
 * that has queued more.
 */
#define SMALL_ENTRIES		64

/* A look at all tables goes on for so long, in us, between two looks at the news. */
#define SLICE_US		5000

/* So many rows are looked at between two looks at the clock. */
#define SLICE_ROWS		256

/*
 * While large rows are left, all tables are looked at again after so many times
 * as long as that took the last time, but not more often than inval.sweep_interval.
 */
#define LOOK_AGAIN_FACTOR	10

/* One reading of a batch */
typedef struct Gathering
{
	InvalBatch *batch;
	InvalPass  *pass;
	InvalPassCursor *cursor;	/* whose turn it is */
	int			may_send;		/* how far it may fill the batch */
	bool		took;			/* it has taken something */
	bool		stopped;		/* it has had its share, or has come to its end */
	bool		full;			/* nobody may take more */
	uint64		slice_ends;		/* of the look at all tables, as inval_clock_us */
	int			visited;		/* rows, in this slice */
	TimestampTz now;
} Gathering;

static void gather_note_pauses(InvalPass *pass);
static void gather_look_again(InvalPass *pass);
static void gather_restart(InvalPassCursor *cursor);
static bool gather_is_large(const InvalPass *pass, const InvalPassCursor *cursor);
static int	gather_round(Gathering *gathering, int limit, bool first);
static void gather_from(Gathering *gathering, InvalPassCursor *cursor);
static BlockNumber gather_first_block(InvalPass *pass, InvalPassCursor *cursor);
static void gather_miss(InvalPass *pass, const InvalPassCursor *cursor,
						BlockNumber block);
static void gather_finish_cursor(InvalPass *pass, InvalPassCursor *cursor);
static bool gather_visit(InvalOutboxRow *row, void *arg);
static bool gather_is_alone(const InvalOutboxRow *row);
static bool gather_is_due(InvalPass *pass, const InvalOutboxRow *row, TimestampTz now);
static InvalPassCursor *gather_cursor_of(InvalPass *pass, const InvalOutboxRow *row);
static void gather_note_large(InvalPassCursor *cursor, const InvalOutboxRow *row);
static bool gather_take(Gathering *gathering, const InvalOutboxRow *row);
static int	place_compare(const InvalPassPlace *a, const InvalPassPlace *b);
static InvalPassPlace place_of(const InvalOutboxRow *row);

/*
 * Reads what comes next, in the pass's memory context and, if it has its own,
 * in a transaction of its own.  A batch without rows means that nothing was met
 * where this one looked; the pass may go on all the same.
 */
void
inval_batch_gather(InvalBatch *batch, InvalPass *pass)
{
	Gathering	gathering = {0};
	int			limit = inval_pace_batch(pass->target);

	gathering.batch = batch;
	gathering.pass = pass;
	gathering.now = GetCurrentTimestamp();
	inval_pass_start_transaction(pass);
	gather_note_pauses(pass);
	inval_batch_init(batch);

	gather_look_again(pass);
	pass->turn_of_all = pass->cursors[INVAL_PASS_ALL].active &&
		(!pass->turn_of_all || !pass->cursors[INVAL_PASS_NEWS].active);
	/* Each has its share; then what is left goes to whoever can use it. */
	if (gather_round(&gathering, limit, true) > 1 && batch->nsent < limit)
		(void) gather_round(&gathering, limit, false);
	inval_pass_commit_transaction(pass);
}

/*
 * Where rules were paused or resumed, what they owe may be anywhere, in what the pass
 * has left behind, too.  So it looks at all once more, however long it goes on.
 */
static void
gather_note_pauses(InvalPass *pass)
{
	inval_pauses_refresh();
	if (pass->pauses == inval_pauses_version())
		return;
	pass->pauses = inval_pauses_version();
	pass->whole = pass->kept = true;
	pass->paused = 0;
	pass->look_us = 0;
	gather_restart(&pass->cursors[INVAL_PASS_ALL]);
}

/*
 * Keeps up with what is queued meanwhile; and, while large rows are left, with
 * what nobody announces.
 */
static void
gather_look_again(InvalPass *pass)
{
	bool		large = false;
	int			i;

	if (!pass->own_transactions)
		return;
	for (i = INVAL_PASS_LARGE; i < INVAL_PASS_CURSORS; i++)
		large |= pass->cursors[i].active;
	if (!pass->cursors[INVAL_PASS_NEWS].active &&
		(large || pass->cursors[INVAL_PASS_ALL].active))
		gather_restart(&pass->cursors[INVAL_PASS_NEWS]);
	if (large && !pass->cursors[INVAL_PASS_ALL].active &&
		inval_clock_us() >= pass->look_again)
	{
		pass->look_us = 0;
		gather_restart(&pass->cursors[INVAL_PASS_ALL]);
	}
}

static void
gather_restart(InvalPassCursor *cursor)
{
	memset(cursor, 0, sizeof(*cursor));
	cursor->active = true;
}

/*
 * Lets each cursor take up to its share, those for small rows first.  In the
 * "first" round each takes something, so it is another large one's turn to be
 * first in the next batch.  The news and the look at all tables, which would meet
 * the same rows, have every other batch.  Returns how many cursors there were.
 */
static int
gather_round(Gathering *gathering, int limit, bool first)
{
	InvalPass  *pass = gathering->pass;
	int			active = 0;
	int			i;

	for (i = 0; i < INVAL_PASS_CURSORS; i++)
		active += pass->cursors[i].active;
	for (i = 0; i < INVAL_PASS_CURSORS && !gathering->full; i++)
	{
		int			number = i < INVAL_PASS_LARGE ? i : INVAL_PASS_LARGE +
			(pass->turn + i) % (INVAL_PASS_CURSORS - INVAL_PASS_LARGE);
		InvalPassCursor *cursor = &pass->cursors[number];

		if (!cursor->active || gathering->batch->nsent >= limit ||
			number == (pass->turn_of_all ? INVAL_PASS_NEWS : INVAL_PASS_ALL))
			continue;
		gathering->took = !first;
		gathering->may_send = first ?
			Min(gathering->batch->nsent + Max(limit / active, 1), limit) : limit;
		gather_from(gathering, cursor);
	}
	if (first)
		pass->turn = (pass->turn + 1) % (INVAL_PASS_CURSORS - INVAL_PASS_LARGE);
	return active;
}

/*
 * Lets one cursor go on.
 */
static void
gather_from(Gathering *gathering, InvalPassCursor *cursor)
{
	InvalPass  *pass = gathering->pass;
	bool		is_all = cursor == &pass->cursors[INVAL_PASS_ALL];
	uint64		begun = inval_clock_us();

	gathering->cursor = cursor;
	gathering->stopped = false;
	gathering->visited = 0;
	gathering->slice_ends = is_all && pass->own_transactions ? begun + SLICE_US : 0;
	while (cursor->next.table < INVAL_OUTBOX_TABLES)
	{
		BlockNumber block = gather_first_block(pass, cursor);

		if (BlockNumberIsValid(block) &&
			!inval_outbox_scan(cursor->next.table, block, gather_visit, gathering))
			gather_miss(pass, cursor, block);
		if (gathering->stopped)
			break;
		cursor->next.table++;
		ItemPointerSet(&cursor->next.tid, 0, 0);
		cursor->entered = false;
		if (gather_is_large(pass, cursor) && cursor->next.table > cursor->last.table)
			break;
	}
	if (is_all)
		pass->look_us += inval_clock_us() - begun;
	if (!gathering->stopped)
		gather_finish_cursor(pass, cursor);
}

static bool
gather_is_large(const InvalPass *pass, const InvalPassCursor *cursor)
{
	return cursor >= &pass->cursors[INVAL_PASS_LARGE];
}

/*
 * Where the look at a table begins or goes on; InvalidBlockNumber if there is
 * nothing to look at.
 */
static BlockNumber
gather_first_block(InvalPass *pass, InvalPassCursor *cursor)
{
	BlockNumber low;

	if (gather_is_large(pass, cursor) || cursor->entered)
		return ItemPointerGetBlockNumberNoCheck(&cursor->next.tid);
	cursor->entered = true;
	if (cursor == &pass->cursors[INVAL_PASS_ALL])
		return cursor->next.table < INVAL_OUTBOX_KEPT || pass->kept ? 0 : InvalidBlockNumber;
	low = pg_atomic_exchange_u32(&pass->target->health->low_block[cursor->next.table],
								 InvalidBlockNumber);
	if (BlockNumberIsValid(low))
		ItemPointerSet(&cursor->next.tid, low, 0);
	return low;
}

/*
 * A table could not be read because somebody waits for it: what was announced
 * of it stays announced, all else is for the next look at everything.
 */
static void
gather_miss(InvalPass *pass, const InvalPassCursor *cursor, BlockNumber block)
{
	if (pass->own_transactions)
		inval_outbox_leave_from(&pass->target->health->low_block[cursor->next.table], block);
}

/*
 * A cursor has come to its end.
 */
static void
gather_finish_cursor(InvalPass *pass, InvalPassCursor *cursor)
{
	if (!gather_is_large(pass, cursor))
	{
		cursor->active = false;
		if (cursor == &pass->cursors[INVAL_PASS_ALL])
			pass->look_again = inval_clock_us() +
				Max((uint64) inval_sweep_interval * 1000, LOOK_AGAIN_FACTOR * pass->look_us);
		return;
	}
	cursor->active = cursor->again;
	cursor->again = false;
	cursor->next = cursor->again_next;
	cursor->last = cursor->again_last;
}

static bool
gather_visit(InvalOutboxRow *row, void *arg)
{
	Gathering  *gathering = arg;
	InvalPass  *pass = gathering->pass;
	InvalPassCursor *cursor = gathering->cursor;
	InvalPassPlace place = place_of(row);
	InvalPassCursor *whose;
	int64		id = inval_outbox_entry_id(row->xid, row->first);

	if (gather_is_large(pass, cursor) && place_compare(&place, &cursor->last) > 0)
	{
		gather_finish_cursor(pass, cursor);
		gathering->stopped = true;
		return false;
	}
	if (gathering->slice_ends != 0 && ++gathering->visited % SLICE_ROWS == 0 &&
		inval_clock_us() >= gathering->slice_ends)
	{
		cursor->next = place;
		gathering->stopped = true;
		return false;
	}
	if (row->target != pass->target->number ||
		place_compare(&place, &cursor->next) < 0 || !inval_outbox_is_owed(row))
		return true;
	if (inval_outbox_is_paused(row))
	{
		/* When its rule is resumed, everything is looked at. */
		if (row->lane != INVAL_LANE_REFILL)
			pass->paused += row->entries;
		return true;
	}
	pass->kept_met |= row->table >= INVAL_OUTBOX_KEPT;
	if (!gather_is_due(pass, row, gathering->now) ||
		!inval_outbox_is_ripe(row, gathering->now) ||
		!inval_refusal_is_due(id, gather_is_alone(row), gathering->now))
		return true;
	if (!inval_outbox_is_readable(row))
	{
		/* It stays queued, is shown, and is none of its neighbours' business. */
		inval_refusal_note(id, INVAL_OUTBOX_UNREADABLE);
		return true;
	}
	if (inval_refills_meet(pass->refills, row, gathering->now) ||
		inval_removal_meet(pass->removal, row))
		return true;

	whose = gather_cursor_of(pass, row);
	if (whose == cursor || (whose == NULL && !gather_is_large(pass, cursor)))
		return gather_take(gathering, row);
	if (whose != NULL && !gather_is_large(pass, cursor))
		gather_note_large(whose, row);
	return true;
}

/*
 * Whether a row may be that of an entry which was refused before: see
 * inval_drain_split.
 */
static bool
gather_is_alone(const InvalOutboxRow *row)
{
	return row->entries == 1 && !row->sole && row->lane == INVAL_LANE_WORKER &&
		row->table >= INVAL_OUTBOX_SLOW;
}

/*
 * Whether a repetition is due, by time or by what standbys have replayed; all else
 * is.
 */
static bool
gather_is_due(InvalPass *pass, const InvalOutboxRow *row, TimestampTz now)
{
	if (inval_outbox_is_waiting(row))
		return inval_replay_is_done(row->xid);
	if (row->lane != INVAL_LANE_REPEAT || row->queued_at <= now)
		return true;
	if (pass->next_due == 0 || row->queued_at < pass->next_due)
		pass->next_due = row->queued_at;
	return false;
}

/*
 * Whose a row is: that of the rule of its first entry; NULL if it is small, and
 * any cursor's for such.
 */
static InvalPassCursor *
gather_cursor_of(InvalPass *pass, const InvalOutboxRow *row)
{
	InvalEntry	entry;

	if (row->first + row->entries <= SMALL_ENTRIES)
		return NULL;
	(void) inval_entry_read(row->pack, row->pack + row->pack_length, &entry);
	return &pass->cursors[INVAL_PASS_LARGE +
						  entry.rule % (INVAL_PASS_CURSORS - INVAL_PASS_LARGE)];
}

/*
 * A cursor for small rows has met a large one: the one whose it is must go so far.
 */
static void
gather_note_large(InvalPassCursor *cursor, const InvalOutboxRow *row)
{
	InvalPassPlace place = place_of(row);

	if (!cursor->active)
	{
		cursor->active = true;
		cursor->next = place;
		cursor->last = place;
		cursor->again = false;
	}
	else if (place_compare(&place, &cursor->next) >= 0)
	{
		if (place_compare(&place, &cursor->last) > 0)
			cursor->last = place;
	}
	else if (!cursor->again)
	{
		cursor->again = true;
		cursor->again_next = place;
		cursor->again_last = place;
	}
	else if (place_compare(&place, &cursor->again_next) < 0)
		cursor->again_next = place;
	else if (place_compare(&place, &cursor->again_last) > 0)
		cursor->again_last = place;
}

/*
 * Puts a row into the batch.  Returns false, as a visitor does, once the cursor
 * must stop.
 */
static bool
gather_take(Gathering *gathering, const InvalOutboxRow *row)
{
	InvalBatch *batch = gathering->batch;
	InvalPassCursor *cursor = gathering->cursor;

	cursor->next = place_of(row);
	gathering->stopped = true;
	if (batch->nrows > 0 &&
		(batch->bytes + row->pack_length > BATCH_MAX_BYTES ||
		 batch->entries + row->entries > inval_batch_keys))
	{
		gathering->full = true;
		return false;
	}
	if (gathering->took && batch->nsent + row->entries > gathering->may_send)
		return false;			/* the next batch begins here */

	inval_batch_add(batch, row);
	gathering->took = true;
	cursor->next.tid.ip_posid++;
	gathering->stopped = false;
	return true;
}

static int
place_compare(const InvalPassPlace *a, const InvalPassPlace *b)
{
	ItemPointerData first = a->tid;
	ItemPointerData second = b->tid;

	if (a->table != b->table)
		return a->table < b->table ? -1 : 1;
	return ItemPointerCompare(&first, &second);
}

static InvalPassPlace
place_of(const InvalOutboxRow *row)
{
	InvalPassPlace place;

	place.table = row->table;
	place.tid = row->tid;
	return place;
}
