/*
 * definition.c
 *		A rule as it is written down.
 *
 * Every option is a text, in the form that the type of its column in
 * inval_rule reads.  What is not given, or given as its default, is not
 * written, so that a new option leaves old rules as they are.
 */
#include "postgres.h"

#include <limits.h>
#include <math.h>

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/timestamp.h"

#include "rule/definition.h"

static const struct
{
	const char *name;
	const char *value;			/* the default; NULL: none */
}			known_options[RULE_OPTIONS] =
{
	[RULE_ID] = {"id", NULL},
	[RULE_RELATION] = {"relation", NULL},
	[RULE_KEY] = {"key", NULL},
	[RULE_FIELD] = {"field", NULL},
	[RULE_ACTION] = {"action", "delete"},
	[RULE_DELIVERY] = {"delivery", "commit"},
	[RULE_CHANGES] = {"changes", NULL},
	[RULE_VIA] = {"via", NULL},
	[RULE_TTL] = {"ttl", NULL},
	[RULE_PUBLISH] = {"publish", NULL},
	[RULE_STREAM] = {"stream", NULL},
	[RULE_FENCE] = {"fence", "false"},
	[RULE_REPEAT_AFTER] = {"repeat_after", NULL},
	[RULE_REFILL] = {"refill", NULL},
	[RULE_TARGETS] = {"targets", "{default}"},
	[RULE_STATE] = {"state", "on"},
	[RULE_AUDIT] = {"audit", NULL},
};

/*
 * The name of an option, which is that of its column.
 */
const char *
inval_definition_name(InvalRuleOption option)
{
	return known_options[option].name;
}

/*
 * Sets an option by its name.  The value is not copied; NULL, or the default,
 * is as if it was not given.  Returns false if there is no such option.
 */
bool
inval_definition_set(InvalDefinition *definition, const char *name, char *value)
{
	int			i;

	for (i = 0; i < RULE_OPTIONS; i++)
	{
		if (strcmp(known_options[i].name, name) != 0)
			continue;
		if (value != NULL && known_options[i].value != NULL &&
			strcmp(value, known_options[i].value) == 0)
			value = NULL;
		definition->options[i] = value;
		return true;
	}
	return false;
}

/*
 * The value of an option, or its default, which may be NULL.
 */
const char *
inval_definition_get(const InvalDefinition *definition, InvalRuleOption option)
{
	return definition->options[option] ? definition->options[option] :
		known_options[option].value;
}

/*
 * The rule's number; 0 if it has none yet.
 */
int32
inval_definition_id(const InvalDefinition *definition)
{
	return definition->options[RULE_ID] ? pg_strtoint32(definition->options[RULE_ID]) : 0;
}

/*
 * For list_sort: by number.
 */
int
inval_definition_compare(const ListCell *a, const ListCell *b)
{
	int32		first = inval_definition_id(lfirst(a));
	int32		second = inval_definition_id(lfirst(b));

	return first < second ? -1 : first > second;
}

/*
 * An option that is an interval, in milliseconds, a month being 30 days; 0 if it
 * is not given.  INT_MAX stands for all that is longer.
 */
int
inval_definition_ms(const InvalDefinition *definition, InvalRuleOption option)
{
	const char *text = inval_definition_get(definition, option);
	Interval   *interval;
	double		ms;

	if (text == NULL)
		return 0;
	interval = DatumGetIntervalP(OidInputFunctionCall(F_INTERVAL_IN, pstrdup(text),
													  InvalidOid, -1));
	ms = (double) interval->time / 1000 +
		((double) interval->month * DAYS_PER_MONTH + interval->day) * SECS_PER_DAY * 1000.0;
	return ms >= INT_MAX ? INT_MAX : ms < 0 ? -1 : (int) ceil(ms);
}

/*
 * The elements (char *) of an option that is an array, NIL if it is not given.
 */
List *
inval_definition_list(const InvalDefinition *definition, InvalRuleOption option)
{
	const char *value = inval_definition_get(definition, option);
	List	   *list = NIL;
	Datum	   *elements;
	int			count;
	int			i;

	if (value == NULL)
		return NIL;
	deconstruct_array(DatumGetArrayTypeP(OidFunctionCall3(F_ARRAY_IN,
														  CStringGetDatum(pstrdup(value)),
														  ObjectIdGetDatum(TEXTOID),
														  Int32GetDatum(-1))),
					  TEXTOID, -1, false, TYPALIGN_INT, &elements, NULL, &count);
	for (i = 0; i < count; i++)
		list = lappend(list, TextDatumGetCString(elements[i]));
	return list;
}

/*
 * Whether two definitions mean the same rule: relation, key, field, action
 * and via are what identifies it.
 */
bool
inval_definition_same_rule(const InvalDefinition *a, const InvalDefinition *b)
{
	static const InvalRuleOption identity[] =
	{RULE_KEY, RULE_FIELD, RULE_ACTION, RULE_VIA};
	int			i;

	if (a->relation != b->relation)
		return false;
	for (i = 0; i < (int) lengthof(identity); i++)
	{
		const char *first = inval_definition_get(a, identity[i]);
		const char *second = inval_definition_get(b, identity[i]);

		if (strcmp(first ? first : "", second ? second : "") != 0)
			return false;
	}
	return true;
}

/*
 * Whether two definitions agree in everything but the rule's number.
 */
bool
inval_definition_equal(const InvalDefinition *a, const InvalDefinition *b)
{
	int			i;

	if (a->relation != b->relation)
		return false;
	for (i = 0; i < RULE_OPTIONS; i++)
	{
		if (i == RULE_ID || i == RULE_RELATION)
			continue;
		if ((a->options[i] == NULL) != (b->options[i] == NULL) ||
			(a->options[i] != NULL && strcmp(a->options[i], b->options[i]) != 0))
			return false;
	}
	return true;
}
