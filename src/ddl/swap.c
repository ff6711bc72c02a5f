/*
 * swap.c
 *		Tables that take the name of a tracked one.
 *
 * A table that was built aside takes the place of another by two renames in one
 * transaction.  The rules stay with the old one.  So the names are remembered that
 * tracked tables had; when another table takes one of them, the keys of the rows
 * of both are queued, under the rules that there are.  When the transaction ends,
 * it is said if no rule tracks the other, and if other rules do than those of the
 * first, perhaps because a column has another name, its rows are queued under
 * those, too.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "commands/tablecmds.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "base/attempt.h"
#include "base/catalog.h"
#include "base/rights.h"
#include "ddl/rows.h"
#include "ddl/swap.h"
#include "rule/definition.h"
#include "rule/family.h"

/* A name that a tracked table had */
typedef struct SwapName
{
	Oid			relid;			/* that table */
	Oid			schema;
	char	   *name;
	List	   *rules;			/* of its rows (InvalDefinition *) */
	Oid			taker;			/* whose rows were queued for it, or invalid */
} SwapName;

/* Rows to be queued under the rules of another table */
typedef struct SwapRows
{
	Oid			relid;
	Oid			tracked;
	InvalRowAge age;
} SwapRows;

static List *names = NIL;		/* of SwapName *, in TopTransactionContext */

static Oid	swap_target(Node *statement);
static bool swap_is_table(Oid relid);
static void swap_rows(void *arg);
static void swap_xact_callback(XactEvent event, void *arg);
static void swap_subxact_callback(SubXactEvent event, SubTransactionId subxact,
								  SubTransactionId parent, void *arg);
static void swap_conclude(const SwapName *name);
static bool swap_has_other_rules(const SwapName *name, Oid taker);
static void swap_warn(const SwapName *name);

/*
 * Called by _PG_init.
 */
void
inval_ddl_swap_init(void)
{
	RegisterXactCallback(swap_xact_callback, NULL);
	RegisterSubXactCallback(swap_subxact_callback, NULL);
}

/*
 * Remembers the name of a tracked table that is about to get another, or to go to
 * another schema, and takes the lock that the command takes.  May raise what the
 * command would, of who may not do that.
 */
void
inval_ddl_before_name(Node *statement)
{
	Oid			relid = swap_target(statement);
	MemoryContext old;
	SwapName   *name;
	ListCell   *lc;

	if (!OidIsValid(relid) || get_rel_persistence(relid) == RELPERSISTENCE_TEMP ||
		!inval_rights_is_owner(relid) || !inval_family_is_tracked(relid))
		return;
	foreach(lc, names)
	{
		if (((SwapName *) lfirst(lc))->relid == relid)
			return;				/* the name that it had at first counts */
	}
	old = MemoryContextSwitchTo(TopTransactionContext);
	name = palloc0(sizeof(SwapName));
	name->relid = relid;
	name->schema = get_rel_namespace(relid);
	name->name = get_rel_name(relid);
	name->rules = inval_ddl_rules_of(inval_family_ancestors(relid));
	names = lappend(names, name);
	MemoryContextSwitchTo(old);
}

/*
 * The table that a command renames or moves, under the lock of the command, which
 * is taken as the command does: while one waits for it another table may have
 * taken the name.  InvalidOid for what is no table.
 */
static Oid
swap_target(Node *statement)
{
	AlterTableStmt *lookup = makeNode(AlterTableStmt);
	ObjectType	type = OBJECT_ACCESS_METHOD;	/* none that matters */
	RangeVar   *relation = NULL;

	if (IsA(statement, RenameStmt))
	{
		type = ((RenameStmt *) statement)->renameType;
		relation = ((RenameStmt *) statement)->relation;
	}
	else if (IsA(statement, AlterObjectSchemaStmt))
	{
		type = ((AlterObjectSchemaStmt *) statement)->objectType;
		relation = ((AlterObjectSchemaStmt *) statement)->relation;
	}
	if (type != OBJECT_TABLE && type != OBJECT_FOREIGN_TABLE && type != OBJECT_MATVIEW)
		return InvalidOid;
	if (!swap_is_table(RangeVarGetRelid(relation, NoLock, true)))
		return InvalidOid;
	lookup->relation = relation;
	lookup->objtype = type;
	lookup->missing_ok = true;
	return AlterTableLookupRelation(lookup, AccessExclusiveLock);
}

