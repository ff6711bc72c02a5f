/*
 * sample.c
 *		Rows of a table, chosen at random.
 *
 * What is read is bounded by how many rows are wanted, however large the table is: of
 * each partition (or child) so many blocks as rows are to come from it, chosen by
 * TABLESAMPLE SYSTEM, and of the rows there some.  A table with no more blocks than
 * that is read whole, so that all its rows have the same chance, and a small one gives
 * them all.  Rows of sparse blocks have better chances than others.
 *
 * They are read with the rights of who owns them, under a snapshot of the caller's,
 * while which what they point to stays.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "catalog/pg_class.h"
#include "common/pg_prng.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

#include "audit/sample.h"
#include "base/catalog.h"
#include "base/rights.h"
#include "capture/scan.h"
#include "key/lookup_role.h"
#include "rule/family.h"

/* Blocks that are read of a partition beyond what is wanted: some may be empty */
#define SAMPLE_SPARE_BLOCKS		8

/* A table that rows come from */
typedef struct SampleLeaf
{
	Oid			relid;
	uint64		blocks_before;	/* those of the leaves before it */
	BlockNumber blocks;
	int			wanted;			/* rows */
} SampleLeaf;

typedef struct Sampling
{
	Relation	tracked;
	InvalSample sample;
	int			first;			/* from which place on rows may be replaced, */
	int			room;			/* and up to which there may be some */
	uint64		seen;			/* rows that were one of those */
	MemoryContext context;		/* of the rows */
} Sampling;

static List *sample_leaves(Relation tracked, uint64 *blocks);
static void sample_distribute(List *leaves, uint64 blocks, int rows);
static void sample_read(Sampling *sampling, const SampleLeaf *leaf, bool whole);
static char *sample_query(Relation tracked, const SampleLeaf *leaf, bool whole);
static void sample_row(TupleTableSlot *row, void *arg);

/*
 * An error for a table of which no sample can be taken.
 */
void
inval_sample_check(Relation tracked)
{
	if (tracked->rd_rel->relkind == RELKIND_FOREIGN_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot audit foreign table \"%s\"", RelationGetRelationName(tracked)),
				 errdetail("Its rows are not here, and there is no way to take some of them at random.")));
}

/*
 * Up to so many rows, as a snapshot shows them, in the current memory context.  Foreign
 * tables among the partitions are passed by.
 */
InvalSample
inval_sample(Relation tracked, int rows, Snapshot snapshot)
{
	Sampling	sampling = {.tracked = tracked,.context = CurrentMemoryContext};
	uint64		blocks;
	List	   *leaves = sample_leaves(tracked, &blocks);
	bool		whole = blocks <= (uint64) rows + SAMPLE_SPARE_BLOCKS;
	ListCell   *lc;

	sampling.sample.rows = palloc(rows * sizeof(HeapTuple));
	sampling.room = rows;
	if (!whole)
		sample_distribute(leaves, blocks, rows);
	PushActiveSnapshot(snapshot);
	foreach(lc, leaves)
	{
		const SampleLeaf *leaf = lfirst(lc);

		if (!whole)
		{
			sampling.first = sampling.sample.count;
			sampling.room = sampling.first + leaf->wanted;
			sampling.seen = 0;
		}
		if (sampling.room > sampling.first)
			sample_read(&sampling, leaf, whole);
	}
	PopActiveSnapshot();
	if (whole)
		sampling.sample.all = sampling.seen;
	return sampling.sample;
}

/*
 * The tables with rows here (SampleLeaf *), and how many blocks they have.
 */
static List *
sample_leaves(Relation tracked, uint64 *blocks)
{
	List	   *leaves = NIL;
	ListCell   *lc;

	*blocks = 0;
	foreach(lc, tracked->rd_rel->relkind == RELKIND_MATVIEW ?
			list_make1_oid(RelationGetRelid(tracked)) :
			inval_family_leaves(RelationGetRelid(tracked), AccessShareLock))
	{
		Relation	relation = try_relation_open(lfirst_oid(lc), AccessShareLock);
		SampleLeaf *leaf;

		if (relation == NULL)
			continue;
		if (relation->rd_rel->relkind != RELKIND_FOREIGN_TABLE)
		{
			leaf = palloc0(sizeof(SampleLeaf));
			leaf->relid = RelationGetRelid(relation);
			leaf->blocks = RelationGetNumberOfBlocks(relation);
			leaf->blocks_before = *blocks;
			*blocks += leaf->blocks;
			if (leaf->blocks > 0)
				leaves = lappend(leaves, leaf);
		}
		relation_close(relation, NoLock);
	}
	return leaves;
}

/*
 * How many rows come from which leaf: each block has the same chance.
 */
static void
sample_distribute(List *leaves, uint64 blocks, int rows)
{
	int			i;

	for (i = 0; i < rows; i++)
	{
		uint64		block = pg_prng_uint64_range(&pg_global_prng_state, 0, blocks - 1);
		int			low = 0;
		int			high = list_length(leaves) - 1;

		while (low < high)
		{
			int			middle = (low + high + 1) / 2;

			if (((SampleLeaf *) list_nth(leaves, middle))->blocks_before <= block)
				low = middle;
			else
				high = middle - 1;
		}
		((SampleLeaf *) list_nth(leaves, low))->wanted++;
	}
}

static void
sample_read(Sampling *sampling, const SampleLeaf *leaf, bool whole)
{
	InvalRole	role;

	inval_role_enter(&role, INVAL_LOOKUP_KEY, leaf->relid);
	inval_scan_query(sampling->tracked, sample_query(sampling->tracked, leaf, whole), 0,
					 sample_row, sampling);
	inval_role_leave(&role);
}

/*
 * The columns are those of the tracked table, whatever their places are here.
 */
static char *
sample_query(Relation tracked, const SampleLeaf *leaf, bool whole)
{
	TupleDesc	desc = RelationGetDescr(tracked);
	double		percent = 100.0 * (leaf->wanted + SAMPLE_SPARE_BLOCKS) / leaf->blocks;
	StringInfoData query;
	int			i;

	initStringInfo(&query);
	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		if (!attribute->attisdropped)
			appendStringInfo(&query, "%s%s", query.len == 0 ? "SELECT " : ", ",
							 quote_identifier(NameStr(attribute->attname)));
	}
	appendStringInfo(&query, " FROM ONLY %s", inval_catalog_relation_name(leaf->relid));
	if (!whole && percent < 100)
		appendStringInfo(&query, " TABLESAMPLE SYSTEM (%.6f)", percent);
	return query.data;
}

/*
 * Each row that was seen has the same chance to be among those that are kept.
 */
static void
sample_row(TupleTableSlot *row, void *arg)
{
	Sampling   *sampling = arg;
	InvalSample *sample = &sampling->sample;
	int			place = sample->count;
	MemoryContext old;

	CHECK_FOR_INTERRUPTS();
	sampling->seen++;
	if (place == sampling->room)
	{
		uint64		chosen = pg_prng_uint64_range(&pg_global_prng_state, 0, sampling->seen - 1);

		if (chosen >= (uint64) (sampling->room - sampling->first))
			return;
		place = sampling->first + (int) chosen;
		heap_freetuple(sample->rows[place]);
	}
	else
		sample->count++;
	old = MemoryContextSwitchTo(sampling->context);
	sample->rows[place] = ExecCopySlotHeapTuple(row);
	MemoryContextSwitchTo(old);
}
