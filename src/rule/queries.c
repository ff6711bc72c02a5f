/*
 * queries.c
 *		The queries that a rule has, as they are written down.
 *
 * That of via finds the rows that name the keys, that of refill the value to put
 * back, that of audit the value that should be there.  All are canonical texts, which
 * are understood and written anew when what they name is renamed.
 */
#include "postgres.h"

#include "executor/executor.h"
#include "utils/rel.h"

#include "rule/queries.h"

static InvalViaQuery *queries_value(const InvalDefinition *definition, InvalRuleOption option,
									Relation tracked);
static bool queries_write(InvalViaQuery *query, InvalDefinition *definition,
						  InvalRuleOption option, Relation tracked);

/*
 * Whether a rule has any.
 */
bool
inval_queries_exist(const InvalDefinition *definition)
{
	return definition->options[RULE_VIA] != NULL || definition->options[RULE_REFILL] != NULL ||
		definition->options[RULE_AUDIT] != NULL;
}

/*
 * Understands the query of via, in the current memory context; NULL if the rule has
 * none.  What is wrong with it is an error.
 */
InvalViaQuery *
inval_queries_via(const InvalDefinition *definition, Relation tracked)
{
	const char *via = definition->options[RULE_VIA];

	return via ? inval_via_analyze(via, tracked, INVAL_LOOKUP_VIA) : NULL;
}

/*
 * The same for that of refill, which can name what the query of via gives.
 */
InvalViaQuery *
inval_queries_refill(const InvalDefinition *definition, Relation tracked)
{
	return queries_value(definition, RULE_REFILL, tracked);
}

/*
 * The same for that of audit.
 */
InvalViaQuery *
inval_queries_audit(const InvalDefinition *definition, Relation tracked)
{
	return queries_value(definition, RULE_AUDIT, tracked);
}

static InvalViaQuery *
queries_value(const InvalDefinition *definition, InvalRuleOption option, Relation tracked)
{
	const char *query = definition->options[option];
	InvalQuerySource source = {inval_definition_name(option), tracked, NULL};
	InvalViaQuery *via;

	if (query == NULL)
		return NULL;
	via = inval_queries_via(definition, tracked);
	if (via != NULL)
		source.given = ExecCleanTypeFromTL(via->query->targetList);
	return inval_query_analyze(query, &source, INVAL_LOOKUP_VIA);
}

/*
 * Writes the queries that were understood with the names that everything has now.
 * Returns whether one of them reads otherwise than before.
 */
bool
inval_queries_write(const InvalRuleQueries *queries, InvalDefinition *definition,
					Relation tracked)
{
	bool		changed = queries_write(queries->via, definition, RULE_VIA, tracked);

	changed |= queries_write(queries->refill, definition, RULE_REFILL, tracked);
	return queries_write(queries->audit, definition, RULE_AUDIT, tracked) || changed;
}

static bool
queries_write(InvalViaQuery *query, InvalDefinition *definition, InvalRuleOption option,
			  Relation tracked)
{
	char	   *text = query ? inval_via_deparse(query, tracked) : NULL;

	if (text == NULL || strcmp(text, definition->options[option]) == 0)
		return false;
	definition->options[option] = text;
	return true;
}
