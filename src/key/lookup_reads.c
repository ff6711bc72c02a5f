/*
 * lookup_reads.c
 *		Whether this transaction has written to what a query reads.
 *
 * Whoever writes to a table holds a lock on it, of mode ROW EXCLUSIVE or
 * stronger, until its transaction ends; and a rolled back subtransaction
 * loses both.  So our own lock table tells, without a hook in anybody's way.
 * Partitions and children are locked themselves.  How much it has written the
 * server's statistics tell.
 *
 * "Yes" may be wrong, "no" is not: a function in the query that might read
 * tables makes it "yes".
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_proc.h"
#include "nodes/nodeFuncs.h"
#include "nodes/parsenodes.h"
#include "pgstat.h"
#include "storage/lmgr.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/snapmgr.h"

#include "key/lookup_reads.h"

/* With more tables than that, looking costs more than looking up twice. */
#define READS_MAX_RELATIONS	64

/* Set in versions that are moments */
#define READS_MOMENT		(UINT64CONST(1) << 63)

/* Counts the changes of any relation: children may have come. */
static uint64 reads_generation = 0;

static bool reads_walker(Node *node, void *context);
static bool reads_function_is_opaque(Oid function, void *context);
static void reads_relcache_callback(Datum arg, Oid relid);
static uint64 reads_moment(void);
static uint64 reads_look(const InvalReads *reads, uint64 moment);
static bool reads_count_writes(Relation relation, uint64 *writes);

/*
 * Whether one of these queries, which are analysed and rewritten, calls
 * functions that may read tables themselves.  That it locks rows is an error.
 */
bool
inval_reads_check_queries(List *queries)
{
	bool		opaque = false;

	(void) reads_walker((Node *) queries, &opaque);
	return opaque;
}

static bool
reads_walker(Node *node, void *context)
{
	bool	   *opaque = context;

	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		Query	   *query = (Query *) node;

		if (query->rowMarks != NIL)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("a query of inval cannot lock rows"),
					 errhint("Leave out FOR UPDATE and FOR SHARE, in views too.")));
		return query_tree_walker(query, reads_walker, context, 0);
	}
	if (check_functions_in_node(node, reads_function_is_opaque, NULL))
		*opaque = true;
	return expression_tree_walker(node, reads_walker, context);
}

/*
 * Those of the server that are stable give the same all transaction long.
 */
static bool
reads_function_is_opaque(Oid function, void *context)
{
	char		volatility = func_volatile(function);

	(void) context;
	return volatility == PROVOLATILE_VOLATILE ||
		(volatility == PROVOLATILE_STABLE && function >= FirstNormalObjectId);
}

/*
 * Notes what is read; lists are made in the current memory context.
 */
void
inval_reads_refresh(InvalReads *reads, List *relations, bool opaque)
{
	static bool registered = false;
	ListCell   *lc;

	if (!registered)
		CacheRegisterRelcacheCallback(reads_relcache_callback, (Datum) 0);
	registered = true;

	list_free(reads->relids);
	reads->relids = NIL;
	reads->epoch = 0;			/* no answer yet */
	reads->unknown = opaque;
	reads->has_children = false;
	reads->generation = reads_generation;
	foreach(lc, relations)
	{
		Oid			relid = lfirst_oid(lc);

		if (!has_subclass(relid) && get_rel_relkind(relid) != RELKIND_PARTITIONED_TABLE)
		{
			reads->relids = lappend_oid(reads->relids, relid);
			continue;
		}
		reads->has_children = true;
		reads->relids = list_concat(reads->relids,
									find_all_inheritors(relid, NoLock, NULL));
	}
	if (list_length(reads->relids) > READS_MAX_RELATIONS)
		reads->unknown = true;
}

static void
reads_relcache_callback(Datum arg, Oid relid)
{
	(void) arg;
	(void) relid;
	reads_generation++;
}

/*
 * Whether there may be other children than those that were noted.
 */
bool
inval_reads_are_stale(const InvalReads *reads)
{
	return reads->has_children && reads->generation != reads_generation;
}

/*
 * INVAL_READS_UNTOUCHED if this transaction, whose epoch is given, has written
 * to nothing that is read; else a number that is another one after it has
 * written to it again.  Never INVAL_READS_UNKNOWN.
 */
uint64
inval_reads_version(InvalReads *reads, uint64 epoch)
{
	uint64		moment = reads_moment();

	if (unlikely(reads->epoch != epoch || reads->moment != moment))
	{
		reads->version = reads_look(reads, moment);
		reads->epoch = epoch;
		reads->moment = moment;
	}
	return reads->version;
}

/*
 * A number that is another one whenever this transaction may have written
 * something, and often else: the current command, and the one from which on
 * changes are hidden from the statement that is under way.
 *
 * The command counter alone would not do.  Of a statement's triggers, those of
 * foreign keys move it when the statement has used it, and nothing moves it at
 * the end then, so the next statement writes under the number that the rows
 * before have been looked up under.  But it has another snapshot.
 *
 * Where nothing has moved the counter since the statement began, the number
 * counts as used, as it does already if the statement writes; so what comes
 * after one that does not (inval_preview) has another number.
 */
static uint64
reads_moment(void)
{
	CommandId	command = GetCurrentCommandId(false);
	CommandId	hidden = ActiveSnapshotSet() ? GetActiveSnapshot()->curcid : command;

	if (hidden == command)
		(void) GetCurrentCommandId(true);
	return (uint64) hidden << 32 | command;
}

static uint64
reads_look(const InvalReads *reads, uint64 moment)
{
	uint64		writes = 1;
	bool		touched = false;
	bool		counted = true;
	ListCell   *lc;

	/* Not to be taken for one that is counted */
	moment |= READS_MOMENT;
	if (reads->unknown)
		return moment;
	foreach(lc, reads->relids)
	{
		Relation	relation = RelationIdGetRelation(lfirst_oid(lc));

		if (!RelationIsValid(relation))
			return moment;		/* dropped, perhaps by us */

		/*
		 * LockHeldByMe would do without the relation, but has other
		 * parameters in other versions of the server.
		 */
		if (CheckRelationLockedByMe(relation, RowExclusiveLock, true))
		{
			touched = true;
			counted = counted && reads_count_writes(relation, &writes);
		}
		RelationClose(relation);
	}
	if (!touched)
		return INVAL_READS_UNTOUCHED;
	return counted ? writes : moment;
}

/*
 * Adds the rows that this transaction has written to a relation: the server
 * counts them for its statistics, but for those that were rolled back.
 * Returns false where it does not.
 */
static bool
reads_count_writes(Relation relation, uint64 *writes)
{
	PgStat_TableXactStatus *level;

	if (relation->rd_rel->relkind == RELKIND_PARTITIONED_TABLE ||
		relation->rd_rel->relkind == RELKIND_VIEW)
		return true;			/* no rows of its own */
	if (relation->rd_rel->relam != HEAP_TABLE_AM_OID ||
		!pgstat_track_counts || !pgstat_should_count_relation(relation))
		return false;
	for (level = relation->pgstat_info->trans; level != NULL; level = level->upper)
	{
		if (level->truncdropped)
			return false;		/* they start from zero again */
		*writes += level->tuples_inserted + level->tuples_updated + level->tuples_deleted;
	}
	return true;
}
