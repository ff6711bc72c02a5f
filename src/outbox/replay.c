/*
 * replay.c
 *		What the standbys have replayed.
 *
 * With inval.repeat_after_replay, what was delivered is delivered once more when
 * every standby shows the new row, because a reader may until then take the old
 * one from a standby and put it back into the cache.
 *
 * Where a transaction's commit record lies is not known when its rows are
 * queued, and need not be.  A mark is a snapshot and, taken after it, the place
 * of the last record of the WAL: whatever the snapshot sees as committed has
 * its commit record at or before that place.  Once all standbys have replayed
 * beyond it, whatever the snapshot sees is replayed.  So there are a few marks
 * however many rows wait, nothing is kept for a row, and marks are this
 * process's own: after a crash they are simply made anew.  A worker that leaves
 * hands on two of them, or where workers take turns that are shorter than a standby
 * takes, none would ever be passed.
 *
 * The standbys that count are those that pg_stat_replication shows as streaming
 * or catching up and that report what they replay, and those that are away
 * but have a physical replication slot.  Nobody is waited for longer than
 * inval.replay_timeout.
 *
 * A standby reports when it receives something, and when it has replayed all
 * that it has received.  So where little is written we hear at once, whatever
 * wal_receiver_status_interval is, and where much is written soon.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "replication/walsender.h"
#include "utils/memutils.h"
#include "utils/pg_lsn.h"
#include "utils/snapmgr.h"

#include "base/catalog.h"
#include "base/settings.h"
#include "outbox/replay.h"

/*
 * While a mark is open the next one is made a second later, so that what comes
 * meanwhile waits a second longer than it would have to.  Beyond so many marks
 * it waits for the oldest of them instead.
 */
#define MARK_INTERVAL_MS	1000
#define MAX_MARKS			64

/* How often we ask: a quarter of the time that a mark is open, within this. */
#define LOOK_MIN_MS			50
#define LOOK_MAX_MS			250

/*
 * A reader needs some time from reading the old row to caching it.  So that those
 * who read it at the last moment are caught too, what is replayed is repeated
 * this much later.
 */
#define GRACE_MS			100

typedef struct ReplayMark
{
	InvalMarkHead head;
	TransactionId running[FLEXIBLE_ARRAY_MEMBER];
} ReplayMark;

/* The standbys as we find them */
typedef struct Standbys
{
	int64		count;
	XLogRecPtr	replayed;		/* by all of them; invalid: not known */
} Standbys;

static ReplayMark *marks[MAX_MARKS];	/* open ones, oldest first */
static int	nmarks = 0;
static ReplayMark *done = NULL; /* the newest that was passed */
static bool used = false;		/* what waits is covered by that */
static bool asked = false;		/* somebody waits for what no mark covers */
static TimestampTz next_look = 0;
static bool late = false;		/* the log says so */
static InvalTargetHealth *hands_on = NULL;	/* where a worker does that */
static bool taken_over = false; /* it has what the one before has left */

static ReplayMark *replay_mark(TimestampTz now);
static XLogRecPtr replay_place(void);
static void replay_take_over(void);
static void replay_keep(InvalKeptMark *kept, const ReplayMark *mark);
static int	replay_compare(const void *a, const void *b, void *oldest);
static uint32 replay_distance(TransactionId xid, TransactionId oldest);
static bool replay_sees(const ReplayMark *mark, FullTransactionId xid);
static void replay_read_standbys(Standbys *standbys);
static bool replay_is_behind(const Standbys *standbys, const ReplayMark *mark);
static void replay_distrust(const Standbys *standbys);
static bool replay_close_marks(const Standbys *standbys, TimestampTz now);
static void replay_close_oldest(void);
static void replay_forget_done(void);
static void replay_log_change(bool is_late);

/*
 * Whether what a transaction queues now is to be repeated.  Cannot fail.
 */
bool
inval_replay_is_wanted(void)
{
	return inval_repeat_after_replay && max_wal_senders > 0;
}

/*
 * Whether all standbys have replayed a committed transaction, or were waited for
 * long enough.  If that is not known, inval_replay_look will find out.
 */
