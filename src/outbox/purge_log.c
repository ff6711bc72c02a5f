/*
 * purge_log.c
 *		The record of purges.
 *
 * A materialized view, inval_purge_record, for the reasons why the outbox has such:
 * it is durable, takes rows from C and cannot be published.  Rows go in by heap_insert
 * without logical information, too, and none is ever changed: a purge that has gone on
 * in the background has a second row, with the same id, when it is finished.  The view
 * inval_purge_log shows the last one of each.
 *
 * Each row has a line in the server's log as well, which stays if the transaction is
 * rolled back: the keys are gone then all the same.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/catalog.h"
#include "base/log_keys.h"
#include "base/settings.h"
#include "outbox/purge_log.h"
#include "outbox/read.h"
#include "version/server.h"

/* The columns, as inval_purge_source declares them */
enum
{
	RECORD_ID,
	RECORD_STARTED_AT,
	RECORD_SESSION_USER,
	RECORD_USER,
	RECORD_TARGET,
	RECORD_PATTERN,
	RECORD_REASON,
	RECORD_REMOVED,
	RECORD_FINISHED_AT,
	RECORD_COLUMNS
};

static void log_insert(Relation relation, const InvalPurgeRecord *record);
static bool log_find(Relation relation, int64 id, InvalPurgeRecord *record);
static void log_read(HeapTuple tuple, TupleDesc desc, InvalPurgeRecord *record);
static void log_tell(const InvalPurgeRecord *record);

/*
 * Sees to it that a record can be added later in this transaction: nobody drops the
 * extension before it has ended.
 */
void
inval_purge_log_hold(void)
{
	relation_close(relation_open(inval_catalog(false)->purge_record, RowExclusiveLock), NoLock);
}

/*
 * Adds a record as part of the current transaction.
 */
void
inval_purge_log_write(const InvalPurgeRecord *record)
{
	Relation	relation = relation_open(inval_catalog(false)->purge_record, RowExclusiveLock);

	log_insert(relation, record);
	relation_close(relation, NoLock);
	log_tell(record);
}

/*
 * Adds that a purge has come to its end, having removed so many keys more.  Nothing is
 * added for one that has already, or of which there is no record.  Returns false if
 * it must be tried again, as somebody waits for the relation.
 */
bool
inval_purge_log_finish(int64 id, int64 removed)
{
	const InvalCatalog *catalog = inval_catalog(true);
	Relation	relation;
	InvalPurgeRecord record;

	if (catalog == NULL)
		return true;
	relation = inval_outbox_open_relation(catalog->purge_record, RowExclusiveLock);
	if (relation == NULL)
		return false;
	if (log_find(relation, id, &record) && record.finished_at == 0)
	{
		record.removed += removed;
		record.finished_at = GetCurrentTimestamp();
		log_insert(relation, &record);
		log_tell(&record);
	}
	relation_close(relation, NoLock);
	return true;
}

static void
log_insert(Relation relation, const InvalPurgeRecord *record)
{
	Datum		values[RECORD_COLUMNS] = {0};
	bool		nulls[RECORD_COLUMNS] = {0};
	HeapTuple	tuple;

	values[RECORD_ID] = Int64GetDatum(record->id);
	values[RECORD_STARTED_AT] = TimestampTzGetDatum(record->started_at);
	values[RECORD_SESSION_USER] = CStringGetTextDatum(record->session_user);
	values[RECORD_USER] = CStringGetTextDatum(record->user);
	values[RECORD_TARGET] = CStringGetTextDatum(record->target);
	values[RECORD_PATTERN] = CStringGetTextDatum(record->pattern);
	values[RECORD_REASON] = CStringGetTextDatum(record->reason);
	values[RECORD_REMOVED] = Int64GetDatum(record->removed);
	values[RECORD_FINISHED_AT] = TimestampTzGetDatum(record->finished_at);
	nulls[RECORD_FINISHED_AT] = record->finished_at == 0;
	tuple = heap_form_tuple(RelationGetDescr(relation), values, nulls);
	heap_insert(relation, tuple, GetCurrentCommandId(true), HEAP_INSERT_NO_LOGICAL, NULL);
	heap_freetuple(tuple);
}

/*
 * Finds what is said of a purge, the last if there is more than one; in the current
 * memory context.
 */
static bool
log_find(Relation relation, int64 id, InvalPurgeRecord *record)
{
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	TableScanDesc scan = inval_server_scan(relation, snapshot);
	bool		found = false;
	HeapTuple	tuple;

	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		bool		isnull;

		if (DatumGetInt64(heap_getattr(tuple, RECORD_ID + 1, RelationGetDescr(relation),
									   &isnull)) != id ||
			(found && record->finished_at != 0))
			continue;
		log_read(tuple, RelationGetDescr(relation), record);
		found = true;
	}
	table_endscan(scan);
	UnregisterSnapshot(snapshot);
	return found;
}

static void
log_read(HeapTuple tuple, TupleDesc desc, InvalPurgeRecord *record)
{
	Datum		values[RECORD_COLUMNS];
	bool		nulls[RECORD_COLUMNS];

	heap_deform_tuple(tuple, desc, values, nulls);
	record->id = DatumGetInt64(values[RECORD_ID]);
	record->started_at = DatumGetTimestampTz(values[RECORD_STARTED_AT]);
	record->session_user = TextDatumGetCString(values[RECORD_SESSION_USER]);
	record->user = TextDatumGetCString(values[RECORD_USER]);
	record->target = TextDatumGetCString(values[RECORD_TARGET]);
	record->pattern = TextDatumGetCString(values[RECORD_PATTERN]);
	record->reason = TextDatumGetCString(values[RECORD_REASON]);
	record->removed = DatumGetInt64(values[RECORD_REMOVED]);
	record->finished_at = nulls[RECORD_FINISHED_AT] ? 0 :
		DatumGetTimestampTz(values[RECORD_FINISHED_AT]);
}

static void
log_tell(const InvalPurgeRecord *record)
{
	ereport(LOG,
			(record->finished_at != 0 ?
			 errmsg("inval target \"%s\": purge of %s has removed %lld keys",
					record->target, inval_log_key(record->pattern),
					(long long) record->removed) :
			 errmsg("inval target \"%s\": purge of %s has removed %lld keys so far, and goes on in the background",
					record->target, inval_log_key(record->pattern),
					(long long) record->removed),
			 errdetail("By \"%s\" as \"%s\", who gave as the reason: %s", record->session_user,
					   record->user, record->reason),
			 errhidestmt(!inval_log_keys)));
}
