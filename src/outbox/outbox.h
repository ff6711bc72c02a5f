/*
 * outbox.h
 *		The tables that hold queued invalidations.
 */
#ifndef INVAL_OUTBOX_H
#define INVAL_OUTBOX_H

#include "access/transam.h"
#include "storage/itemptr.h"
#include "utils/timestamp.h"

#include "base/entry.h"
#include "base/origin.h"
#include "target/health.h"

/* One row: entries of one transaction for one target */
typedef struct InvalOutboxRow
{
	FullTransactionId xid;
	int64		first;			/* number of its first entry in the transaction */
	TimestampTz queued_at;		/* lane "repeat": when it is due */
	const char *pack;			/* the entries, as base/entry.h has them */
	Size		pack_length;
	int			table;			/* where it is, or where it goes */
	int32		target;			/* 0: the target "default" */
	int32		entries;
	InvalLane	lane;
	ItemPointerData tid;
	bool		sole;			/* all that its transaction has queued */
	bool		at_commit;		/* lane "refill": all that it comes after was for the
								 * commit to deliver, so the ledger tells of it */
	bool		again;			/* once more when standbys have replayed it */
	InvalOrigin origin;
} InvalOutboxRow;

/* What the writer of entries knows of them */
typedef enum InvalOutboxUse
{
	INVAL_OUTBOX_MORE,			/* may not be all that the transaction queues */
	INVAL_OUTBOX_ALL,			/* is all of it */
	INVAL_OUTBOX_STAYING,		/* not all, and stays for long */
	INVAL_OUTBOX_AT_COMMIT,		/* lane "refill": see InvalOutboxRow */
	INVAL_OUTBOX_LASTING		/* its locks may be held for long from here, and
								 * the transaction may be prepared */
} InvalOutboxUse;

extern void inval_outbox_write(const char *entries, Size length, InvalLane lane,
							   int32 target, int after_ms, InvalOutboxUse use);
extern void inval_outbox_write_row(const InvalOutboxRow *row, bool keep);
extern int64 inval_outbox_take_number(void);
extern BlockNumber inval_outbox_written(int table);
extern void inval_outbox_announce(InvalTargetHealth *target);	/* cannot fail */
extern void inval_outbox_announce_looks(void);	/* cannot fail */

extern int64 inval_outbox_entry_id(FullTransactionId xid, int64 number);

#endif							/* INVAL_OUTBOX_H */
