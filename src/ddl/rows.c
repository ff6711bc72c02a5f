/*
 * rows.c
 *		Queues what all rows of tables owe, for commands that take them away.
 *
 * A rule that fails must neither keep a table from being dropped nor take the
 * keys of other rules along: all are tried at once, and if that fails, each by
 * itself; what then fails is a WARNING.
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/pg_class.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/attempt.h"
#include "capture/scan.h"
#include "ddl/rows.h"
#include "rule/carrier.h"
#include "rule/family.h"
#include "rule/ties.h"

/* Rows to be read under rules */
typedef struct Rows
{
	Relation	relation;
	List	   *trackers;		/* OIDs of the relations that have the rules */
	int32		id;				/* of the only rule that is wanted; 0: all */
	InvalRowAge age;
} Rows;

static void rows_try(Rows *rows);
static void rows_read(void *arg);
static bool rows_want(const InvalDefinition *definition, void *arg);
static List *rows_rules(const Rows *rows);

/*
 * Queues what the rows of a leaf owe under the rules that "trackers" (OIDs) have
 * of their own.  The caller holds a lock on it.
 */
void
inval_ddl_rows(Oid leaf, List *trackers, InvalRowAge age)
{
	Rows		rows = {relation_open(leaf, NoLock), trackers, 0, age};

	if (age == INVAL_ROW_OLD)
		rows_try(&rows);
	else
		rows_read(&rows);
	relation_close(rows.relation, NoLock);
}

/*
 * Queues what all rows owe under a rule: those of its relation, and of what
 * belongs to it but for some leaves (OIDs).
 */
void
inval_ddl_rows_of_rule(const InvalDefinition *definition, List *without)
{
	Oid			relid = definition->relation;
	ListCell   *lc;

	if (get_rel_relkind(relid) == '\0')
		return;
	foreach(lc, get_rel_relkind(relid) == RELKIND_MATVIEW ? list_make1_oid(relid) :
			inval_family_leaves(relid, AccessShareLock))
	{
		Rows		rows = {NULL, list_make1_oid(relid), inval_definition_id(definition),
		INVAL_ROW_OLD};

		if (list_member_oid(without, lfirst_oid(lc)))
			continue;
		rows.relation = try_relation_open(lfirst_oid(lc), AccessShareLock);
		if (rows.relation == NULL)
			continue;
		rows_try(&rows);
		relation_close(rows.relation, NoLock);
	}
}

/*
 * Queues what all rows owe under the rules that read a relation, or what it
 * belongs to: it is about to change in a way after which nobody can ask any more
 * what was there.
 */
void
inval_ddl_rows_of_readers(Oid relid)
{
	List	   *done = NIL;
	ListCell   *lc;

	foreach(lc, inval_family_ancestors(relid))
	{
		ListCell   *reader;

		foreach(reader, inval_ties_readers(RelationRelationId, lfirst_oid(lc), 0))
		{
			const InvalDefinition *definition = lfirst(reader);

			/* Its own rows are seen to by the command's own means. */
			if (definition->relation == lfirst_oid(lc) ||
				list_member_oid(done, definition->carrier))
				continue;
			done = lappend_oid(done, definition->carrier);
			inval_ddl_rows_of_rule(definition, NIL);
		}
	}
}

static void
rows_try(Rows *rows)
{
	ErrorData  *error = inval_attempt(rows_read, rows);
	ListCell   *lc;

	if (error == NULL)
		return;
	if (rows->id == 0)
	{
		foreach(lc, rows_rules(rows))
		{
			rows->id = lfirst_int(lc);
			rows_try(rows);
		}
		rows->id = 0;
		return;
	}
	ereport(WARNING,
			(errcode(error->sqlerrcode),
			 errmsg("keys of the rows of \"%s\" are not removed: %s",
					RelationGetRelationName(rows->relation), error->message),
			 errdetail("Inval rule %d failed.", rows->id)));
}

static void
rows_read(void *arg)
{
	Rows	   *rows = arg;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "inval rows",
												  ALLOCSET_SMALL_SIZES);
	InvalRelationRules *rules = inval_rules_from(rows->relation, rows->trackers,
												 rows_want, rows, context);
	bool		pushed = !ActiveSnapshotSet();

	/* DETACH CONCURRENTLY has none after its commit midway. */
	if (pushed)
		PushActiveSnapshot(GetTransactionSnapshot());
	inval_scan_relation(rows->relation, rules, rows->age);
	if (pushed)
		PopActiveSnapshot();
	MemoryContextDelete(context);
}

static bool
rows_want(const InvalDefinition *definition, void *arg)
{
	Rows	   *rows = arg;

	return rows->id == 0 || rows->id == inval_definition_id(definition);
}

/*
 * The numbers of the rules, one by one.
 */
static List *
rows_rules(const Rows *rows)
{
	List	   *ids = NIL;
	ListCell   *lc;

	foreach(lc, rows->trackers)
	{
		Relation	tracker = try_relation_open(lfirst_oid(lc), AccessShareLock);
		ListCell   *carrier;

		if (tracker == NULL)
			continue;
		foreach(carrier, inval_carriers_readable(tracker))
		{
			ids = lappend_int(ids, inval_definition_id(lfirst(carrier)));
		}
		relation_close(tracker, AccessShareLock);
	}
	return ids;
}
