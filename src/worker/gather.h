/*
 * gather.h
 *		What is read from the outbox at a time, and sent.
 */
#ifndef INVAL_GATHER_H
#define INVAL_GATHER_H

#include "base/entry.h"
#include "outbox/outbox.h"
#include "worker/pass.h"

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
	int		   *sent_as;		/* for each of them, its number in "sent" */
	InvalEntry *sent;			/* the entries that differ */
	int			nsent;
	int			max_sent;
	Size		bytes;
} InvalBatch;

extern void inval_batch_gather(InvalBatch *batch, InvalPass *pass);

#endif							/* INVAL_GATHER_H */
