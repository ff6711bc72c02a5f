/*
 * lookup_reads.c
 *		Whether this transaction has written to what a query reads.
 *
 * Whoever writes to a table holds a lock on it, of mode ROW EXCLUSIVE or
 * stronger, until its transaction ends; and a rolled back subtransaction
 * loses both.  So our own lock table tells, without a hook in anybody's way.
 * Partitions and children are locked themselves.
 *
 * "Yes" may be wrong, "no" is not: a function in the query that might read
 * tables makes it "yes".
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_proc.h"
#include "nodes/nodeFuncs.h"
#include "nodes/parsenodes.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"

#include "key/lookup_reads.h"

static bool reads_walker(Node *node, void *context);
static bool reads_function_is_opaque(Oid function, void *context);
static bool reads_is_written(Oid relid);

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
 * Whether this transaction may have written to one of these relations, given
 * by their OIDs, or to what belongs to them.
 */
bool
inval_reads_are_touched(List *relations)
{
	ListCell   *lc;

	foreach(lc, relations)
	{
		Oid			relid = lfirst_oid(lc);
		List	   *family;
		ListCell   *member;

		if (!has_subclass(relid) && get_rel_relkind(relid) != RELKIND_PARTITIONED_TABLE)
		{
			if (reads_is_written(relid))
				return true;
			continue;
		}
		family = find_all_inheritors(relid, NoLock, NULL);
		foreach(member, family)
		{
			if (reads_is_written(lfirst_oid(member)))
				return true;
		}
		list_free(family);
	}
	return false;
}

static bool
reads_is_written(Oid relid)
{
	Relation	relation = RelationIdGetRelation(relid);
	bool		written;

	if (!RelationIsValid(relation))
		return true;			/* dropped, perhaps by us */

	/*
	 * LockHeldByMe would do without the relation, but has other parameters in
	 * other versions of the server.
	 */
	written = CheckRelationLockedByMe(relation, RowExclusiveLock, true);
	RelationClose(relation);
	return written;
}
