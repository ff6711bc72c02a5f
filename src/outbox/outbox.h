/*
 * outbox.h
 *		The tables that hold queued invalidations.
 */
#ifndef INVAL_OUTBOX_H
#define INVAL_OUTBOX_H

#include "access/transam.h"
#include "storage/itemptr.h"
#include "utils/relcache.h"
#include "utils/timestamp.h"

#include "base/entry.h"
#include "target/health.h"

/* One row: entries of one transaction for one target */
typedef struct InvalOutboxRow
{
	int			table;
	ItemPointerData tid;
	FullTransactionId xid;
	int64		first;			/* number of its first entry in the transaction */
	int32		target;			/* 0: the target "default" */
	InvalLane	lane;
	bool		sole;			/* all that its transaction has queued */
	bool		again;			/* once more when standbys have replayed it */
	int32		entries;
	TimestampTz queued_at;		/* lane "repeat": when it is due */
	const char *pack;			/* the entries, as base/entry.h has them */
	Size		pack_length;
} InvalOutboxRow;

/* What is said of a row for which inval_outbox_is_readable is false */
#define INVAL_OUTBOX_UNREADABLE \
	"cannot be read, may have been written by a later version of inval"

/* Returns false to end the scan. */
typedef bool (*InvalOutboxVisitor) (InvalOutboxRow *row, void *arg);

/* What inval_outbox_retire found */
typedef enum InvalOutboxState
{
	INVAL_OUTBOX_EMPTY,			/* it is empty, now or before */
	INVAL_OUTBOX_IN_USE,		/* a writer or a reader holds a lock on it, or a
								 * commit is waiting for replies, or a row
								 * of late for standbys */
	INVAL_OUTBOX_OWES			/* it still has what is not confirmed */
} InvalOutboxState;

/* What the writer of entries knows of them */
typedef enum InvalOutboxUse
{
	INVAL_OUTBOX_MORE,			/* may not be all that the transaction queues */
	INVAL_OUTBOX_ALL,			/* is all of it */
	INVAL_OUTBOX_LASTING		/* its locks may be held for long from here */
} InvalOutboxUse;

/* Writing; outbox.c */
extern void inval_outbox_write(const char *entries, Size length, InvalLane lane,
							   int32 target, int after_ms, InvalOutboxUse use);
extern void inval_outbox_write_row(const InvalOutboxRow *row);
extern bool inval_outbox_is_mine(int table);
extern void inval_outbox_announce(InvalTargetHealth *target);	/* cannot fail */

/* Reading and removing; rotate.c */
extern void inval_outbox_scan_all(InvalOutboxVisitor visit, void *arg);
extern bool inval_outbox_scan(int table, BlockNumber start,
							  InvalOutboxVisitor visit, void *arg);
extern bool inval_outbox_is_owed(const InvalOutboxRow *row);
extern bool inval_outbox_is_waiting(const InvalOutboxRow *row);
extern bool inval_outbox_is_ripe(const InvalOutboxRow *row, TimestampTz now);
extern bool inval_outbox_is_readable(const InvalOutboxRow *row);
extern bool inval_outbox_delete(Relation relation, const InvalOutboxRow *row);
extern Relation inval_outbox_open(int table, int lockmode);
extern BlockNumber inval_outbox_blocks(int table);
extern bool inval_outbox_is_current(int table);
extern InvalOutboxState inval_outbox_retire(int table, bool may_keep_locks);
extern void inval_outbox_sweep(bool may_keep_locks);

extern int64 inval_outbox_entry_id(FullTransactionId xid, int64 number);

#endif							/* INVAL_OUTBOX_H */
