/*
 * inputs.c
 *		Which columns of a row the keys of a rule are made of, or looked up by.
 */
#include "postgres.h"

#include "common/hashfn.h"

#include "rule/inputs.h"

static void inputs_bind_template(InvalInputs *inputs, const InvalBoundTemplate *template,
								 Relation relation);
static void inputs_add(InvalInputs *inputs, AttrNumber attnum, bool required,
					   Relation relation);

/*
 * Finds them out, in the order in which a rule names them, which is the same for
 * all relations that it holds for.  "via" is NULL or the rule's query, "field"
 * NULL or its template.
 */
void
inval_inputs_bind(InvalInputs *inputs, const InvalVia *via, const InvalBoundTemplate *key,
				  const InvalBoundTemplate *field, Relation relation, MemoryContext context)
{
	int			room = RelationGetDescr(relation)->natts;
	int			i;

	inputs->items = MemoryContextAlloc(context, Max(room, 1) * sizeof(InvalInput));
	if (via != NULL)
	{
		for (i = 0; i < via->nparams; i++)
			inputs_add(inputs, via->attnums[i], false, relation);
		return;
	}
	inputs_bind_template(inputs, key, relation);
	if (field != NULL)
		inputs_bind_template(inputs, field, relation);
}

static void
inputs_bind_template(InvalInputs *inputs, const InvalBoundTemplate *template,
						  Relation relation)
{
	int			i;
	int			k;

	for (i = 0; i < template->nsegments; i++)
	{
		const InvalBoundSegment *segment = &template->segments[i];

		if (segment->attnum != 0)
			inputs_add(inputs, segment->attnum, true, relation);
		if (segment->path != NULL)
		{
			const AttrNumber *attnums;
			int			count = inval_path_inputs(segment->path, &attnums);

			for (k = 0; k < count; k++)
				inputs_add(inputs, attnums[k], true, relation);
		}
	}
}

static void
inputs_add(InvalInputs *inputs, AttrNumber attnum, bool required, Relation relation)
{
	Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(relation), attnum - 1);
	InvalInput *input;
	int			i;

	for (i = 0; i < inputs->count; i++)
		if (inputs->items[i].attnum == attnum)
			return;
	input = &inputs->items[inputs->count++];
	input->attnum = attnum;
	input->length = attribute->attlen;
	input->by_value = attribute->attbyval;
	input->required = required;
	inputs->shape = hash_combine(inputs->shape, hash_uint32(attribute->atttypid));
}

/*
 * Whether a row has all that its keys need: without, it feeds none.
 */
bool
inval_inputs_suffice(const InvalInputs *inputs, TupleTableSlot *row)
{
	int			i;

	for (i = 0; i < inputs->count; i++)
		if (inputs->items[i].required && slot_attisnull(row, inputs->items[i].attnum))
			return false;
	return true;
}

