/*
 * deferred.c
 *		Rows whose foreign keys point to rows that are not there yet.
 *
 * A constraint that is deferred lets a row be written before the one that it
 * points to.  A rule that follows the foreign key looks again when all
 * constraints have been checked.  Rows are kept in the order they came, so
 * what a subtransaction has added is the tail of the log, and rolling it back
 * truncates.  A mark remembers where the tail of a nesting level begins.
 *
 * Of a row is kept where it stands, which is where it is read from again: one
 * that this transaction has changed since or deleted is not found there, and
 * nobody else will ever have seen it.  A table that was rewritten meanwhile
 * has its rows in other places: then all that this transaction has made there
 * are looked at.  ALTER TABLE may give them other values, too; before that
 * happens, inval_deferred_run_early looks at what is kept.  Only foreign tables
 * have no places: a copy of the row is kept.
 *
 * The log is in memory up to inval.pending_memory.  What does not fit there is
 * appended to a temporary file; so the log is the file's first bytes, and then
 * those in memory.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/sysattr.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "storage/buffile.h"
#include "storage/bufmgr.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

#include "base/catalog.h"
#include "base/settings.h"
#include "capture/deferred.h"
#include "capture/derive.h"
#include "capture/owed.h"
#include "commit/pending.h"

/* The log's first allocation */
#define LOG_MINIMUM		1024

/* A relation that has rows in the log, as it was then */
typedef struct DeferredTable
{
	Oid			relid;
	Oid			relfilenode;	/* another one now: rewritten, or truncated */
	TupleDesc	desc;			/* of a foreign table's rows; else NULL */
	List	   *rules;			/* their numbers, as OIDs */
} DeferredTable;

/* What the log has of a row; a foreign table's row follows it */
typedef struct DeferredRow
{
	int32		table;			/* index in "tables" */
	uint32		rule;
	ItemPointerData place;		/* invalid for a foreign table */
	uint32		length;			/* bytes that follow */
} DeferredRow;

typedef struct DeferredMark
{
	int			level;			/* transaction nesting level, from 2 on */
	int64		length;			/* the log when that level began to add */
} DeferredMark;

typedef struct DeferredLog
{
	MemoryContext context;		/* NULL: nothing is kept */
	List	   *tables;			/* of DeferredTable * */
	BufFile    *file;			/* NULL: all fits in memory */
	int64		file_length;	/* what counts of it */
	char	   *memory;			/* what comes behind that */
	Size		length;
	Size		capacity;
	DeferredMark *marks;
	int			nmarks;
	int			max_marks;
} DeferredLog;

/* Reads the log from its begin */
typedef struct DeferredReader
{
	int64		position;
	DeferredRow row;
	HeapTupleData tuple;		/* of a foreign table */
	Size		capacity;		/* of what t_data points to */

	/* What the row before was of; NULL: that is no more as it was */
	int32		table;
	Relation	relation;
	TupleTableSlot *slot;
} DeferredReader;

static DeferredLog deferred;

static void deferred_xact_callback(XactEvent event, void *arg);
static void deferred_subxact_callback(SubXactEvent event, SubTransactionId subxact,
									  SubTransactionId parent, void *arg);
static void deferred_run(void);
static void deferred_subcommit(void);
static void deferred_subabort(void);
static void deferred_forget(void);
static void deferred_begin(void);
static int32 deferred_table(Oid relid, uint32 rule);
static void deferred_mark_level(void);
static void deferred_append(const void *data, Size size);
static void deferred_make_room(Size size);
static void deferred_spill(void);
static void deferred_truncate(int64 length);
static void deferred_look_all(bool early);
static void deferred_scan(const DeferredTable *table, MemoryContext row_context);
static void deferred_seek(int64 position);
static void deferred_read_row(DeferredReader *reader);
static void deferred_read(DeferredReader *reader, void *data, Size size);
static void deferred_open(DeferredReader *reader, int32 table);
static void deferred_close(DeferredReader *reader);
static bool deferred_is_as_it_was(Relation relation, const DeferredTable *table);
static bool deferred_fetch(DeferredReader *reader);
static void deferred_look(DeferredReader *reader, bool early);
static bool deferred_is_missing(InvalRule *rule, TupleTableSlot *row);
static void deferred_ignore(const InvalEntry *entry, void *arg);