bool
inval_replay_is_done(FullTransactionId xid)
{
	if (done != NULL && replay_sees(done, xid))
	{
		used = true;
		return true;
	}
	if (nmarks == 0 || !replay_sees(marks[nmarks - 1], xid))
		asked = true;
	return false;
}

/*
 * When inval_replay_look has something to do again; 0: nobody waits.
 */
TimestampTz
inval_replay_next_look(void)
{
	return nmarks > 0 || asked ? Max(next_look, 1) : 0;
}

/*
 * Whether inval_replay_look has something to do now.  What was done when somebody
 * waited for it may not be any more: meanwhile a standby may have come that is behind.
 */
bool
inval_replay_is_to_look(void)
{
	return (nmarks > 0 || asked || done != NULL) && GetCurrentTimestamp() >= next_look;
}

/*
 * A look at all that waits has come to its end.  What nobody has asked for is not
 * looked after any longer.
 */
void
inval_replay_rest(void)
{
	if (!used)
		replay_forget_done();
	used = false;
}

/*
 * Finds out what has been replayed, if somebody wants to know and the time has
 * come.  Returns whether there is news.  Needs a transaction.
 */
bool
inval_replay_look(void)
{
	TimestampTz now = GetCurrentTimestamp();
	Standbys	standbys;
	bool		news;

	if (!inval_replay_is_to_look())
		return false;
	if (asked && hands_on != NULL && !taken_over)
		replay_take_over();
	if (asked && nmarks < MAX_MARKS &&
		(nmarks == 0 ||
		 TimestampDifferenceExceeds(marks[nmarks - 1]->head.made, now, MARK_INTERVAL_MS)))
	{
		marks[nmarks] = replay_mark(now);
		nmarks++;
		asked = false;
	}

	replay_read_standbys(&standbys);
	replay_distrust(&standbys);
	news = replay_close_marks(&standbys, now);
	next_look = TimestampTzPlusMilliseconds(now, LOOK_MIN_MS);
	if (nmarks > 0 && marks[0]->head.passed != 0)
		next_look = TimestampTzPlusMilliseconds(marks[0]->head.passed, GRACE_MS);
	else if (nmarks > 0)
		next_look = Max(next_look,
						Min(now + (now - marks[0]->head.made) / 4,
							TimestampTzPlusMilliseconds(now, LOOK_MAX_MS)));
	return news;
}

/*
 * This process is the worker of a target.
 */
void
inval_replay_come(InvalTargetHealth *health)
{
	hands_on = health;
}

/*
 * And is no more: the next one has the newest mark that was passed, as more may be
 * waiting for its turn, and the oldest of the others.  If nobody has waited, what was
 * left to us stays.  Cannot fail, and takes few instructions.
 */
void
inval_replay_leave(void)
{
	if (!taken_over)
		return;
	replay_keep(&hands_on->marks[0], done);
	replay_keep(&hands_on->marks[1], nmarks > 0 ? marks[0] : NULL);
}

static void
replay_keep(InvalKeptMark *kept, const ReplayMark *mark)
{
	kept->head.made = 0;
	if (mark == NULL)
		return;
	kept->head = mark->head;
	if (mark->head.nrunning > INVAL_KEPT_RUNNING)
	{
		/* It sees less: nothing from the first that there is no room for. */
		kept->head.xmax = mark->head.xmin +
			replay_distance(mark->running[INVAL_KEPT_RUNNING], (TransactionId) mark->head.xmin);
		kept->head.nrunning = INVAL_KEPT_RUNNING;
	}
	memcpy(kept->running, mark->running, kept->head.nrunning * sizeof(TransactionId));
}

/*
 * Goes on with what the worker before has left, as far as it still holds.
 */
static void
replay_take_over(void)
{
	int			i;

	taken_over = true;
	for (i = 0; i < INVAL_KEPT_MARKS; i++)
	{
		const InvalKeptMark *kept = &hands_on->marks[i];
		Size		size = kept->head.nrunning * sizeof(TransactionId);
		ReplayMark *mark;

		if (kept->head.made == 0)
			continue;
		mark = MemoryContextAllocZero(TopMemoryContext, offsetof(ReplayMark, running) + size);
		mark->head = kept->head;
		memcpy(mark->running, kept->running, size);
		late |= i == 0 && kept->head.late;
		marks[nmarks++] = mark;
	}
}

