/*
 * rules.c
 *		The rules of a relation, ready to be applied to its rows.
 *
 * The rules of a relation are its own and those of everything that it is a
 * partition or an inheritance child of.  They are read from their carriers
 * once per session and relation, compiled (rule.c) and kept until something
 * changes that they were made from: the relation itself, an ancestor, or a
 * table that a path or a query leads to.
 *
 * Whoever changes a row of a tracked table needs no privilege on our objects:
 * carriers are read from the catalogs.
 */
#include "postgres.h"

#include "access/relation.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "base/attempt.h"
#include "rule/carrier.h"
#include "rule/family.h"
#include "rule/rules.h"
#include "rule/ties.h"
#include "target/usage.h"

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
 * Whether it is known of a relation, whose rules were asked for last, that none of them
 * is on.  Who turns one on tells all sessions, and they ask again.
 */
bool
inval_rules_are_off(Relation relation)
{
	return last_rules != NULL && last_rules->relid == RelationGetRelid(relation) &&
		last_rules->valid && last_rules->nrules == 0;
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
		inval_rule_bind_targets(rule, definition, true, entry->context);
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
	ListCell   *lc;
	int			i;

	inval_rule_compile(rule, compilation->definition, compilation->relation,
					   compilation->tracked, entry->context);
	foreach(lc, inval_rule_reads(rule))
	{
		rules_depend_on(lfirst_oid(lc));
	}
	inval_rule_check_rights(rule, compilation->tracked, owner);
	inval_rule_attempt_refill(rule, compilation->definition, compilation->relation,
							  compilation->tracked, entry->context);
	foreach(lc, rule->refill ? rule->refill->lookup->relations : NIL)
	{
		rules_depend_on(lfirst_oid(lc));
	}
	for (i = 0; i < rule->ntargets; i++)
		inval_target_check_usage(owner, rule->targets[i]->name);
}