/*
 * Called by _PG_init, after inval_commit_init: what is registered later is
 * called first, so that what we queue before the commit is delivered with it.
 */
void
inval_deferred_init(void)
{
	RegisterXactCallback(deferred_xact_callback, NULL);
	RegisterSubXactCallback(deferred_subxact_callback, NULL);
}

static void
deferred_xact_callback(XactEvent event, void *arg)
{
	(void) arg;
	if (event == XACT_EVENT_PRE_COMMIT || event == XACT_EVENT_PRE_PREPARE)
		deferred_run();
	else
		deferred_forget();
}

static void
deferred_subxact_callback(SubXactEvent event, SubTransactionId subxact,
						  SubTransactionId parent, void *arg)
{
	(void) subxact;
	(void) parent;
	(void) arg;
	if (event == SUBXACT_EVENT_COMMIT_SUB)
		deferred_subcommit();
	else if (event == SUBXACT_EVENT_ABORT_SUB)
		deferred_subabort();
}

/*
 * Keeps a row, to be looked at before the commit.
 */
void
inval_deferred_add(Oid relid, uint32 rule, TupleTableSlot *row)
{
	DeferredRow kept;
	HeapTuple	tuple = NULL;
	bool		copied = false;

	/* Another extension's callback changes rows after we have looked. */
	if (inval_pending_is_flushed())
		return;
	deferred_begin();
	memset(&kept, 0, sizeof(kept));
	kept.table = deferred_table(relid, rule);
	kept.rule = rule;
	ItemPointerSetInvalid(&kept.place);
	if (((DeferredTable *) list_nth(deferred.tables, kept.table))->desc == NULL)
		kept.place = row->tts_tid;
	else
	{
		tuple = ExecFetchSlotHeapTuple(row, false, &copied);
		kept.length = tuple->t_len;
	}
	deferred_make_room(sizeof(kept) + kept.length);
	deferred_mark_level();
	deferred_append(&kept, sizeof(kept));
	if (tuple != NULL)
		deferred_append(tuple->t_data, tuple->t_len);
	if (copied)
		heap_freetuple(tuple);
}

/*
 * Looks at the rows again, before the commit, and gives the temporary file
 * back.  May raise any error.
 */
static void
deferred_run(void)
{
	if (deferred.context == NULL)
		return;

	/* Without the extension there is nowhere to put what they owe. */
	if (inval_catalog(true) != NULL)
		deferred_look_all(false);
	if (deferred.file != NULL)
		BufFileClose(deferred.file);
	MemoryContextDelete(deferred.context);
	deferred_forget();
}

/*
 * Looks at the rows now, because they are about to become unreadable.  None is
 * taken out of the log: those of outer levels must be there again if this one
 * is rolled back, and with it what it has queued.
 */
void
inval_deferred_run_early(void)
{
	if (deferred.context != NULL && inval_catalog(true) != NULL)
		deferred_look_all(true);
}

/*
 * The current subtransaction becomes part of its parent.
 */
static void
deferred_subcommit(void)
{
	int			level = GetCurrentTransactionNestLevel();
	DeferredMark *top = deferred.nmarks > 0 ? &deferred.marks[deferred.nmarks - 1] : NULL;

	if (top == NULL || top->level < level)
		return;
	if (level == 2 || (deferred.nmarks > 1 && deferred.marks[deferred.nmarks - 2].level == level - 1))
		deferred.nmarks--;
	else
		top->level = level - 1;
}

/*
 * The current subtransaction never happened.
 */
static void
deferred_subabort(void)
{
	int			level = GetCurrentTransactionNestLevel();

	while (deferred.nmarks > 0 && deferred.marks[deferred.nmarks - 1].level >= level)
		deferred_truncate(deferred.marks[--deferred.nmarks].length);
}

