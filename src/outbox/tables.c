/*
 * tables.c
 *		What the processes of a server know of a database's outbox tables.
 *
 * A database has the same place here as its slot has among the databases.
 */
#include "postgres.h"

#include "base/catalog.h"
#include "base/database.h"
#include "base/shared.h"
#include "outbox/tables.h"

static void tables_initialize(void *element);

static InvalSharedArea tables_area = {
	.element_size = sizeof(InvalOutboxTables),
	.layout = 3,
	.preloaded = INVAL_DATABASES_PRELOADED,
	.reserve = INVAL_DATABASES_RESERVE,
	.initialize = tables_initialize
};

/*
 * Called by _PG_init.
 */
void
inval_outbox_tables_init(void)
{
	inval_shared_add(&tables_area);
}

static void
tables_initialize(void *element)
{
	InvalOutboxTables *tables = element;
	int			i;

	for (i = 0; i < INVAL_OUTBOX_GROUPS; i++)
		pg_atomic_init_u32(&tables->current[i], (uint32) i * INVAL_OUTBOX_GROUP);
	for (i = 0; i < INVAL_OUTBOX_TABLES; i++)
		pg_atomic_init_u32(&tables->look_block[i], InvalidBlockNumber);
}

/*
 * Those of this database, whose slot is claimed on first use.  Cannot fail once
 * inval_shared_attach was called.
 */
InvalOutboxTables *
inval_outbox_tables(void)
{
	InvalOutboxTables *tables = inval_shared_elements(&tables_area);
	uint32		count;

	return &tables[inval_database() - inval_databases(&count)];
}

/*
 * Forgets which tables a database writes to, whose slot is about to be given
 * back.  Under the shared mutex.
 */
void
inval_outbox_free_database(Oid database)
{
	InvalOutboxTables *tables = inval_shared_elements(&tables_area);
	uint32		count;
	InvalDatabase *databases = inval_databases(&count);
	uint32		i;
	uint32		j;

	for (i = 0; i < count; i++)
		for (j = 0; databases[i].database == database && j < INVAL_OUTBOX_GROUPS; j++)
			pg_atomic_write_u32(&tables[i].current[j], j * INVAL_OUTBOX_GROUP);
}

/*
 * From which block of a table on there are look-ups to be made again; whoever
 * asks makes them.  InvalidBlockNumber: none that were announced.
 */
BlockNumber
inval_outbox_take_looks(int table)
{
	return pg_atomic_exchange_u32(&inval_outbox_tables()->look_block[table],
								  InvalidBlockNumber);
}

/*
 * Says that there are some from a block on.
 */
void
inval_outbox_leave_looks(int table, BlockNumber block)
{
	inval_outbox_leave_from(&inval_outbox_tables()->look_block[table], block);
}

/*
 * Says that somebody has something to find from a block on: where he begins to look
 * is no later than that.  InvalidBlockNumber: nothing.
 */
void
inval_outbox_leave_from(pg_atomic_uint32 *place, BlockNumber block)
{
	uint32		low = pg_atomic_read_u32(place);

	while (block < low && !pg_atomic_compare_exchange_u32(place, &low, block))
		;
}
