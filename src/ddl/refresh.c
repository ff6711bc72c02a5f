/*
 * refresh.c
 *		REFRESH MATERIALIZED VIEW: the keys of rows that differ.
 *
 * A view cannot have triggers, so its rows are read before the command and
 * after it.  For each invalidation that a row owes, the hashes of all rows that
 * owe it are added up before and taken away after; what does not come out as
 * nothing has changed.  That takes memory for each key.  Where it would be
 * more than inval.pending_memory, keys are queued without having been
 * compared.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/tableam.h"
#include "catalog/namespace.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/rights.h"
#include "base/settings.h"
#include "base/origin.h"
#include "capture/derive.h"
#include "capture/owed.h"
#include "commit/commit.h"
#include "ddl/refresh.h"
#include "ddl/rows.h"
#include "key/lookup.h"
#include "rule/carrier.h"
#include "stats/stats.h"
#include "version/server.h"

/* An invalidation that rows owe: action, rule, key and field as bytes */
typedef struct RefreshKey
{
	uint64		hash[2];		/* hash key; of the bytes */
	InvalRule  *rule;			/* good until the transaction ends */
	uint64		sum[2];			/* of the rows' hashes, and of their number */
	Size		size;
	char	   *entry;			/* as base/entry.c writes it */
} RefreshKey;

typedef struct InvalRefresh
{
	Oid			relid;
	MemoryContext context;
	HTAB	   *keys;			/* of RefreshKey */
	bool		too_many;		/* from now on keys are queued at once */
	bool		after;			/* the rows are those of after */
	uint64		row_hash;
	InvalRule  *rule;
} InvalRefresh;

static void refresh_read(InvalRefresh *refresh);
static void refresh_row(InvalRefresh *refresh, InvalRelationRules *rules,
						TupleTableSlot *row);
static uint64 refresh_hash_row(TupleTableSlot *row);
static void refresh_entry(const InvalEntry *entry, void *arg);
static void refresh_queue(InvalRefresh *refresh, bool all);

/*
 * Reads the rows of a tracked materialized view, under the lock that the
 * command will take itself, if the user may run it at all.
 */
