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
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/attempt.h"
#include "base/origin.h"
#include "base/rights.h"
#include "capture/looking.h"
#include "capture/looks.h"
#include "capture/owed.h"
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

/*
 * Queues what the rows of a leaf owe under the rules that "trackers" (OIDs) have
 * of their own.  The caller holds a lock on it.  "strict": a rule that fails is an
 * error.
 */
void
inval_ddl_rows(Oid leaf, List *trackers, InvalRowAge age, bool strict)
{
	Rows		rows = {relation_open(leaf, NoLock), trackers, 0, age};

	if (strict)
		rows_read(&rows);
	else
		rows_try(&rows);
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
 * Queues what all rows owe under the rules that read or run an object, or what it
 * belongs to: it is about to change in a way after which nobody can ask any more
 * what was there.
 */
void
inval_ddl_rows_of_readers(Oid class, Oid object)
{
	List	   *done = NIL;
	ListCell   *lc;

	foreach(lc, class == RelationRelationId ? inval_family_ancestors(object) :
			list_make1_oid(object))
	{
		ListCell   *reader;

		foreach(reader, inval_ties_readers_through(class, lfirst_oid(lc)))
		{
			const InvalDefinition *definition = lfirst(reader);

			/* Its own rows are seen to by the command's own means. */
			if (definition->relation == object || definition->relation == lfirst_oid(lc) ||
				list_member_oid(done, definition->carrier))
				continue;
			done = lappend_oid(done, definition->carrier);
			if (inval_ddl_may_ask(definition, class, object))
				inval_ddl_rows_of_rule(definition, NIL);
			else
				inval_ddl_cannot_ask(definition);
		}
	}
}

/*
 * Whether a rule that looks keys up may do so within a command that is about an
 * object.  What it runs is code of its owner, and a function can catch the
 * cancellation of the command: so the owner must be somebody who could do the
 * same to whoever has called, or to whom the object belongs.
 */
bool
inval_ddl_may_ask(const InvalDefinition *definition, Oid class, Oid object)
{
	Oid			role = inval_rights_owner(RelationRelationId, definition->relation);
	Oid			owner = inval_rights_owner(class, object);

	return !OidIsValid(owner) || !OidIsValid(role) || has_privs_of_role(role, owner) ||
		has_privs_of_role(role, GetUserId());
}

/*
 * A rule that stays may not look up what rows have fed: does so for those that
 * this transaction has changed, and remembers that there is no asking for others.
 */
void
inval_ddl_cannot_ask(const InvalDefinition *definition)
{
	inval_looks_run();
	inval_looking_lose((uint32) inval_definition_id(definition));
}

/*
 * Says that what rows owe is not queued under a rule that may not look it up, and
 * counts that.
 */
void
inval_ddl_rows_are_lost(const InvalDefinition *definition)
{
	int32		id = inval_definition_id(definition);

	inval_owed_count_unasked(definition);
	ereport(WARNING,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("keys of the rows of \"%s\" are not removed under inval rule %d",
					get_rel_name(definition->relation), id),
			 errdetail("Looking them up runs what the owner of \"%s\" has written, who has not the rights of whom the command concerns.",
					   get_rel_name(definition->relation)),
			 errhint("It would be done if the owner of the table were a member of the role that owns what is read.")));
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
		foreach(lc, inval_ddl_rules_of(rows->trackers))
		{
			rows->id = inval_definition_id(lfirst(lc));
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
	inval_origin_saw(INVAL_BY_DDL);
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
 * The rules (InvalDefinition *) that some relations (OIDs) have of their own, in the
 * current memory context.
 */
List *
inval_ddl_rules_of(List *trackers)
{
	List	   *rules = NIL;
	ListCell   *lc;

	foreach(lc, trackers)
	{
		Relation	tracker = try_relation_open(lfirst_oid(lc), AccessShareLock);

		if (tracker == NULL)
			continue;
		rules = list_concat(rules, inval_carriers_readable(tracker));
		relation_close(tracker, AccessShareLock);
	}
	return rules;
}