/*
 * Forgets everything.  Memory and file go with the transaction.
 */
static void
deferred_forget(void)
{
	memset(&deferred, 0, sizeof(deferred));
}

static void
deferred_begin(void)
{
	if (deferred.context == NULL)
		deferred.context = AllocSetContextCreate(TopTransactionContext,
											"inval deferred rows",
											ALLOCSET_DEFAULT_SIZES);
}

/*
 * The index of a relation as it is now.  The last one is most likely the same.
 */
static int32
deferred_table(Oid relid, uint32 rule)
{
	Relation	relation = relation_open(relid, NoLock);
	DeferredTable *table;
	MemoryContext old = MemoryContextSwitchTo(deferred.context);
	int32		i;

	for (i = list_length(deferred.tables) - 1; i >= 0; i--)
		if (deferred_is_as_it_was(relation, list_nth(deferred.tables, i)))
			break;
	if (i < 0)
	{
		table = palloc0(sizeof(DeferredTable));
		table->relid = relid;
		table->relfilenode = relation->rd_rel->relfilenode;
		if (!RELKIND_HAS_TABLE_AM(relation->rd_rel->relkind))
			table->desc = CreateTupleDescCopy(RelationGetDescr(relation));
		deferred.tables = lappend(deferred.tables, table);
		i = list_length(deferred.tables) - 1;
	}
	table = list_nth(deferred.tables, i);
	table->rules = list_append_unique_oid(table->rules, rule);
	MemoryContextSwitchTo(old);
	relation_close(relation, NoLock);
	return i;
}

/*
 * Remembers where the current nesting level begins, if it has not yet.
 */
static void
deferred_mark_level(void)
{
	int			level = GetCurrentTransactionNestLevel();

	if (level == 1 || (deferred.nmarks > 0 && deferred.marks[deferred.nmarks - 1].level >= level))
		return;
	if (deferred.nmarks == deferred.max_marks)
	{
		int			max = Max(8, deferred.max_marks * 2);

		if (deferred.marks == NULL)
			deferred.marks = MemoryContextAlloc(deferred.context, max * sizeof(DeferredMark));
		else
			deferred.marks = repalloc(deferred.marks, max * sizeof(DeferredMark));
		deferred.max_marks = max;
	}
	deferred.marks[deferred.nmarks].level = level;
	deferred.marks[deferred.nmarks].length = deferred.file_length + (int64) deferred.length;
	deferred.nmarks++;
}

static void
deferred_append(const void *data, Size size)
{
	memcpy(deferred.memory + deferred.length, data, size);
	deferred.length += size;
}

/*
 * Makes sure that "size" more bytes fit in memory.  A row that is larger than
 * the limit has it for itself.
 */
static void
deferred_make_room(Size size)
{
	Size		limit = (Size) inval_pending_memory * 1024;
	Size		capacity;

	if (deferred.length + size <= deferred.capacity)
		return;
	capacity = Max(Max(LOG_MINIMUM, deferred.capacity * 2), deferred.length + size);
	if (capacity > limit && deferred.length > 0)
	{
		deferred_spill();
		if (size <= deferred.capacity)
			return;
		capacity = Max(deferred.capacity, size);
	}
	if (deferred.memory == NULL)
		deferred.memory = MemoryContextAllocHuge(deferred.context, capacity);
	else
		deferred.memory = repalloc_huge(deferred.memory, capacity);
	deferred.capacity = capacity;
}

/*
 * Moves what is in memory to the file, which belongs to the transaction,
 * whatever subtransaction is the first to need it.  What stands behind the end
 * of the log is of subtransactions that were rolled back, and overwritten.
 */
static void
deferred_spill(void)
{
	if (deferred.file == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(deferred.context);
		ResourceOwner owner = CurrentResourceOwner;

		CurrentResourceOwner = TopTransactionResourceOwner;
		deferred.file = BufFileCreateTemp(false);
		CurrentResourceOwner = owner;
		MemoryContextSwitchTo(old);
	}
	deferred_seek(deferred.file_length);
	BufFileWrite(deferred.file, deferred.memory, deferred.length);
	deferred.file_length += (int64) deferred.length;
	deferred.length = 0;
}

