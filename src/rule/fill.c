/*
 * fill.c
 *		What a rule puts back at its keys.
 *
 * The query of refill runs long after a row has changed, when the row may feed other
 * keys.  What it must not give is a value that is another key's.  Columns that the
 * key tells, and those by which keys are looked up, which is done once more then,
 * cannot mislead it.  Others make the query "vague": it is only asked while the row
 * is as it was, so the row must be one that can be found again.
 *
 * A query that cannot be used keeps nobody from removing keys.
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "base/attempt.h"
#include "rule/fill.h"
#include "rule/ties.h"

/* A refill being bound */
typedef struct FillBinding
{
	InvalRule  *rule;
	const InvalDefinition *definition;
	Relation	relation;
	Relation	tracked;
	MemoryContext context;
} FillBinding;

static void fill_bind_in(void *arg);
static AttrNumber fill_vague_column(const InvalRule *rule);
static bool fill_is_told(const InvalRule *rule, AttrNumber attnum);

/*
 * Binds the query of a compiled rule, if it has one.  One that cannot be used is an
 * error.
 */
void
inval_fill_bind(InvalRule *rule, const InvalDefinition *definition, Relation relation,
				Relation tracked, MemoryContext context)
{
	const char *text = definition->options[RULE_REFILL];
	AttrNumber	vague;
	InvalRefill *refill;

	if (text == NULL)
		return;
	refill = inval_refill_bind(text, rule->via, tracked, relation, context);
	inval_ties_check(definition, refill->objects, "refill");
	rule->refill = refill;
	vague = fill_vague_column(rule);
	refill->vague = vague != InvalidAttrNumber;
	if (refill->vague && (rule->looks || (relation->rd_rel->relkind != RELKIND_RELATION &&
										  relation->rd_rel->relkind != RELKIND_PARTITIONED_TABLE)))
	{
		rule->refill = NULL;
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("refill query cannot use column \"%s\"",
						get_attname(RelationGetRelid(relation), vague, false)),
				 errdetail("The key does not tell its value, which may have changed when the query runs."),
				 rule->looks ? errhint("Use the columns that the key is looked up by, or those that the via query gives.") :
				 errhint("Use the columns that the key is made of.")));
	}
	inval_inputs_add(&rule->inputs, refill->nparams, refill->attnums, refill->given, relation);
	rule->ttl_ms = inval_definition_ms(definition, RULE_TTL);
}

/*
 * The same, but what is wrong is noted as the rule's problem with it.
 */
void
inval_fill_bind_attempt(InvalRule *rule, const InvalDefinition *definition,
						Relation relation, Relation tracked, MemoryContext context)
{
	FillBinding binding = {rule, definition, relation, tracked, context};
	ErrorData  *error;

	if (definition->options[RULE_REFILL] == NULL)
		return;
	error = inval_attempt(fill_bind_in, &binding);
	if (error == NULL)
		return;
	rule->refill = NULL;
	rule->refill_problem = MemoryContextStrdup(context, error->message);
	FreeErrorData(error);
}

static void
fill_bind_in(void *arg)
{
	FillBinding *binding = arg;

	inval_fill_bind(binding->rule, binding->definition, binding->relation,
					binding->tracked, binding->context);
}

/*
 * A column of the row whose value the key does not tell; InvalidAttrNumber if there
 * is none.
 */
static AttrNumber
fill_vague_column(const InvalRule *rule)
{
	int			i;

	for (i = 0; i < rule->refill->nparams; i++)
		if (!rule->refill->given[i] && !fill_is_told(rule, rule->refill->attnums[i]))
			return rule->refill->attnums[i];
	return InvalidAttrNumber;
}

/*
 * Rows that differ in the column feed different keys; or the key is looked up by it.
 */
static bool
fill_is_told(const InvalRule *rule, AttrNumber attnum)
{
	int			i;

	if (rule->looks)
	{
		for (i = 0; i < rule->inputs.count; i++)
			if (rule->inputs.items[i].attnum == attnum)
				return true;
		return false;
	}
	for (i = 0; i < rule->key->nsegments; i++)
	{
		const InvalBoundSegment *segment = &rule->key->segments[i];

		if (segment->attnum == attnum && !segment->elements && segment->nfilters == 0)
			return true;
	}
	return false;
}