/*
 * ALTER TABLE is said of views and indexes, too, and takes other locks on those.
 */
static bool
swap_is_table(Oid relid)
{
	char		kind = OidIsValid(relid) ? get_rel_relkind(relid) : '\0';

	return kind == RELKIND_RELATION || kind == RELKIND_PARTITIONED_TABLE ||
		kind == RELKIND_FOREIGN_TABLE || kind == RELKIND_MATVIEW;
}

/*
 * A relation was created, or has another name: if that is one that a tracked table
 * had, queues what the rows of both owe under that one's rules.
 */
void
inval_ddl_after_name(Oid relid)
{
	ListCell   *lc;

	foreach(lc, names)
	{
		SwapName   *name = lfirst(lc);
		SwapRows	taken = {name->relid, name->relid, INVAL_ROW_OLD};
		SwapRows	rows = {relid, name->relid, INVAL_ROW_NEW};
		char	   *now = get_rel_name(relid);

		if (relid == name->relid || relid == name->taker || now == NULL ||
			get_rel_namespace(relid) != name->schema || strcmp(now, name->name) != 0)
			continue;
		name->taker = relid;

		/* It may lack columns that the rules need. */
		(void) inval_attempt(swap_rows, &rows);
		(void) inval_attempt(swap_rows, &taken);
	}
}

static void
swap_rows(void *arg)
{
	SwapRows   *rows = arg;
	List	   *trackers = inval_family_ancestors(rows->tracked);
	ListCell   *lc;

	if (get_rel_name(rows->tracked) == NULL)
		return;					/* dropped, and its rows queued */

	/* Rows of the taker that this transaction has written were not noted then. */
	foreach(lc, inval_family_leaves(rows->relid, AccessShareLock))
	{
		inval_ddl_rows(lfirst_oid(lc), trackers, rows->age, false);
	}
}

static void
swap_xact_callback(XactEvent event, void *arg)
{
	ListCell   *lc;

	(void) arg;
	if (event == XACT_EVENT_PRE_COMMIT || event == XACT_EVENT_PRE_PREPARE)
	{
		foreach(lc, names)
		{
			swap_conclude(lfirst(lc));
		}
	}
	else
		names = NIL;
}

/*
 * What was queued when a name was taken may have been rolled back.
 */
static void
swap_subxact_callback(SubXactEvent event, SubTransactionId subxact,
					  SubTransactionId parent, void *arg)
{
	ListCell   *lc;

	(void) subxact;
	(void) parent;
	(void) arg;
	foreach(lc, event == SUBXACT_EVENT_ABORT_SUB ? names : NIL)
	{
		((SwapName *) lfirst(lc))->taker = InvalidOid;
	}
}

/*
 * Looks at the names as they are now: a subtransaction that has given them away
 * may have been rolled back.
 */
static void
swap_conclude(const SwapName *name)
{
	Oid			taker = get_relname_relid(name->name, name->schema);
	SwapRows	rows = {taker, taker, INVAL_ROW_NEW};

	if (!OidIsValid(taker) || taker == name->relid || inval_catalog(true) == NULL)
		return;
	if (!inval_family_is_tracked(taker))
		swap_warn(name);
	else if (swap_has_other_rules(name, taker))
		(void) inval_attempt(swap_rows, &rows);
}

static bool
swap_has_other_rules(const SwapName *name, Oid taker)
{
	ListCell   *lc;

	foreach(lc, inval_ddl_rules_of(inval_family_ancestors(taker)))
	{
		InvalDefinition rule = *(InvalDefinition *) lfirst(lc);
		ListCell   *other;
		bool		same = false;

		foreach(other, name->rules)
		{
			rule.relation = ((InvalDefinition *) lfirst(other))->relation;
			same |= inval_definition_same_rule(&rule, lfirst(other));
		}
		if (!same)
			return true;
	}
	return false;
}

static void
swap_warn(const SwapName *name)
{
	ereport(WARNING,
			(errmsg("table \"%s\" is not tracked", name->name),
			 get_rel_name(name->relid) != NULL ?
			 errdetail("It has taken the name of a tracked table, which is \"%s.%s\" now.",
					   get_namespace_name(get_rel_namespace(name->relid)),
					   get_rel_name(name->relid)) :
			 errdetail("It has taken the name of a tracked table, which is gone."),
			 errhint("Call inval_track for it in the transaction that renames it.")));
}
