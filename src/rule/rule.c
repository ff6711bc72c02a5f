/*
 * rule.c
 *		A rule, ready to be applied to the rows of a relation.
 *
 * A rule is compiled from its definition: its templates are bound to columns, what
 * they look up to tables, its targets to those of this server.  rules.c keeps what
 * was compiled.
 */
#include "postgres.h"

#include "commands/trigger.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "rule/fill.h"
#include "rule/inputs.h"
#include "rule/rule.h"
#include "rule/ties.h"
#include "target/targets.h"
#include "version/server.h"

const InvalRuleOption inval_rule_options[INVAL_RULE_TEMPLATES] =
{
	[INVAL_RULE_KEY] = RULE_KEY,
	[INVAL_RULE_FIELD] = RULE_FIELD,
	[INVAL_RULE_CHANNEL] = RULE_PUBLISH,
	[INVAL_RULE_STREAM] = RULE_STREAM,
};

static void rule_describe_fill(InvalFillRule *fill, InvalRule *rule,
							   const InvalDefinition *definition);
static void rule_check_template(const InvalBoundTemplate *template, Oid role);
static void rule_bind_changes(InvalRule *rule, const InvalDefinition *definition,
							  Relation relation, MemoryContext context);

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
	inval_rule_bind_targets(rule, definition, false, context);
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
 * The same of a rule that is applied without it if its query cannot be used; why that
 * is so is left in the rule.
 */
void
inval_rule_attempt_refill(InvalRule *rule, const InvalDefinition *definition,
						  Relation relation, Relation tracked, MemoryContext context)
{
	InvalFillRule fill;

	rule_describe_fill(&fill, rule, definition);
	rule->refill = inval_fill_bind_attempt(&fill, relation, tracked, context,
										   &rule->refill_problem);
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
void
inval_rule_bind_targets(InvalRule *rule, const InvalDefinition *definition, bool missing_ok,
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
		/* Triggers see NULL, so no UPDATE would ever count. */
		if (inval_server_is_virtual(TupleDescAttr(RelationGetDescr(relation), attnum - 1)))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("virtual generated column \"%s\" cannot be in the list of changes",
							(char *) lfirst(lc)),
					 errhint("Name the columns that it is computed from.")));
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