/*
 * A mark of what is committed now.  The snapshot comes first: the commit records
 * of what it sees are in the WAL by then.
 */
static ReplayMark *
replay_mark(TimestampTz now)
{
	Snapshot	snapshot = GetLatestSnapshot();
	uint64		next = U64FromFullTransactionId(ReadNextFullTransactionId());
	ReplayMark *mark = MemoryContextAlloc(TopMemoryContext,
										  offsetof(ReplayMark, running) +
										  snapshot->xcnt * sizeof(TransactionId));

	mark->head.made = now;
	mark->head.passed = 0;
	mark->head.late = false;
	/* Ids of 32 bits are of the last 4 billion transactions. */
	mark->head.xmin = next - (uint32) ((uint32) next - snapshot->xmin);
	mark->head.xmax = next - (uint32) ((uint32) next - snapshot->xmax);
	mark->head.nrunning = snapshot->xcnt;
	if (snapshot->xcnt > 0)
		memcpy(mark->running, snapshot->xip, snapshot->xcnt * sizeof(TransactionId));
	qsort_arg(mark->running, mark->head.nrunning, sizeof(TransactionId), replay_compare,
			  &snapshot->xmin);

	mark->head.place = replay_place();
	return mark;
}

/*
 * Where the last record of the WAL begins.  That may be one of a transaction that goes
 * on, which standbys would not see for long if nobody had it flushed.
 */
static XLogRecPtr
replay_place(void)
{
	XLogRecPtr	place = GetLastImportantRecPtr();
	XLogRecPtr	end = GetXLogInsertRecPtr();

	/*
	 * Behind the header of a page there is nothing yet.  GetXLogInsertEndRecPtr() knows,
	 * but the earlier minor releases do not have it, and would not load us.
	 */
	if (XLogSegmentOffset(end, wal_segment_size) == SizeOfXLogLongPHD ||
		end % XLOG_BLCKSZ == SizeOfXLogShortPHD)
		end -= end % XLOG_BLCKSZ;
	XLogSetAsyncXactLSN(end);

	/*
	 * A server that was shut down has written nothing yet but its checkpoint.  Where
	 * one is on its way, what comes next lies there, maybe in minutes.
	 */
	return XLogRecPtrIsInvalid(place) ? GetRedoRecPtr() : place;
}

/*
 * The oldest first.
 */
static int
replay_compare(const void *a, const void *b, void *oldest)
{
	uint32		first = replay_distance(*(const TransactionId *) a, *(TransactionId *) oldest);
	uint32		second = replay_distance(*(const TransactionId *) b, *(TransactionId *) oldest);

	return first < second ? -1 : first > second;
}

/*
 * How much younger a transaction is, where ids may have wrapped around.
 */
static uint32
replay_distance(TransactionId xid, TransactionId oldest)
{
	return xid - oldest;
}

/*
 * Whether a committed transaction had been committed when the mark was made.
 */
static bool
replay_sees(const ReplayMark *mark, FullTransactionId xid)
{
	uint64		number = U64FromFullTransactionId(xid);
	uint32		i;

	if (number < mark->head.xmin)
		return true;
	if (number >= mark->head.xmax)
		return false;
	for (i = 0; i < mark->head.nrunning; i++)
		if (mark->running[i] == XidFromFullTransactionId(xid))
			return false;
	return true;
}

/*
 * Asks the server for its standbys, as one who may see them: the owner of the
 * extension may be anybody.  A walsender with a database serves logical
 * replication; one that has answered but never reported what it replays
 * serves pg_receivewal or a base backup.  Who has a slot is away unless its
 * walsender is among those that we have seen, which is read first: one that is just
 * connecting holds its slot before it streams.  Nobody comes back to a slot that the
 * server has given up.
 */
