/*
 * rule.c
 *		The rules of a relation, ready to be applied to its rows.
 *
 * The rules of a relation are its own and those of everything that it is a
 * partition or an inheritance child of.  They are read from their carriers
 * once per session and relation, compiled (templates bound to columns) and
 * kept until something changes that they were made from: the relation itself,
 * an ancestor, or a table that a path or a query leads to.
 *
 * Whoever changes a row of a tracked table needs no privilege on our objects:
 * carriers are read from the catalogs.
 */
#include "postgres.h"

#include "access/relation.h"
#include "commands/trigger.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "base/attempt.h"
#include "rule/carrier.h"
#include "rule/family.h"
#include "rule/fill.h"
#include "rule/inputs.h"
#include "rule/rule.h"
#include "rule/ties.h"
#include "target/targets.h"
#include "target/usage.h"

const InvalRuleOption inval_rule_options[INVAL_RULE_TEMPLATES] =
{
	[INVAL_RULE_KEY] = RULE_KEY,
	[INVAL_RULE_FIELD] = RULE_FIELD,
	[INVAL_RULE_CHANNEL] = RULE_PUBLISH,
	[INVAL_RULE_STREAM] = RULE_STREAM,
};

static HTAB *relation_rules = NULL;
static InvalRelationRules *last_rules = NULL;	/* asked for last; never removed */
static HTAB *sources = NULL;	/* what rules of other relations depend on */

static void rules_begin(void);
static void rules_relcache_callback(Datum arg, Oid relid);
static void rules_server_callback(Datum arg, int cacheid, uint32 hash);
static void rules_depend_on(Oid relid);
static void rules_load(InvalRelationRules *entry, Relation relation, List *trackers,
					   InvalRuleFilter filter, void *arg);
static void rules_compile(InvalRelationRules *entry, const InvalDefinition *definition,
						  Relation relation, Relation tracked);
static void rules_compile_in(void *arg);
static void rule_describe_fill(InvalFillRule *fill, InvalRule *rule,
							   const InvalDefinition *definition);
static void rule_check_template(const InvalBoundTemplate *template, Oid role);
static void rule_bind_targets(InvalRule *rule, const InvalDefinition *definition,
							  bool missing_ok, MemoryContext context);
static void rule_bind_changes(InvalRule *rule, const InvalDefinition *definition,
							  Relation relation, MemoryContext context);

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

	/* Rows come in runs. */
	if (likely(last_rules != NULL && last_rules->relid == relid && last_rules->valid))
		return last_rules;
	if (unlikely(relation_rules == NULL))
		rules_begin();
	entry = hash_search(relation_rules, &relid, HASH_ENTER, &found);
	last_rules = entry;
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
		entry->context = AllocSetContextCreate(TopMemoryContext,
											   "inval rules of a relation",
											   ALLOCSET_SMALL_SIZES);
		rules_load(entry, relation, inval_family_ancestors(relid), NULL, NULL);
	}
	PG_CATCH();
	{
		entry->valid = false;
		PG_RE_THROW();
	}
	PG_END_TRY();
	return entry;
}

/*
 * The rules that the relations "trackers" (a list of OIDs) have of their own,
 * bound to the columns of "relation", without those that are off and those that
 * the filter (NULL: none) does not want.  Allocated in "context"; not kept.
 */
InvalRelationRules *
inval_rules_from(Relation relation, List *trackers, InvalRuleFilter filter, void *arg,
				 MemoryContext context)
{
	InvalRelationRules *rules = MemoryContextAllocZero(context, sizeof(InvalRelationRules));

	rules->relid = RelationGetRelid(relation);
	rules->context = context;
	rules_load(rules, relation, trackers, filter, arg);
	return rules;
}

static void
rules_begin(void)
{
	HASHCTL		ctl = {0};

	ctl.keysize = sizeof(Oid);
	ctl.entrysize = sizeof(Oid);
	sources = hash_create("inval rule sources", 64, &ctl, HASH_ELEM | HASH_BLOBS);
	ctl.entrysize = sizeof(InvalRelationRules);
	relation_rules = hash_create("inval rules", 64, &ctl, HASH_ELEM | HASH_BLOBS);
	CacheRegisterRelcacheCallback(rules_relcache_callback, (Datum) 0);
	CacheRegisterSyscacheCallback(FOREIGNSERVEROID, rules_server_callback, (Datum) 0);
	/* Rights come by membership, too. */
	CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, rules_server_callback, (Datum) 0);
	CacheRegisterSyscacheCallback(PROCOID, rules_server_callback, (Datum) 0);
	CacheRegisterSyscacheCallback(OPEROID, rules_server_callback, (Datum) 0);
}

