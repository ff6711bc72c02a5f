/*
 * batch.h
 *		Rows that are sent together, each of their entries once.
 */
#ifndef INVAL_BATCH_H
#define INVAL_BATCH_H

#include "base/entry.h"
#include "outbox/outbox.h"

typedef struct InvalBatchRow
{
	InvalOutboxRow row;
	int			number;			/* of its first entry in the batch */
	bool		settled;		/* confirmed, and noted so */
} InvalBatchRow;

typedef struct InvalBatch
{
	InvalBatchRow *rows;
	int			nrows;
	int			max_rows;
	int			entries;		/* of all rows */
	int			max_entries;
	int		   *sent_as;		/* for each of them, its number in "sent"; -1: it is
								 * held back */
	int			paused;			/* so many are */
	InvalEntry *sent;			/* the entries that differ */
	int			nsent;
	int			max_sent;
	Size		bytes;
	struct sent_hash *known;	/* of those */
} InvalBatch;

extern void inval_batch_init(InvalBatch *batch);
extern void inval_batch_add(InvalBatch *batch, const InvalOutboxRow *row);

#endif							/* INVAL_BATCH_H */
