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
	const InvalFillRule *rule;
	Relation	relation;
	Relation	tracked;
	MemoryContext context;
	InvalRefill *refill;
} FillBinding;

static void fill_check_vague(const InvalFillRule *rule, AttrNumber attnum, Relation relation);
static void fill_bind_in(void *arg);
static AttrNumber fill_vague_column(const InvalFillRule *rule, const InvalRefill *refill);
static bool fill_is_told(const InvalFillRule *rule, AttrNumber attnum);

/*
 * Binds the query of a rule; NULL if it has none.  One that cannot be used is an
 * error.
 */
InvalRefill *
inval_fill_bind(const InvalFillRule *rule, Relation relation, Relation tracked,
				MemoryContext context)
{
	const char *text = rule->definition->options[RULE_REFILL];
	InvalQuerySource source = inval_refill_source("refill", rule->via, tracked);
	InvalRefill *refill;
	AttrNumber	vague;

	if (text == NULL)
		return NULL;
	refill = inval_refill_bind(text, &source, relation, context);
	inval_ties_check(rule->definition, refill->objects, "refill");
	vague = fill_vague_column(rule, refill);
	refill->vague = vague != InvalidAttrNumber;
	if (refill->vague)
		fill_check_vague(rule, vague, relation);
	/* Nothing, where keys are looked up: what is noted for that stays as it is. */
	inval_inputs_add(rule->inputs, refill->nparams, refill->attnums, refill->given, relation);
	return refill;
}

/*
 * A column that the key does not tell is an error where the row cannot be found again.
 */
static void
fill_check_vague(const InvalFillRule *rule, AttrNumber attnum, Relation relation)
{
	char		relkind = relation->rd_rel->relkind;

	if (rule->looks || (relkind != RELKIND_RELATION && relkind != RELKIND_PARTITIONED_TABLE))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("refill query cannot use column \"%s\"",
						get_attname(RelationGetRelid(relation), attnum, false)),
				 errdetail("The key does not tell its value, which may have changed when the query runs."),
				 rule->looks ? errhint("Use the columns that the key is looked up by, or those that the via query gives.") :
				 errhint("Use the columns that the key is made of.")));
}

/*
 * The same, but what is wrong is *problem, and NULL is returned.
 */
InvalRefill *
inval_fill_bind_attempt(const InvalFillRule *rule, Relation relation, Relation tracked,
						MemoryContext context, char **problem)
{
	FillBinding binding = {rule, relation, tracked, context, NULL};
	ErrorData  *error;

	if (rule->definition->options[RULE_REFILL] == NULL)
		return NULL;
	error = inval_attempt(fill_bind_in, &binding);
	if (error == NULL)
		return binding.refill;
	*problem = MemoryContextStrdup(context, error->message);
	FreeErrorData(error);
	return NULL;
}

static void
fill_bind_in(void *arg)
{
	FillBinding *binding = arg;

	binding->refill = inval_fill_bind(binding->rule, binding->relation, binding->tracked,
									  binding->context);
}

/*
 * A column of the row whose value the key does not tell; InvalidAttrNumber if there
 * is none.
 */
static AttrNumber
fill_vague_column(const InvalFillRule *rule, const InvalRefill *refill)
{
	int			i;

	for (i = 0; i < refill->nparams; i++)
		if (!refill->given[i] && !fill_is_told(rule, refill->attnums[i]))
			return refill->attnums[i];
	return InvalidAttrNumber;
}

/*
 * Rows that differ in the column feed different keys; or the key is looked up by it.
 */
static bool
fill_is_told(const InvalFillRule *rule, AttrNumber attnum)
{
	int			i;

	for (i = 0; rule->looks && i < rule->inputs->count; i++)
		if (rule->inputs->items[i].attnum == attnum)
			return true;
	for (i = 0; !rule->looks && i < rule->key->nsegments; i++)
	{
		const InvalBoundSegment *segment = &rule->key->segments[i];

		if (segment->attnum == attnum && !segment->elements && segment->nfilters == 0)
			return true;
	}
	return false;
}