/*
 * Forgets the log from "length" on.  Cannot fail.
 */
static void
deferred_truncate(int64 length)
{
	if (length >= deferred.file_length)
		deferred.length = (Size) (length - deferred.file_length);
	else
	{
		deferred.file_length = length;
		deferred.length = 0;
	}
}

/*
 * Looks at all rows, again if need be.  At the end of a transaction no snapshot
 * is active any more, without which nothing toasted can be read.  Ours sees
 * also what the last command has written, which nothing has ended.
 */
static void
deferred_look_all(bool early)
{
	DeferredReader reader = {.table = -1};
	MemoryContext row_context = AllocSetContextCreate(CurrentMemoryContext, "inval row",
													  ALLOCSET_DEFAULT_SIZES);
	ListCell   *lc;

	PushCopiedSnapshot(GetLatestSnapshot());
	GetActiveSnapshot()->curcid = GetCurrentCommandId(false) + 1;
	if (deferred.file_length > 0)
		deferred_seek(0);
	while (reader.position < deferred.file_length + (int64) deferred.length)
	{
		MemoryContext old;

		CHECK_FOR_INTERRUPTS();
		deferred_read_row(&reader);
		if (reader.row.table != reader.table)
		{
			deferred_close(&reader);
			deferred_open(&reader, reader.row.table);
		}
		if (reader.relation == NULL)
			continue;
		old = MemoryContextSwitchTo(row_context);
		if (deferred_fetch(&reader))
			deferred_look(&reader, early);
		ExecClearTuple(reader.slot);
		MemoryContextSwitchTo(old);
		MemoryContextReset(row_context);
	}
	deferred_close(&reader);
	if (reader.tuple.t_data != NULL)
		pfree(reader.tuple.t_data);
	foreach(lc, early ? NIL : deferred.tables)
	{
		deferred_scan(lfirst(lc), row_context);
	}
	PopActiveSnapshot();
	MemoryContextDelete(row_context);
}

/*
 * Looks at all rows that this transaction has made in a table that was
 * rewritten since (CLUSTER, SET TABLESPACE, ...): those kept are among them,
 * and too many keys do no harm.
 */