static void
rules_relcache_callback(Datum arg, Oid relid)
{
	InvalRelationRules *entry;
	HASH_SEQ_STATUS status;

	(void) arg;
	if (OidIsValid(relid) && hash_search(sources, &relid, HASH_FIND, NULL) == NULL)
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

/*
 * Rules of materialized views are foreign servers.  And where a query of via calls
 * something, a function or operator that is new may fit better: the server then
 * analyses the query anew, before which the rule must be (ties.c).
 */
static void
rules_server_callback(Datum arg, int cacheid, uint32 hash)
{
	(void) cacheid;
	(void) hash;
	rules_relcache_callback(arg, InvalidOid);
}

static void
rules_depend_on(Oid relid)
{
	if (unlikely(sources == NULL))
		rules_begin();
	(void) hash_search(sources, &relid, HASH_ENTER, NULL);
}

/*
 * The ancestors are opened under a lock that is given back: what is compiled
 * is invalidated when they change.
 */
static void
rules_load(InvalRelationRules *entry, Relation relation, List *trackers,
		   InvalRuleFilter filter, void *arg)
{
	int			room = 0;
	ListCell   *lc;

	foreach(lc, trackers)
	{
		Oid			relid = lfirst_oid(lc);
		bool		self = relid == RelationGetRelid(relation);
		Relation	tracked;
		ListCell   *carrier;

		if (!self)
			rules_depend_on(relid);
		tracked = self ? relation : try_relation_open(relid, AccessShareLock);
		if (tracked == NULL)
			continue;
		foreach(carrier, inval_carriers_readable(tracked))
		{
			inval_ties_lock(lfirst(carrier));
		}
		foreach(carrier, inval_carriers_usable(tracked))
		{
			const InvalDefinition *definition = lfirst(carrier);

			if (strcmp(inval_definition_get(definition, RULE_STATE), "off") == 0 ||
				(filter != NULL && !filter(definition, arg)))
				continue;
			if (entry->nrules == room)
			{
				MemoryContext old = MemoryContextSwitchTo(entry->context);

				room = Max(4, room * 2);
				entry->rules = entry->rules == NULL ? palloc(room * sizeof(InvalRule)) :
					repalloc(entry->rules, room * sizeof(InvalRule));
				MemoryContextSwitchTo(old);
			}
			rules_compile(entry, definition, relation, tracked);
		}
		if (!self)
			relation_close(tracked, AccessShareLock);
	}
}

/* A rule being compiled */
typedef struct Compilation
{
	InvalRelationRules *entry;
	const InvalDefinition *definition;
	Relation	relation;
	Relation	tracked;
} Compilation;

/*
 * Adds a rule to those of a relation; one that cannot be applied as a broken
 * one, because what its maker has to mend must not keep others from writing.
 */
static void
rules_compile(InvalRelationRules *entry, const InvalDefinition *definition,
			  Relation relation, Relation tracked)
{
	Compilation compilation = {entry, definition, relation, tracked};
	ErrorData  *error = inval_attempt(rules_compile_in, &compilation);

	if (error != NULL)
	{
		InvalRule  *rule = &entry->rules[entry->nrules];

		memset(rule, 0, sizeof(*rule));
		rule->id = (uint32) inval_definition_id(definition);
		rule->broken = MemoryContextStrdup(entry->context, error->message);
		rule_bind_targets(rule, definition, true, entry->context);
		FreeErrorData(error);
	}
	entry->nrules++;
}

static void
rules_compile_in(void *arg)
{
	Compilation *compilation = arg;
	InvalRelationRules *entry = compilation->entry;

	InvalRule  *rule = &entry->rules[entry->nrules];
	Oid			owner = compilation->tracked->rd_rel->relowner;
	InvalFillRule fill;
	ListCell   *lc;
	int			i;

	inval_rule_compile(rule, compilation->definition, compilation->relation,
					   compilation->tracked, entry->context);
	inval_rule_check_rights(rule, compilation->tracked, owner);
	rule_describe_fill(&fill, rule, compilation->definition);
	rule->refill = inval_fill_bind_attempt(&fill, compilation->relation, compilation->tracked,
										   entry->context, &rule->refill_problem);
	foreach(lc, rule->refill ? rule->refill->lookup->relations : NIL)
	{
		rules_depend_on(lfirst_oid(lc));
	}
	for (i = 0; i < rule->ntargets; i++)
		inval_target_check_usage(owner, rule->targets[i]->name);
}

/*
 * Makes a rule ready for the rows of a relation, which is "tracked" itself or
 * belongs to it.  What the rule points to is allocated in "context".  A rule
 * that does not fit the relation is an error.
 */
void
inval_rule_compile(InvalRule *rule, const InvalDefinition *definition,
				   Relation relation, Relation tracked, MemoryContext context)
{
	ErrorContextCallback callback;
	const char *delivery = inval_definition_get(definition, RULE_DELIVERY);
	const char *via = inval_definition_get(definition, RULE_VIA);
	InvalRenderSource source;
	ListCell   *lc;
	int			i;

	memset(rule, 0, sizeof(*rule));
	rule->id = (uint32) inval_definition_id(definition);

	callback.callback = inval_rule_error_context;
	callback.arg = rule;
	callback.previous = error_context_stack;
	error_context_stack = &callback;

	if (!inval_action_from_name(inval_definition_get(definition, RULE_ACTION), &rule->action))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("action \"%s\" is not supported by this version of inval",
						inval_definition_get(definition, RULE_ACTION))));
	if (strcmp(inval_definition_get(definition, RULE_STATE), "shadow") == 0)
		rule->lane = INVAL_LANE_SHADOW;
	else if (strcmp(delivery, "background") == 0 || rule->action == INVAL_ACTION_PREFIX)
		rule->lane = INVAL_LANE_WORKER;
	else
		rule->lane = strcmp(delivery, "strict") == 0 ? INVAL_LANE_STRICT : INVAL_LANE_COMMIT;

	rule->fence = strcmp(inval_definition_get(definition, RULE_FENCE), "true") == 0 ||
		rule->lane == INVAL_LANE_STRICT;
	rule->ttl_ms = inval_definition_ms(definition, RULE_TTL);
	rule_bind_targets(rule, definition, false, context);
	rule->repeat_ms = inval_definition_ms(definition, RULE_REPEAT_AFTER);
	source.relation = relation;
	source.tracked = tracked;
	source.via = NULL;
	if (via != NULL)
	{
		rule->via = inval_via_bind(via, tracked, relation, context);
		inval_ties_check(definition, rule->via->objects, "via");
		source.via = rule->via;
	}
	rule->plain = rule->via == NULL;
	for (i = 0; i < INVAL_RULE_TEMPLATES; i++)
	{
		const char *text = inval_definition_get(definition, inval_rule_options[i]);

		if (text == NULL)
			continue;
		rule->templates[i] = inval_render_bind(inval_template_parse(text, inval_definition_name(inval_rule_options[i])),
											   &source, context);
		rule->plain &= !rule->templates[i]->manifold;
	}
	rule->looks = inval_rule_reads(rule) != NIL || rule->via != NULL;
	inval_inputs_bind(&rule->inputs, rule->via, rule->templates, INVAL_RULE_TEMPLATES,
					  INVAL_RULE_CHANNEL, relation, context);
	rule_bind_changes(rule, definition, relation, context);
	foreach(lc, inval_rule_reads(rule))
	{
		rules_depend_on(lfirst_oid(lc));
	}
	error_context_stack = callback.previous;
}

