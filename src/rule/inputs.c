/*
 * inputs.c
 *		Which columns of a row the keys of a rule are made of, or looked up by.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "rule/inputs.h"

static void inputs_bind_template(InvalInputs *inputs, const InvalBoundTemplate *template,
								 bool required, Relation relation);
static void inputs_add(InvalInputs *inputs, AttrNumber attnum, bool required,
					   Relation relation);
static uint32 inputs_add_type(uint32 shape, Oid type);

/*
 * Finds them out, in the order in which a rule names them, which is the same for
 * all relations that it holds for.  "via" is NULL or the rule's query; of the
 * templates, some of which may be NULL, the first "required" ones make the key.
 */
void
inval_inputs_bind(InvalInputs *inputs, const InvalVia *via,
				  InvalBoundTemplate *const *templates, int count, int required,
				  Relation relation, MemoryContext context)
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
	for (i = 0; i < count; i++)
		if (templates[i] != NULL)
			inputs_bind_template(inputs, templates[i], i < required, relation);
}

static void
inputs_bind_template(InvalInputs *inputs, const InvalBoundTemplate *template,
					 bool required, Relation relation)
{
	int			i;
	int			k;

	for (i = 0; i < template->nsegments; i++)
	{
		const InvalBoundSegment *segment = &template->segments[i];

		if (segment->attnum != 0)
			inputs_add(inputs, segment->attnum, required, relation);
		if (segment->path != NULL)
		{
			const AttrNumber *attnums;
			int			count = inval_path_inputs(segment->path, &attnums);

			for (k = 0; k < count; k++)
				inputs_add(inputs, attnums[k], required, relation);
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
	inputs->shape = inputs_add_type(inputs->shape, attribute->atttypid);
}

/*
 * A hash, and a type with all that it is made of: a value of a composite type
 * that was altered since must not be read as one of what the type is now.
 */
static uint32
inputs_add_type(uint32 shape, Oid type)
{
	Oid			base = getBaseType(type);
	Oid			element = get_element_type(base);
	TupleDesc	desc;
	int			i;

	check_stack_depth();
	shape = hash_combine(shape, hash_uint32(type));
	if (type_is_multirange(base))
		base = get_multirange_range(base);
	if (type_is_range(base))
		element = get_range_subtype(base);
	if (OidIsValid(element))
		return inputs_add_type(shape, element);
	if (get_typtype(base) != TYPTYPE_COMPOSITE)
		return shape;
	desc = lookup_rowtype_tupdesc(base, -1);
	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		shape = attribute->attisdropped ? hash_combine(shape, 0) :
			inputs_add_type(shape, attribute->atttypid);
	}
	ReleaseTupleDesc(desc);
	return shape;
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

