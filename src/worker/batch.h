/*
 * batch.h
 *		What is read from the outbox at a time, and sent.
 */
#ifndef INVAL_DRAIN_BATCH_H
#define INVAL_DRAIN_BATCH_H

#include "base/entry.h"
#include "outbox/outbox.h"
#include "worker/drain.h"

/* A row, or a part of it */
typedef struct InvalBatchRow
{
	InvalOutboxRow row;
	int			from;			/* its first entry that is in the batch */
	int			taken;			/* how many are */
	int			number;			/* of that first entry in the batch */
	bool		settled;		/* confirmed, and noted so */
} InvalBatchRow;

typedef struct InvalBatch
{
	InvalBatchRow *rows;
	int			nrows;
	int			max_rows;
	int			entries;		/* of all rows */
	int			max_entries;
	int		   *sent_as;		/* for each of them, its number in "sent" */
	InvalEntry *sent;			/* the entries that differ */
	int			nsent;
	int			max_sent;
	Size		bytes;
} InvalBatch;

extern void inval_batch_gather(InvalBatch *batch, InvalDrain *drain);
extern void inval_drain_start_transaction(InvalDrain *drain);
extern void inval_drain_commit_transaction(InvalDrain *drain);

#endif							/* INVAL_DRAIN_BATCH_H */