/*
 * Makes ready what a compiled rule puts back at its keys, which who applies it does by
 * himself.  A query that cannot be used is an error.
 */
void
inval_rule_bind_refill(InvalRule *rule, const InvalDefinition *definition,
					   Relation relation, Relation tracked, MemoryContext context)
{
	InvalFillRule fill;

	rule_describe_fill(&fill, rule, definition);
	rule->refill = inval_fill_bind(&fill, relation, tracked, context);
}

/*
 * Makes ready the query that says what should be at the keys of a rule, which was
 * compiled for the tracked relation itself; NULL if the rule has none.  That is done
 * for an audit only, so that nobody who writes to the table has to bear it.
 */
InvalRefill *
inval_rule_bind_audit(const InvalRule *rule, const InvalDefinition *definition,
					  Relation tracked, MemoryContext context)
{
	const char *text = definition->options[RULE_AUDIT];
	InvalQuerySource source = inval_refill_source("audit", rule->via, tracked);
	InvalRefill *audit;

	if (text == NULL)
		return NULL;
	audit = inval_refill_bind(text, &source, tracked, context);
	inval_ties_check(definition, audit->objects, "audit");
	return audit;
}

static void
rule_describe_fill(InvalFillRule *fill, InvalRule *rule, const InvalDefinition *definition)
{
	fill->definition = definition;
	fill->via = rule->via;
	fill->key = rule->templates[INVAL_RULE_KEY];
	fill->looks = rule->looks;
	fill->inputs = &rule->inputs;
}

/*
 * An error for a role that may not read what a rule looks up, in all rows.  That is
 * asked for the owner of the tracked relation whenever a rule is to be applied.
 */
