/*
 * rule.c
 *		The rules of a relation, ready to be applied to its rows.
 *
 * Read from inval_rule once per session and relation, compiled (templates
 * bound to columns) and kept until the relation changes.  A change of a rule
 * counts as a change of its relation: a trigger on inval_rule says so to the
 * relation cache, whatever changed the row.
 *
 * The table is read directly, not by a query: whoever changes a row of a
 * tracked table needs no privilege on our tables.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "replication/logicalworker.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "catalog.h"
#include "rule.h"

static HTAB *relation_rules = NULL;

static void rules_begin(void);
static void rules_relcache_callback(Datum arg, Oid relid);
static void rules_load(InvalRelationRules *entry, Relation relation);
static void rule_compile(InvalRule *rule, Datum *values, bool *nulls,
						 Relation relation, MemoryContext context);
static void rule_error_context(void *arg);

PG_FUNCTION_INFO_V1(inval_rule_apply);
PG_FUNCTION_INFO_V1(inval_rule_changed);
PG_FUNCTION_INFO_V1(inval_rule_truncate);

/*
 * The rules of a relation, without those that are off.  Valid until the end of
 * the transaction: a change that arrives meanwhile makes the next call compile
 * anew, into another place.
 */
InvalRelationRules *
inval_rules_of(Relation relation)
{
	Oid			relid = RelationGetRelid(relation);
	InvalRelationRules *entry;
	bool		found;

	if (unlikely(relation_rules == NULL))
		rules_begin();
	entry = hash_search(relation_rules, &relid, HASH_ENTER, &found);
	if (likely(found && entry->valid))
		return entry;
	if (!found)
	{
		entry->valid = false;
		entry->context = NULL;
	}

	/* Somebody further up may still use the old ones. */
	if (entry->context != NULL)
		MemoryContextSetParent(entry->context, TopTransactionContext);
	entry->context = NULL;
	entry->nrules = 0;
	entry->rules = NULL;

	/*
	 * An invalidation that arrives while loading must not be lost, so the
	 * entry is valid from here on; an error half-way makes it invalid again.
	 */
	entry->valid = true;
	PG_TRY();
	{
		rules_load(entry, relation);
	}
	PG_CATCH();
	{
		entry->valid = false;
		PG_RE_THROW();
	}
	PG_END_TRY();
	return entry;
}

static void
rules_begin(void)
{
	HASHCTL		ctl = {0};

	ctl.keysize = sizeof(Oid);
	ctl.entrysize = sizeof(InvalRelationRules);
	relation_rules = hash_create("inval rules", 64, &ctl, HASH_ELEM | HASH_BLOBS);
	CacheRegisterRelcacheCallback(rules_relcache_callback, (Datum) 0);
}

static void
rules_relcache_callback(Datum arg, Oid relid)
{
	InvalRelationRules *entry;
	HASH_SEQ_STATUS status;

	(void) arg;
	if (OidIsValid(relid))
	{
		entry = hash_search(relation_rules, &relid, HASH_FIND, NULL);
		if (entry != NULL)
			entry->valid = false;
		return;
	}
	hash_seq_init(&status, relation_rules);
	while ((entry = hash_seq_search(&status)) != NULL)
		entry->valid = false;
}

static void
rules_load(InvalRelationRules *entry, Relation relation)
{
	const InvalCatalog *catalog = inval_catalog(false);
	Oid			identity = catalog->rule_identity;
	Relation	table = table_open(catalog->rule, AccessShareLock);
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	int			room = 0;

	entry->context = AllocSetContextCreate(TopMemoryContext, "inval rules of a relation",
										   ALLOCSET_SMALL_SIZES);
	ScanKeyInit(&key, RULE_RELATION + 1, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(RelationGetRelid(relation)));
	scan = systable_beginscan(table, identity, true, snapshot, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Datum		values[RULE_COLUMNS];
		bool		nulls[RULE_COLUMNS];
		char	   *state;

		heap_deform_tuple(tuple, RelationGetDescr(table), values, nulls);
		state = TextDatumGetCString(values[RULE_STATE]);
		if (strcmp(state, "off") == 0)
			continue;
		if (entry->nrules == room)
		{
			MemoryContext old = MemoryContextSwitchTo(entry->context);

			room = Max(4, room * 2);
			entry->rules = entry->rules == NULL ? palloc(room * sizeof(InvalRule)) :
				repalloc(entry->rules, room * sizeof(InvalRule));
			MemoryContextSwitchTo(old);
		}
		rule_compile(&entry->rules[entry->nrules], values, nulls, relation,
					 entry->context);
		entry->nrules++;
	}
	systable_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(table, AccessShareLock);
}

