/*
 * tables.h
 *		What the processes of a server know of a database's outbox tables.
 */
#ifndef INVAL_OUTBOX_TABLES_H
#define INVAL_OUTBOX_TABLES_H

#include "port/atomics.h"
#include "storage/block.h"

#include "base/catalog.h"

/* With every change the layout of its area is to be raised (tables.c). */
typedef struct InvalOutboxTables
{
	pg_atomic_uint32 current[INVAL_OUTBOX_GROUPS];	/* the table of each group that
													 * new rows go to */
	pg_atomic_uint32 look_block[INVAL_OUTBOX_TABLES];	/* first block with rows of
														 * the lane "look" that the
														 * worker has not taken;
														 * InvalidBlockNumber:
														 * none */
} InvalOutboxTables;

extern void inval_outbox_tables_init(void);
extern InvalOutboxTables *inval_outbox_tables(void);
extern void inval_outbox_free_database(Oid database);
extern BlockNumber inval_outbox_take_looks(int table);

/* Cannot fail */
extern void inval_outbox_leave_looks(int table, BlockNumber block);
extern void inval_outbox_leave_from(pg_atomic_uint32 *place, BlockNumber block);

#endif							/* INVAL_OUTBOX_TABLES_H */
