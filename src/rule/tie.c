/*
 * tie.c
 *		Ties rules to what they need.
 *
 * What a rule needs is known when it has been compiled for its own relation.
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/pg_class.h"
#include "catalog/pg_foreign_server.h"
#include "storage/lmgr.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "base/attempt.h"
#include "rule/carrier.h"
#include "rule/carrier_server.h"
#include "rule/queries.h"
#include "rule/rule.h"
#include "rule/tie.h"
#include "rule/ties.h"

/* How long a rule's tables may be locked by others */
#define TIE_LOCK_TIMEOUT	"100ms"

static List *tie_template(List *needs, const InvalBoundTemplate *template,
						  const InvalRule *rule, Oid relid);
static List *tie_value(List *needs, Oid relid, const InvalRefill *query);
static List *tie_column(List *needs, Oid relid, AttrNumber column);
static void tie_one(void *arg);
static Relation tie_open(const InvalDefinition *definition);

/*
 * Writes a rule down (see inval_carrier_put), tied to what it needs.
 */
int32
inval_tie_put(InvalDefinition *definition)
{
	int32		id = inval_carrier_put(definition);

	inval_tie(definition);
	return id;
}

/*
 * Ties the carrier of a rule to what the rule needs.  An error if the rule
 * cannot be applied; nothing if somebody has just dropped it.
 */
void
inval_tie(const InvalDefinition *definition)
{
	InvalDefinition untied = *definition;
	Relation	relation = tie_open(definition);
	List	   *queries = NIL;
	MemoryContext context;
	List	   *needs = NIL;
	InvalRule	rule;
	InvalRefill *audit;
	int			i;

	if (relation == NULL)
		return;
	context = AllocSetContextCreate(CurrentMemoryContext, "inval tie", ALLOCSET_SMALL_SIZES);

	/* What it was tied to does not count. */
	untied.carrier = InvalidOid;
	inval_rule_compile(&rule, &untied, relation, relation, context);
	inval_rule_bind_refill(&rule, &untied, relation, relation, context);
	audit = inval_rule_bind_audit(&rule, &untied, relation, context);
	for (i = 0; i < INVAL_RULE_TEMPLATES; i++)
		needs = tie_template(needs, rule.templates[i], &rule, definition->relation);
	for (i = 0; i < rule.nchanges; i++)
		needs = tie_column(needs, definition->relation, rule.changes[i]);
	for (i = 0; rule.via != NULL && i < rule.via->nparams; i++)
		needs = tie_column(needs, definition->relation, rule.via->attnums[i]);
	needs = tie_value(needs, definition->relation, rule.refill);
	needs = tie_value(needs, definition->relation, audit);
	if (rule.via != NULL)
		queries = lappend(queries, inval_queries_via(definition, relation)->query);
	if (rule.refill != NULL)
		queries = lappend(queries, inval_queries_refill(definition, relation)->query);
	if (audit != NULL)
		queries = lappend(queries, inval_queries_audit(definition, relation)->query);
	inval_ties_record(definition, needs, queries);
	MemoryContextDelete(context);
	relation_close(relation, NoLock);
}

/*
 * Opens the relation of a rule, under a lock that keeps others from dropping the
 * rule.  NULL if it is gone by now: of a dependency that nobody has, what it is on
 * could never be dropped or altered again.
 */
static Relation
tie_open(const InvalDefinition *definition)
{
	ObjectAddress carrier = inval_ties_carrier(definition);
	Relation	relation = try_relation_open(definition->relation, AccessShareLock);

	/* Whoever drops the rule of a materialized view has no such lock on that. */
	if (carrier.classId == ForeignServerRelationId)
		LockDatabaseObject(carrier.classId, carrier.objectId, 0, AccessShareLock);
	if (relation == NULL || inval_carrier_read(carrier.classId, carrier.objectId) != NULL)
		return relation;
	relation_close(relation, NoLock);
	return NULL;
}

/*
 * As inval_tie, but returns the error of a rule that cannot be applied, which stays
 * as it is; NULL if it is tied.
 */
ErrorData *
inval_tie_attempt(const InvalDefinition *definition)
{
	return inval_attempt(tie_one, unconstify(InvalDefinition *, definition));
}

static void
tie_one(void *arg)
{
	inval_tie(arg);
}

/*
 * Ties all rules that are not: pg_upgrade restores no such dependencies and runs
 * no event trigger that would, and a dump may have made what a rule needs after
 * it.  Those that cannot be applied stay as they are, and so do those whose tables
 * are locked just now: this runs where nobody waits for it.
 */
void
inval_tie_adopt(void)
{
	int			nest_level = NewGUCNestLevel();
	ListCell   *lc;

	(void) set_config_option("lock_timeout", TIE_LOCK_TIMEOUT, PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	inval_carrier_adopt();
	foreach(lc, inval_carriers_all())
	{
		ErrorData  *error = NULL;

		if (!inval_ties_exist(lfirst(lc)))
			error = inval_attempt_anyhow(tie_one, lfirst(lc));
		if (error != NULL && error->sqlerrcode == ERRCODE_QUERY_CANCELED)
			ReThrowError(error);
	}
	AtEOXact_GUC(false, nest_level);
}

static List *
tie_template(List *needs, const InvalBoundTemplate *template, const InvalRule *rule, Oid relid)
{
	int			i;

	for (i = 0; template != NULL && i < template->nsegments; i++)
	{
		const InvalBoundSegment *segment = &template->segments[i];

		if (segment->path != NULL)
			needs = list_concat(needs, list_copy(segment->path->needs));
		else if (rule->via == NULL && segment->attnum != 0)
			needs = tie_column(needs, relid, segment->attnum);
	}
	return needs;
}

/*
 * The columns of the row that a query for a value (NULL: there is none) is asked by.
 */
static List *
tie_value(List *needs, Oid relid, const InvalRefill *query)
{
	int			i;

	for (i = 0; query != NULL && i < query->nparams; i++)
		if (!query->given[i])
			needs = tie_column(needs, relid, query->attnums[i]);
	return needs;
}

static List *
tie_column(List *needs, Oid relid, AttrNumber column)
{
	ObjectAddress *address = palloc(sizeof(ObjectAddress));

	ObjectAddressSubSet(*address, RelationRelationId, relid, column);
	return lappend(needs, address);
}