static void
rule_compile(InvalRule *rule, Datum *values, bool *nulls, Relation relation,
			 MemoryContext context)
{
	ErrorContextCallback callback;
	char	   *action = TextDatumGetCString(values[RULE_ACTION]);
	char	   *delivery = TextDatumGetCString(values[RULE_DELIVERY]);
	char	   *state = TextDatumGetCString(values[RULE_STATE]);
	char	   *key = TextDatumGetCString(values[RULE_KEY]);

	memset(rule, 0, sizeof(*rule));
	rule->id = (uint32) DatumGetInt32(values[RULE_ID]);

	callback.callback = rule_error_context;
	callback.arg = rule;
	callback.previous = error_context_stack;
	error_context_stack = &callback;

	if (!inval_action_from_name(action, &rule->action))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("action \"%s\" is not supported by this version of inval", action)));
	if (strcmp(state, "shadow") == 0)
		rule->lane = INVAL_LANE_SHADOW;
	else if (strcmp(delivery, "background") == 0)
		rule->lane = INVAL_LANE_WORKER;
	else
		rule->lane = INVAL_LANE_COMMIT;

	rule->key = inval_render_bind(inval_template_parse(key, "key"),
								  relation, relation, context);
	if (!nulls[RULE_FIELD])
		rule->field = inval_render_bind(inval_template_parse(TextDatumGetCString(values[RULE_FIELD]), "field"),
										relation, relation, context);
	if (!nulls[RULE_CHANGES])
	{
		Datum	   *names;
		int			i;

		deconstruct_array(DatumGetArrayTypeP(values[RULE_CHANGES]), TEXTOID, -1,
						  false, TYPALIGN_INT, &names, NULL, &rule->nchanges);
		rule->changes = MemoryContextAlloc(context,
										   Max(rule->nchanges, 1) * sizeof(AttrNumber));
		for (i = 0; i < rule->nchanges; i++)
		{
			char	   *name = TextDatumGetCString(names[i]);

			rule->changes[i] = get_attnum(RelationGetRelid(relation), name);
			if (rule->changes[i] == InvalidAttrNumber)
				ereport(ERROR,
						(errcode(ERRCODE_UNDEFINED_COLUMN),
						 errmsg("column \"%s\" of relation \"%s\" does not exist",
								name, RelationGetRelationName(relation))));
		}
	}
	error_context_stack = callback.previous;
}

static void
rule_error_context(void *arg)
{
	errcontext("inval rule %u", ((InvalRule *) arg)->id);
}

/*
 * Trigger on inval_rule: ignores what a logical replication worker brings.
 */
Datum
inval_rule_apply(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) ||
		!TRIGGER_FIRED_BEFORE(trigdata->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigdata->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be fired BEFORE ROW",
						"inval_rule_apply")));
	if (IsLogicalWorker())
		return PointerGetDatum(NULL);
	return PointerGetDatum(TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event) ?
						   trigdata->tg_newtuple : trigdata->tg_trigtuple);
}

/*
 * Trigger on inval_rule: TRUNCATE would leave triggers without rules and
 * sessions with rules that are gone.
 */
Datum
inval_rule_truncate(PG_FUNCTION_ARGS)
{
	(void) fcinfo;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("the table inval_rule cannot be truncated"),
			 errhint("Drop rules by inval_untrack.")));
	PG_RETURN_NULL();			/* keep the compiler quiet */
}

/*
 * Trigger on inval_rule: the relation's rules are no longer what they were.
 */
Datum
inval_rule_changed(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	HeapTuple	rows[2];
	int			i;

	if (!CALLED_AS_TRIGGER(fcinfo) ||
		!TRIGGER_FIRED_AFTER(trigdata->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigdata->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be fired AFTER ROW",
						"inval_rule_changed")));

	rows[0] = trigdata->tg_trigtuple;
	rows[1] = trigdata->tg_newtuple;
	for (i = 0; i < 2; i++)
	{
		bool		isnull;
		Datum		relid;
		HeapTuple	relation;

		if (rows[i] == NULL)
			continue;
		relid = heap_getattr(rows[i], RULE_RELATION + 1,
							 RelationGetDescr(trigdata->tg_relation), &isnull);
		relation = SearchSysCache1(RELOID, relid);
		if (HeapTupleIsValid(relation))
		{
			CacheInvalidateRelcacheByTuple(relation);
			ReleaseSysCache(relation);
		}
	}
	return PointerGetDatum(NULL);
}