void
inval_ddl_before_refresh(InvalDdlFrame *frame, RefreshMatViewStmt *statement)
{
	Oid			relid = RangeVarGetRelid(statement->relation, NoLock, true);
	Relation	relation;
	List	   *carriers;
	HASHCTL		ctl = {0};
	InvalRefresh *refresh;

	if (!OidIsValid(relid) || get_rel_relkind(relid) != RELKIND_MATVIEW ||
		!inval_rights_may_refresh(relid))
		return;
	LockRelationOid(relid, statement->concurrent ? ExclusiveLock : AccessExclusiveLock);
	relation = try_relation_open(relid, NoLock);
	if (relation == NULL)
		return;

	/*
	 * A view that was never filled could not be read, so nobody has cached
	 * anything from it: what fills it for the first time, as a dump does that is
	 * restored, invalidates nothing.  Each REFRESH gives it another file.
	 */
	carriers = RelationIsPopulated(relation) || relation->rd_rel->relfilenode != relid ?
		inval_carriers_of(relation) : NIL;
	relation_close(relation, NoLock);
	if (!statement->concurrent && !inval_ddl_is_last(T_RefreshMatViewStmt))
		inval_ddl_rows_of_readers(RelationRelationId, relid);
	if (carriers == NIL)
		return;

	refresh = MemoryContextAllocZero(frame->context, sizeof(InvalRefresh));
	refresh->relid = relid;
	refresh->context = AllocSetContextCreate(frame->context, "inval refresh",
											 ALLOCSET_DEFAULT_SIZES);
	ctl.keysize = sizeof(uint64) * 2;
	ctl.entrysize = sizeof(RefreshKey);
	ctl.hcxt = refresh->context;
	refresh->keys = hash_create("inval refreshed keys", 256, &ctl,
								HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	frame->refresh = refresh;
	refresh_read(refresh);
}

/*
 * Reads the rows again and queues what differs.
 */
void
inval_ddl_after_refresh(InvalDdlFrame *frame)
{
	InvalRefresh *refresh = frame->refresh;

	if (refresh == NULL)
		return;
	refresh->after = true;
	refresh_read(refresh);
	refresh_queue(refresh, false);
}

static void
refresh_read(InvalRefresh *refresh)
{
	Relation	relation = relation_open(refresh->relid, NoLock);
	InvalRelationRules *rules = inval_rules_of(relation);
	MemoryContext row_context;
	MemoryContext old;
	Snapshot	snapshot;
	TableScanDesc scan;
	TupleTableSlot *row;

	row_context = AllocSetContextCreate(CurrentMemoryContext, "inval row",
										ALLOCSET_DEFAULT_SIZES);
	row = table_slot_create(relation, NULL);
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	scan = inval_server_scan(relation, snapshot);
	inval_lookup_begin();
	old = MemoryContextSwitchTo(row_context);
	while (table_scan_getnextslot(scan, ForwardScanDirection, row))
	{
		CHECK_FOR_INTERRUPTS();
		refresh_row(refresh, rules, row);
		MemoryContextReset(row_context);
	}
	MemoryContextSwitchTo(old);
	inval_lookup_end();
	table_endscan(scan);
	UnregisterSnapshot(snapshot);
	ExecDropSingleTupleTableSlot(row);
	MemoryContextDelete(row_context);
	relation_close(relation, NoLock);
}

static void
refresh_row(InvalRefresh *refresh, InvalRelationRules *rules, TupleTableSlot *row)
{
	int			i;

	refresh->row_hash = refresh_hash_row(row);
	for (i = 0; i < rules->nrules; i++)
	{
		refresh->rule = &rules->rules[i];
		if (refresh->rule->broken != NULL)
		{
			inval_owed_broken(refresh->rule);
			continue;
		}
		inval_commit_begin();
		inval_owed_count_row(refresh->rule);
		if (inval_derive_each(&rules->rules[i], row, INVAL_STATE_NOW,
							  refresh_entry, refresh) != INVAL_RENDER_DONE)
			inval_owed_count_skipped(refresh->rule);
	}
}

static uint64
refresh_hash_row(TupleTableSlot *row)
{
	TupleDesc	desc = row->tts_tupleDescriptor;
	uint64		hash = 0;
	int			i;

	slot_getallattrs(row);
	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);
		uint64		part = (uint64) i;

		if (row->tts_isnull[i])
			part = ~part;
		else if (attribute->attbyval)
			part = hash_bytes_extended((unsigned char *) &row->tts_values[i],
									   sizeof(Datum), part);
		else if (attribute->attlen == -1)
		{
			struct varlena *value = PG_DETOAST_DATUM_PACKED(row->tts_values[i]);

			part = hash_bytes_extended((unsigned char *) VARDATA_ANY(value),
									   (int) VARSIZE_ANY_EXHDR(value), part);
		}
		else
			part = hash_bytes_extended((unsigned char *) DatumGetPointer(row->tts_values[i]),
									   attribute->attlen == -2 ?
									   (int) strlen(DatumGetCString(row->tts_values[i])) :
									   attribute->attlen, part);
		hash = hash_combine64(hash, part);
	}
	return hash;
}

static void
refresh_entry(const InvalEntry *entry, void *arg)
{
	InvalRefresh *refresh = arg;
	Size		size = inval_entry_size(entry);
	char	   *bytes = palloc(size);
	uint64		hash[2];
	RefreshKey *key;
	bool		found;

	if (!refresh->too_many &&
		MemoryContextMemAllocated(refresh->context, true) > (Size) inval_pending_memory * 1024)
	{
		refresh_queue(refresh, true);
		refresh->too_many = true;
	}
	if (refresh->too_many)
	{
		inval_owed_queue(refresh->rule, entry);
		return;
	}

	(void) inval_entry_write(bytes, entry);
	hash[0] = hash_bytes_extended((unsigned char *) bytes, (int) size, 1);
	hash[1] = hash_bytes_extended((unsigned char *) bytes, (int) size, 2);
	key = hash_search(refresh->keys, hash, HASH_ENTER, &found);
	if (!found)
	{
		key->rule = refresh->rule;
		key->sum[0] = key->sum[1] = 0;
		key->size = size;
		key->entry = MemoryContextAlloc(refresh->context, size);
		memcpy(key->entry, bytes, size);
	}
	key->sum[0] += refresh->after ? -refresh->row_hash : refresh->row_hash;
	key->sum[1] += refresh->after ? (uint64) -1 : 1;
}

/*
 * Queues the keys whose rows differ, or all of them.
 */
static void
refresh_queue(InvalRefresh *refresh, bool all)
{
	HASH_SEQ_STATUS status;
	RefreshKey *key;

	if (refresh->too_many)
		return;					/* they are queued */
	inval_origin_saw(INVAL_BY_DDL);
	hash_seq_init(&status, refresh->keys);
	while ((key = hash_seq_search(&status)) != NULL)
	{
		InvalEntry	entry;

		if (!all && key->sum[0] == 0 && key->sum[1] == 0)
			continue;
		(void) inval_entry_read(key->entry, key->entry + key->size, &entry);
		inval_owed_queue(key->rule, &entry);
	}
}