static void
replay_read_standbys(Standbys *standbys)
{
	HeapTuple	row;
	TupleDesc	desc;
	Datum		value;
	bool		isnull;

	SPI_connect();
	(void) inval_catalog_execute_as(
		BOOTSTRAP_SUPERUSERID,
		"WITH sender AS MATERIALIZED (SELECT w.*"
		"  FROM pg_catalog.pg_stat_get_wal_senders() w"
		"  WHERE w.state IS NULL OR w.state IN ('streaming', 'catchup'))"
		" SELECT count(*),"
		" CASE WHEN count(replayed) = count(*) THEN min(replayed) END"
		" FROM (SELECT w.replay_lsn AS replayed FROM sender w"
		"  WHERE (w.replay_lsn IS NOT NULL OR w.reply_time IS NULL)"
		"   AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_get_activity(w.pid) a"
		"    WHERE a.datid IS NOT NULL)"
		"  UNION ALL SELECT NULL"
		"  FROM pg_catalog.pg_get_replication_slots() s"
		"  WHERE s.slot_type = 'physical' AND s.restart_lsn IS NOT NULL"
		"   AND s.wal_status IS DISTINCT FROM 'lost'"
		"   AND NOT EXISTS (SELECT FROM sender w WHERE w.pid = s.active_pid)) standby",
		0, NULL, NULL, NULL);
	row = SPI_tuptable->vals[0];
	desc = SPI_tuptable->tupdesc;
	standbys->count = DatumGetInt64(SPI_getbinval(row, desc, 1, &isnull));
	value = SPI_getbinval(row, desc, 2, &isnull);
	standbys->replayed = isnull ? InvalidXLogRecPtr : DatumGetLSN(value);
	SPI_finish();
}

/*
 * A record is replayed when what is replayed reaches beyond its begin.
 */
static bool
replay_is_behind(const Standbys *standbys, const ReplayMark *mark)
{
	return standbys->count > 0 && standbys->replayed <= mark->head.place;
}

/*
 * Forgets what was true of the standbys there were, and is not of those there are:
 * one may have come that has yet to replay what the others had.
 */
static void
replay_distrust(const Standbys *standbys)
{
	int			i;

	if (done != NULL && !done->head.late && replay_is_behind(standbys, done))
		replay_forget_done();
	for (i = 0; i < nmarks; i++)
		if (!marks[i]->head.late && replay_is_behind(standbys, marks[i]))
			marks[i]->head.passed = 0;
}

/*
 * Closes the marks that all standbys have passed, or need not any longer, and
 * returns whether there were any.  Where there is no standby, there may have been one
 * since the commit, which a reader has read from: who has switched the repetition
 * on has standbys.
 */
static bool
replay_close_marks(const Standbys *standbys, TimestampTz now)
{
	bool		closed = false;
	int			i;

	for (i = 0; i < nmarks; i++)
	{
		ReplayMark *mark = marks[i];

		if (mark->head.passed != 0)
			continue;
		if (!replay_is_behind(standbys, mark))
			mark->head.passed = now;
		else if (inval_replay_timeout > 0 &&
				 TimestampDifferenceExceeds(mark->head.made, now, inval_replay_timeout))
		{
			mark->head.passed = now;
			mark->head.late = true;
		}
	}
	while (nmarks > 0 && marks[0]->head.passed != 0 &&
		   TimestampDifferenceExceeds(marks[0]->head.passed, now, GRACE_MS))
	{
		replay_log_change(marks[0]->head.late);
		replay_close_oldest();
		closed = true;
	}
	return closed;
}

static void
replay_close_oldest(void)
{
	int			i;

	replay_forget_done();
	done = marks[0];
	nmarks--;
	for (i = 0; i < nmarks; i++)
		marks[i] = marks[i + 1];
}

static void
replay_forget_done(void)
{
	if (done != NULL)
		pfree(done);
	done = NULL;
}

/*
 * One line for each change, not for each mark.
 */
static void
replay_log_change(bool is_late)
{
	if (late == is_late)
		return;
	late = is_late;
	if (late)
		ereport(LOG,
				(errmsg("inval: a standby has not replayed for longer than inval.replay_timeout"),
				 errdetail("Invalidations are repeated without waiting for it any longer."),
				 errhint("See pg_stat_replication, and pg_replication_slots for standbys that are away.")));
	else
		ereport(LOG,
				(errmsg("inval: all standbys replay within inval.replay_timeout again")));
}
