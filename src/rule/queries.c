/*
 * queries.c
 *		The queries that a rule has, as they are written down.
 *
 * That of via finds the rows that name the keys, that of refill the value to put
 * back.  Both are canonical texts, which are understood and written anew when what
 * they name is renamed.
 */
#include "postgres.h"

#include "executor/executor.h"
#include "utils/rel.h"

#include "rule/queries.h"

static bool queries_write(InvalViaQuery *query, InvalDefinition *definition,
						  InvalRuleOption option, Relation tracked);

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
	const char *refill = definition->options[RULE_REFILL];
	InvalQuerySource source = {"refill", tracked, NULL};
	InvalViaQuery *via;

	if (refill == NULL)
		return NULL;
	via = inval_queries_via(definition, tracked);
	if (via != NULL)
		source.given = ExecCleanTypeFromTL(via->query->targetList);
	return inval_query_analyze(refill, &source, INVAL_LOOKUP_VIA);
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

	return queries_write(queries->refill, definition, RULE_REFILL, tracked) || changed;
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
