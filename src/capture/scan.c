/*
 * scan.c
 *		Reads all rows of a relation, to queue what they owe.
 *
 * For what changes many rows without firing a row trigger: TRUNCATE, DROP,
 * ATTACH and DETACH of partitions, REFRESH, a rewrite by ALTER TABLE.  The
 * caller holds a lock that keeps writers away, so what is committed now, or was
 * done by this transaction, is all there is.  The rows of a foreign table are
 * read by a query, with the user's own rights there: another user's connection to
 * the remote server would wait for this one's, or the other way round.
 */
#include "postgres.h"

#include "access/tableam.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/catalog.h"
#include "base/progress.h"
#include "capture/looking.h"
#include "capture/looks.h"
#include "capture/scan.h"
#include "version/server.h"

/* Rows that a cursor fetches at a time */
#define FETCH_ROWS	1000

/* So many rows are read between two notes of how far it is. */
#define PROGRESS_ROWS	4096

/* A foreign table's rows being queued */
typedef struct ScanForeign
{
	Relation	relation;
	InvalRelationRules *rules;
	InvalRowAge age;
} ScanForeign;

static void scan_rows(Relation relation, TupleDesc desc, InvalRelationRules *rules,
					  InvalRowAge age);
static void scan_show(InvalProgress **progress, Relation relation, int64 rows_read);
static void scan_give_rows(SPITupleTable *found, uint64 count, TupleTableSlot *row,
						   MemoryContext row_context, InvalRowCallback callback,
						   void *arg);
static void scan_foreign_row(TupleTableSlot *row, void *arg);

/*
 * Queues what the rows of a relation owe.
 */
void
inval_scan_relation(Relation relation, InvalRelationRules *rules, InvalRowAge age)
{
	inval_scan_with_desc(relation, RelationGetDescr(relation), rules, age);
}

/*
 * The same, with rows read by a descriptor other than the relation's: ALTER
 * TABLE has changed the catalogs by the time it says that it will rewrite the
 * rows, which are as they were.
 *
 * What has to be looked up is looked up now, too: soon the rules may be gone, or
 * what they read.
 */
void
inval_scan_with_desc(Relation relation, TupleDesc desc, InvalRelationRules *rules,
					 InvalRowAge age)
{
	InvalRelationRules *before;

	if (rules->nrules == 0)
		return;
	before = inval_looking_use(rules);
	PG_TRY();
	{
		if (relation->rd_rel->relkind == RELKIND_FOREIGN_TABLE)
		{
			ScanForeign scan = {relation, rules, age};

			inval_scan_query(relation,
							 psprintf("SELECT * FROM ONLY %s",
									  inval_catalog_relation_name(RelationGetRelid(relation))),
							 0, scan_foreign_row, &scan);
		}
		else
			scan_rows(relation, desc, rules, age);
		inval_looks_run_for(rules);
	}
	PG_FINALLY();
	{
		(void) inval_looking_use(before);
	}
	PG_END_TRY();
}

static void
scan_rows(Relation relation, TupleDesc desc, InvalRelationRules *rules, InvalRowAge age)
{
	MemoryContext row_context;
	MemoryContext old;
	Snapshot	snapshot;
	TableScanDesc scan;
	TupleTableSlot *row;
	InvalProgress *progress = NULL;
	int64		rows_read;

	row_context = AllocSetContextCreate(CurrentMemoryContext, "inval row",
										ALLOCSET_DEFAULT_SIZES);
	row = MakeSingleTupleTableSlot(desc, table_slot_callbacks(relation));
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	scan = inval_server_scan(relation, snapshot);
	old = MemoryContextSwitchTo(row_context);
	for (rows_read = 0; table_scan_getnextslot(scan, ForwardScanDirection, row);
		 rows_read++)
	{
		CHECK_FOR_INTERRUPTS();
		if (rows_read % PROGRESS_ROWS == PROGRESS_ROWS - 1)
			scan_show(&progress, relation, rows_read);
		inval_capture_apply(rules, relation, row, age);
		MemoryContextReset(row_context);
	}
	MemoryContextSwitchTo(old);
	inval_progress_end(progress);
	table_endscan(scan);
	UnregisterSnapshot(snapshot);
	ExecDropSingleTupleTableSlot(row);
	MemoryContextDelete(row_context);
}

/*
 * Says how far the reading of a large table is; small ones are not shown.
 */
static void
scan_show(InvalProgress **progress, Relation relation, int64 rows_read)
{
	if (rows_read + 1 == PROGRESS_ROWS)
	{
		float4		rows = relation->rd_rel->reltuples;

		*progress = inval_progress_begin("read rows", NULL,
										 rows > 0 ? (int64) Max(rows, rows_read) : -1);
		inval_progress_detail(*progress, RelationGetRelationName(relation));
	}
	inval_progress_update(*progress, rows_read);
}

/*
 * Reads rows of a relation by a query that gives all its columns, with the
 * rights of the current user, up to max_rows of them (0: all).  Each goes to
 * the callback in a slot of the relation's descriptor, with a memory context
 * of its own to leak into.
 */
void
inval_scan_query(Relation relation, const char *query, uint64 max_rows,
				 InvalRowCallback callback, void *arg)
{
	MemoryContext row_context = AllocSetContextCreate(CurrentMemoryContext, "inval row",
													  ALLOCSET_DEFAULT_SIZES);
	TupleTableSlot *row = MakeSingleTupleTableSlot(RelationGetDescr(relation),
												   &TTSOpsVirtual);
	uint64		left = max_rows;
	SPIPlanPtr	plan;
	Portal		cursor;

	SPI_connect();
	plan = SPI_prepare(query, 0, NULL);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s", query);
	cursor = SPI_cursor_open(NULL, plan, NULL, NULL, true);
	for (;;)
	{
		uint64		want = max_rows == 0 ? FETCH_ROWS : Min(left, FETCH_ROWS);
		SPITupleTable *found;
		uint64		count;

		SPI_cursor_fetch(cursor, true, (long) want);
		found = SPI_tuptable;
		count = SPI_processed;
		scan_give_rows(found, count, row, row_context, callback, arg);
		SPI_freetuptable(found);
		left -= Min(left, count);
		if (count < want || (max_rows > 0 && left == 0))
			break;
	}
	SPI_cursor_close(cursor);
	SPI_finish();
	ExecDropSingleTupleTableSlot(row);
	MemoryContextDelete(row_context);
}

/*
 * A query leaves out dropped columns, rules count them: gives the values their
 * places in the relation.
 */
static void
scan_give_rows(SPITupleTable *found, uint64 count, TupleTableSlot *row,
			   MemoryContext row_context, InvalRowCallback callback, void *arg)
{
	uint64		i;

	for (i = 0; i < count; i++)
	{
		MemoryContext old = MemoryContextSwitchTo(row_context);
		int			column = 1;
		int			attribute;

		ExecClearTuple(row);
		for (attribute = 0; attribute < row->tts_tupleDescriptor->natts; attribute++)
		{
			row->tts_isnull[attribute] = true;
			if (!TupleDescAttr(row->tts_tupleDescriptor, attribute)->attisdropped)
				row->tts_values[attribute] =
					SPI_getbinval(found->vals[i], found->tupdesc, column++,
								  &row->tts_isnull[attribute]);
		}
		ExecStoreVirtualTuple(row);
		callback(row, arg);
		MemoryContextSwitchTo(old);
		MemoryContextReset(row_context);
	}
}

static void
scan_foreign_row(TupleTableSlot *row, void *arg)
{
	ScanForeign *scan = arg;

	inval_capture_apply(scan->rules, scan->relation, row, scan->age);
}