static void
deferred_scan(const DeferredTable *table, MemoryContext row_context)
{
	Relation	relation = try_relation_open(table->relid, AccessShareLock);
	TupleTableSlot *row;
	TableScanDesc scan;

	if (relation == NULL)
		return;
	if (table->desc != NULL || deferred_is_as_it_was(relation, table))
	{
		relation_close(relation, AccessShareLock);
		return;
	}
	row = table_slot_create(relation, NULL);
	scan = table_beginscan(relation, GetActiveSnapshot(), 0, NULL);
	while (table_scan_getnextslot(scan, ForwardScanDirection, row))
	{
		MemoryContext old = MemoryContextSwitchTo(row_context);
		InvalRelationRules *rules = inval_rules_of(relation);
		bool		isnull;
		Datum		xmin = slot_getsysattr(row, MinTransactionIdAttributeNumber, &isnull);
		int			i;

		CHECK_FOR_INTERRUPTS();
		for (i = 0; i < rules->nrules; i++)
			if (TransactionIdIsCurrentTransactionId(DatumGetTransactionId(xmin)) &&
				list_member_oid(table->rules, rules->rules[i].id))
				inval_owed_late(&rules->rules[i], row);
		MemoryContextSwitchTo(old);
		MemoryContextReset(row_context);
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(row);
	relation_close(relation, AccessShareLock);
}

static void
deferred_seek(int64 position)
{
	if (BufFileSeek(deferred.file, 0, (off_t) position, SEEK_SET) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not seek in the temporary file of deferred rows")));
}

static void
deferred_read_row(DeferredReader *reader)
{
	uint32		length;

	deferred_read(reader, &reader->row, sizeof(DeferredRow));
	length = reader->row.length;
	if (length == 0)
		return;
	if (reader->tuple.t_data == NULL)
		reader->tuple.t_data = palloc(length);
	else if (length > reader->capacity)
		reader->tuple.t_data = repalloc(reader->tuple.t_data, length);
	reader->capacity = Max(reader->capacity, length);
	reader->tuple.t_len = length;
	deferred_read(reader, reader->tuple.t_data, length);
}

/*
 * The next bytes, which are all in the file or all in memory.
 */
static void
deferred_read(DeferredReader *reader, void *data, Size size)
{
	if (reader->position >= deferred.file_length)
		memcpy(data, deferred.memory + (reader->position - deferred.file_length), size);
	else if (BufFileRead(deferred.file, data, size) != size)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not read from the temporary file of deferred rows")));
	reader->position += (int64) size;
}

/*
 * Opens a relation that has rows in the log, if it is as it was then.
 */
static void
deferred_open(DeferredReader *reader, int32 table)
{
	const DeferredTable *kept = list_nth(deferred.tables, table);

	reader->table = table;
	reader->relation = try_relation_open(kept->relid, AccessShareLock);
	if (reader->relation == NULL)
		return;					/* dropped since, with its rows */
	if (!deferred_is_as_it_was(reader->relation, kept))
	{
		relation_close(reader->relation, AccessShareLock);
		reader->relation = NULL;
		return;
	}
	reader->slot = kept->desc == NULL ? table_slot_create(reader->relation, NULL) :
		MakeSingleTupleTableSlot(kept->desc, &TTSOpsHeapTuple);
}

static void
deferred_close(DeferredReader *reader)
{
	if (reader->relation == NULL)
		return;
	ExecDropSingleTupleTableSlot(reader->slot);
	relation_close(reader->relation, AccessShareLock);
	reader->relation = NULL;
}

/*
 * Whether a relation still has its rows where they were; or, of a foreign
 * table, whether rules can read rows that were kept.
 */
static bool
deferred_is_as_it_was(Relation relation, const DeferredTable *table)
{
	TupleDesc	desc = RelationGetDescr(relation);
	int			i;

	if (RelationGetRelid(relation) != table->relid ||
		relation->rd_rel->relfilenode != table->relfilenode)
		return false;
	if (table->desc == NULL)
		return true;
	if (desc->natts != table->desc->natts)
		return false;
	for (i = 0; i < desc->natts; i++)
		if (TupleDescAttr(desc, i)->atttypid != TupleDescAttr(table->desc, i)->atttypid)
			return false;
	return true;
}

/*
 * Reads the row; false if it is not there any more.
 */
static bool
deferred_fetch(DeferredReader *reader)
{
	ItemPointer place = &reader->row.place;

	if (reader->row.length > 0)
	{
		ExecStoreHeapTuple(&reader->tuple, reader->slot, false);
		return true;
	}

	/* A table that this transaction has made is truncated where it is. */
	if (!ItemPointerIsValid(place) ||
		ItemPointerGetBlockNumber(place) >= RelationGetNumberOfBlocks(reader->relation))
		return false;
	return table_tuple_fetch_row_version(reader->relation, place, GetActiveSnapshot(),
										 reader->slot);
}

static void
deferred_look(DeferredReader *reader, bool early)
{
	InvalRelationRules *rules = inval_rules_of(reader->relation);
	int			i;

	for (i = 0; i < rules->nrules; i++)
	{
		InvalRule  *rule = &rules->rules[i];

		if (rule->id != reader->row.rule ||
			(early && deferred_is_missing(rule, reader->slot)))
			continue;
		inval_owed_late(rule, reader->slot);
	}
}

/*
 * Whether what the row points to may come yet, which is no reason to warn.
 */
static bool
deferred_is_missing(InvalRule *rule, TupleTableSlot *row)
{
	return inval_derive_each(rule, row, INVAL_STATE_NOW, deferred_ignore, NULL) ==
		INVAL_RENDER_MISSING;
}

static void
deferred_ignore(const InvalEntry *entry, void *arg)
{
	(void) entry;
	(void) arg;
}