void
inval_rule_check_rights(const InvalRule *rule, Relation tracked, Oid role)
{
	ErrorContextCallback callback;
	int			i;

	callback.callback = inval_rule_error_context;
	callback.arg = unconstify(InvalRule *, rule);
	callback.previous = error_context_stack;
	error_context_stack = &callback;

	if (rule->via != NULL)
		inval_via_check_rights(rule->via, tracked, role);
	for (i = 0; i < INVAL_RULE_TEMPLATES; i++)
		if (rule->templates[i] != NULL)
			rule_check_template(rule->templates[i], role);

	error_context_stack = callback.previous;
}

static void
rule_check_template(const InvalBoundTemplate *template, Oid role)
{
	int			i;

	for (i = 0; i < template->nsegments; i++)
		if (template->segments[i].path != NULL)
			inval_path_check_rights(template->segments[i].path, role);
}

/*
 * Whether a foreign key on the rule's way may lead nowhere although the row
 * stays: it was not validated, or its triggers do not fire.
 */
bool
inval_rule_may_miss(const InvalRule *rule)
{
	int			i;

	for (i = 0; i < INVAL_RULE_TEMPLATES; i++)
		if (rule->templates[i] != NULL && inval_render_may_miss(rule->templates[i]))
			return true;
	return SessionReplicationRole == SESSION_REPLICATION_ROLE_REPLICA;
}

/*
 * The relations (a list of OIDs) whose rows a rule looks up.
 */
List *
inval_rule_reads(const InvalRule *rule)
{
	List	   *reads = NIL;
	int			i;

	if (rule->via != NULL)
		reads = list_concat_copy(reads, rule->via->lookup->relations);
	for (i = 0; i < INVAL_RULE_TEMPLATES; i++)
		if (rule->templates[i] != NULL)
			reads = list_concat_copy(reads, inval_render_reads(rule->templates[i]));
	return reads;
}

/*
 * Whether this transaction has written to what the rule looks up: then the
 * row's keys are those that it feeds now, and those that it fed before.
 */
bool
inval_rule_is_touched(InvalRule *rule)
{
	int			i;

	for (i = 0; i < INVAL_RULE_TEMPLATES; i++)
		if (rule->templates[i] != NULL && inval_render_is_touched(rule->templates[i]))
			return true;
	return rule->via != NULL && inval_via_is_touched(rule->via);
}

/*
 * Those that are not there are left out, or an error; if none is there, "default"
 * stands for them, so that there is something to count for.
 */
static void
rule_bind_targets(InvalRule *rule, const InvalDefinition *definition, bool missing_ok,
				  MemoryContext context)
{
	List	   *names = inval_definition_list(definition, RULE_TARGETS);
	ListCell   *lc;

	rule->targets = MemoryContextAlloc(context, Max(list_length(names), 1) * sizeof(InvalTarget *));
	foreach(lc, names)
	{
		InvalTarget *target = inval_target_by_name(lfirst(lc), missing_ok);

		if (target != NULL)
			rule->targets[rule->ntargets++] = target;
	}
	if (rule->ntargets == 0)
		rule->targets[rule->ntargets++] = inval_target_default();
}

static void
rule_bind_changes(InvalRule *rule, const InvalDefinition *definition,
				  Relation relation, MemoryContext context)
{
	List	   *names = inval_definition_list(definition, RULE_CHANGES);
	ListCell   *lc;

	if (names == NIL)
		return;
	rule->changes = MemoryContextAlloc(context, list_length(names) * sizeof(AttrNumber));
	foreach(lc, names)
	{
		AttrNumber	attnum = get_attnum(RelationGetRelid(relation), lfirst(lc));

		if (attnum == InvalidAttrNumber)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("column \"%s\" of relation \"%s\" does not exist",
							(char *) lfirst(lc), RelationGetRelationName(relation))));
		if (attnum < 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
					 errmsg("system column \"%s\" cannot be in the list of changes",
							(char *) lfirst(lc))));
#ifdef ATTRIBUTE_GENERATED_VIRTUAL
		/* Triggers see NULL, so no UPDATE would ever count. */
		if (TupleDescAttr(RelationGetDescr(relation), attnum - 1)->attgenerated ==
			ATTRIBUTE_GENERATED_VIRTUAL)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("virtual generated column \"%s\" cannot be in the list of changes",
							(char *) lfirst(lc)),
					 errhint("Name the columns that it is computed from.")));
#endif
		rule->changes[rule->nchanges++] = attnum;
	}
}

/*
 * Says which rule an error is about; for error_context_stack.
 */
void
inval_rule_error_context(void *arg)
{
	if (((InvalRule *) arg)->id != 0)	/* else it is being made */
		errcontext("inval rule %u", ((InvalRule *) arg)->id);
}
