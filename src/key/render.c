/*
 * render.c
 *		Renders a template for a row.
 */
#include "postgres.h"

#include "catalog/heap.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "base/encoding.h"
#include "key/filter.h"
#include "key/render.h"
#include "key/variable.h"
#include "version/server.h"

/*
 * What a segment of a manifold template has to offer for a row.  Only an array or
 * a variable has another number of values than one.
 */
typedef struct RenderChoice
{
	Datum		value;			/* of a column; with elements, the array */
	int			count;
	Datum	   *elements;		/* of an array, those that are not NULL */
	char	  **variants;		/* of a variable */
} RenderChoice;

/* A manifold template being rendered for a row */
typedef struct Rendering
{
	StringInfo	out;
	InvalBoundTemplate *template;
	RenderChoice *choices;		/* one for each segment */
	InvalRenderCallback callback;
	void	   *arg;
} Rendering;

static void render_bind_column(InvalBoundSegment *bound, const InvalSegment *segment,
							   const InvalRenderSource *source, MemoryContext cxt);
static Oid	render_bind_own_column(InvalBoundSegment *bound, const char *name,
								   const InvalRenderSource *source);
static void render_bind_elements(InvalBoundSegment *bound, const InvalSegment *segment,
								 Oid type);
static InvalRenderResult render_choose(InvalBoundTemplate *template,
									   TupleTableSlot *row, InvalState state,
									   RenderChoice *choices);
static bool render_choose_elements(RenderChoice *choice,
								   const InvalBoundSegment *segment);
static void render_check_count(const Rendering *rendering);
static void render_from(Rendering *rendering, int i);

/*
 * Binds parsed segments to what they name.  The result is allocated in cxt.
 * A column that does not exist, or a path that cannot be followed, is an error.
 */
InvalBoundTemplate *
inval_render_bind(List *segments, const InvalRenderSource *source, MemoryContext cxt)
{
	MemoryContext old = MemoryContextSwitchTo(cxt);
	InvalBoundTemplate *template = palloc0(sizeof(InvalBoundTemplate));
	ListCell   *lc;
	int			i = 0;

	template->nsegments = list_length(segments);
	template->segments = palloc0(template->nsegments * sizeof(InvalBoundSegment));
	foreach(lc, segments)
	{
		InvalSegment *segment = lfirst(lc);
		InvalBoundSegment *bound = &template->segments[i++];

		switch (segment->kind)
		{
			case INVAL_SEGMENT_LITERAL:
				bound->literal = pstrdup(segment->text);
				break;
			case INVAL_SEGMENT_TABLE:
				bound->literal = pstrdup(RelationGetRelationName(source->tracked));
				break;
			case INVAL_SEGMENT_SCHEMA:
				bound->literal = get_namespace_name(RelationGetNamespace(source->tracked));
				break;
			case INVAL_SEGMENT_VARIABLE:
				bound->variable = pstrdup(segment->text);
				break;
			case INVAL_SEGMENT_COLUMN:
				render_bind_column(bound, segment, source, cxt);
				break;
		}
		if (bound->literal != NULL)
		{
			bound->literal = inval_encode_key_or_fail(bound->literal, "text of a template");
			bound->literal_length = (int) strlen(bound->literal);
		}
		bound->nfilters = segment->nfilters;
		if (segment->nfilters > 0)
		{
			bound->filters = palloc(segment->nfilters * sizeof(InvalFilterCall));
			memcpy(bound->filters, segment->filters,
				   segment->nfilters * sizeof(InvalFilterCall));
		}
		template->manifold |= bound->path != NULL || bound->variable != NULL ||
			bound->elements;
	}
	MemoryContextSwitchTo(old);
	return template;
}

static void
render_bind_column(InvalBoundSegment *bound, const InvalSegment *segment,
				   const InvalRenderSource *source, MemoryContext cxt)
{
	Oid			type;

	if (list_length(segment->names) == 1)
		type = render_bind_own_column(bound, linitial(segment->names), source);
	else
	{
		if (source->via != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("a path cannot start at a column of a query's result: \"%s\"",
							segment->text),
					 errhint("Let the query of via give the column itself.")));
		bound->path = inval_path_bind(segment->names, source->tracked,
									  source->relation, cxt);
		type = bound->path->type;
	}
	if (segment->elements)
	{
		render_bind_elements(bound, segment, type);
		type = bound->element_type;
	}
	inval_value_prepare(&bound->value, type, cxt);
}

/*
 * Binds a column of the row itself, or of the query's result.  Returns its
 * type.
 */
static Oid
render_bind_own_column(InvalBoundSegment *bound, const char *name,
					   const InvalRenderSource *source)
{
	TupleDesc	desc = RelationGetDescr(source->relation);
	int			i;

	if (source->via != NULL)
	{
		bound->attnum = inval_via_column(source->via, name);
		return TupleDescAttr(source->via->lookup->descriptor, bound->attnum - 1)->atttypid;
	}
	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		if (attribute->attisdropped || strcmp(NameStr(attribute->attname), name) != 0)
			continue;
		if (inval_server_is_virtual(attribute))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("virtual generated column \"%s\" cannot be part of a key", name),
					 errdetail("Triggers do not see its value."),
					 errhint("Use the columns that it is computed from, or make it STORED.")));
		bound->attnum = (AttrNumber) (i + 1);
		return attribute->atttypid;
	}
	if (SystemAttributeByName(name) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
				 errmsg("system column \"%s\" cannot be part of a key", name),
				 errhint("Use ordinary columns.")));
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("column \"%s\" of relation \"%s\" does not exist",
					name, RelationGetRelationName(source->relation)),
			 errhint("Placeholders name columns exactly as they are spelled in the catalog.")));
	return InvalidOid;			/* keep the compiler quiet */
}

static void
render_bind_elements(InvalBoundSegment *bound, const InvalSegment *segment, Oid type)
{
	bound->elements = true;
	bound->element_type = get_element_type(getBaseType(type));
	if (!OidIsValid(bound->element_type))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("column \"%s\" is no array", segment->text),
				 errdetail("Its type is %s.", format_type_be(type)),
				 errhint("Leave out the [].")));
	get_typlenbyvalalign(bound->element_type, &bound->element_length,
						 &bound->element_by_value, &bound->element_align);
}

/*
 * Appends the rendered text to "out" and returns true; or, where a column
 * that it needs is NULL or cannot be written in UTF-8, leaves "out" as it was and
 * returns false.  Leaks into the current memory context.  Not for manifold
 * templates.
 */
bool
inval_render(StringInfo out, InvalBoundTemplate *template, TupleTableSlot *row)
{
	int			begin = out->len;
	int			i;

	for (i = 0; i < template->nsegments; i++)
	{
		InvalBoundSegment *segment = &template->segments[i];
		int			start = out->len;

		if (segment->attnum == 0)
			appendBinaryStringInfo(out, segment->literal, segment->literal_length);
		else
		{
			bool		isnull;
			Datum		value = slot_getattr(row, segment->attnum, &isnull);

			if (isnull)
			{
				out->len = begin;
				out->data[begin] = '\0';
				return false;
			}
			inval_value_append(out, &segment->value, value);
			if (unlikely(!inval_encode_tail(out, start)))
			{
				template->lost = true;
				out->len = begin;
				out->data[begin] = '\0';
				return false;
			}
		}
		if (segment->nfilters > 0)
			inval_filters_apply(out, start, segment->filters, segment->nfilters);
	}
	return true;
}

/*
 * Whether two rows give the same text, as far as their columns tell without
 * rendering.  Not for manifold templates.
 */
bool
inval_render_is_same(InvalBoundTemplate *template, TupleTableSlot *a, TupleTableSlot *b)
{
	int			i;

	for (i = 0; i < template->nsegments; i++)
	{
		AttrNumber	attnum = template->segments[i].attnum;
		Form_pg_attribute attribute;
		bool		a_null;
		bool		b_null;
		Datum		a_value;
		Datum		b_value;

		if (attnum == 0)
			continue;
		attribute = TupleDescAttr(a->tts_tupleDescriptor, attnum - 1);
		a_value = slot_getattr(a, attnum, &a_null);
		b_value = slot_getattr(b, attnum, &b_null);
		if (a_null != b_null ||
			(!a_null && !datum_image_eq(a_value, b_value, attribute->attbyval,
										attribute->attlen)))
			return false;
	}
	return true;
}

/*
 * Renders a template that may give several texts or none.  Each is appended
 * to "out", handed to the callback, and taken away again.  What is looked up
 * is taken as it is in "state".  Leaks into the current memory context.
 */
InvalRenderResult
inval_render_each(StringInfo out, InvalBoundTemplate *template, TupleTableSlot *row,
				  InvalState state, InvalRenderCallback callback, void *arg)
{
	Rendering	rendering = {out, template, NULL, callback, arg};
	InvalRenderResult result;

	rendering.choices = palloc0(Max(template->nsegments, 1) * sizeof(RenderChoice));
	result = render_choose(template, row, state, rendering.choices);
	if (result != INVAL_RENDER_DONE)
		return result;
	render_check_count(&rendering);
	render_from(&rendering, 0);
	return INVAL_RENDER_DONE;
}

/*
 * Raises the error that a row gives more keys than INVAL_MAX_KEYS.
 */
void
inval_render_refuse_many(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("a row gives more than %d keys", INVAL_MAX_KEYS),
			 errdetail("Each combination of the elements and variables in the template gives one."),
			 errhint("Use fewer columns with [] in one template, or shorter arrays.")));
}

/*
 * How many bytes every key has, whatever the row.
 */
Size
inval_render_literal_length(const InvalBoundTemplate *template)
{
	Size		length = 0;
	int			i;

	for (i = 0; i < template->nsegments; i++)
		if (template->segments[i].nfilters == 0)
			length += template->segments[i].literal_length;
	return length;
}

/*
 * Collects what each segment has.  All of it is there before anything is
 * combined: one segment that has nothing makes all combinations of the others
 * futile, and they may be thousands of millions.  Nothing is looked up for
 * a row that has a NULL where it would feed no key anyway.
 */
static InvalRenderResult
render_choose(InvalBoundTemplate *template, TupleTableSlot *row, InvalState state,
			  RenderChoice *choices)
{
	InvalRenderResult result = INVAL_RENDER_DONE;
	int			i;

	for (i = 0; i < template->nsegments; i++)
	{
		InvalBoundSegment *segment = &template->segments[i];
		bool		isnull;

		choices[i].count = 1;
		if (segment->variable != NULL)
			choices[i].count = inval_variable_values(segment->variable,
													 &choices[i].variants);
		if (choices[i].count == 0)
			return INVAL_RENDER_NULL;
		if (segment->attnum == 0)
			continue;
		choices[i].value = slot_getattr(row, segment->attnum, &isnull);
		if (isnull || !render_choose_elements(&choices[i], segment))
			return INVAL_RENDER_NULL;
	}
	for (i = 0; i < template->nsegments; i++)
	{
		InvalBoundSegment *segment = &template->segments[i];

		if (segment->path == NULL)
			continue;
		switch (inval_path_value(segment->path, row, state, &choices[i].value))
		{
			case INVAL_PATH_VALUE:
				if (!render_choose_elements(&choices[i], segment))
					return INVAL_RENDER_NULL;
				break;
			case INVAL_PATH_NULL:
				return INVAL_RENDER_NULL;
			case INVAL_PATH_MISSING:
				result = INVAL_RENDER_MISSING;
				break;
		}
	}
	return result;
}

/*
 * The elements, if elements are meant; false if there are none but NULLs.
 */
static bool
render_choose_elements(RenderChoice *choice, const InvalBoundSegment *segment)
{
	bool	   *nulls;
	int			count;
	int			e;

	if (!segment->elements)
		return true;
	deconstruct_array(DatumGetArrayTypeP(choice->value), segment->element_type,
					  segment->element_length, segment->element_by_value,
					  segment->element_align, &choice->elements, &nulls, &count);
	choice->count = 0;
	for (e = 0; e < count; e++)
		if (!nulls[e])
			choice->elements[choice->count++] = choice->elements[e];
	return choice->count > 0;
}

/*
 * Arrays and variables multiply: three arrays of a thousand elements, by
 * mistake or by malice, would give a thousand million keys.  Each segment has at
 * least one value here, so the limit bounds the steps taken, too.
 */
static void
render_check_count(const Rendering *rendering)
{
	int64		texts = 1;
	int			i;

	for (i = 0; i < rendering->template->nsegments; i++)
	{
		texts *= rendering->choices[i].count;	/* neither is more than 2^30 */
		if (texts > INVAL_MAX_KEYS)
			inval_render_refuse_many();
	}
}

/*
 * Renders the segments from number i on behind what stands in "out", once for
 * each combination of the values that they have.
 */
static void
render_from(Rendering *rendering, int i)
{
	StringInfo	out = rendering->out;
	InvalBoundSegment *segment;
	RenderChoice *choice;
	int			start = out->len;
	int			v;

	check_stack_depth();
	CHECK_FOR_INTERRUPTS();
	if (i == rendering->template->nsegments)
	{
		rendering->callback(out, rendering->arg);
		return;
	}
	segment = &rendering->template->segments[i];
	choice = &rendering->choices[i];
	for (v = 0; v < choice->count; v++)
	{
		if (segment->variable != NULL)
			appendStringInfoString(out, choice->variants[v]);
		else if (segment->literal != NULL)
			appendBinaryStringInfo(out, segment->literal, segment->literal_length);
		else
			inval_value_append(out, &segment->value,
							   segment->elements ? choice->elements[v] : choice->value);
		if (segment->literal == NULL && !inval_encode_tail(out, start))
		{
			rendering->template->lost = true;
			continue;
		}
		inval_filters_apply(out, start, segment->filters, segment->nfilters);
		render_from(rendering, i + 1);
		out->len = start;
	}
}

/*
 * The relations (a list of OIDs) that a template looks up.
 */
List *
inval_render_reads(const InvalBoundTemplate *template)
{
	List	   *reads = NIL;
	int			i;

	for (i = 0; i < template->nsegments; i++)
		if (template->segments[i].path != NULL)
			reads = list_concat_copy(reads, template->segments[i].path->relations);
	return reads;
}

/*
 * Whether this transaction has written to what a template looks up.
 */
bool
inval_render_is_touched(InvalBoundTemplate *template)
{
	int			i;

	for (i = 0; i < template->nsegments; i++)
		if (template->segments[i].path != NULL &&
			inval_path_is_touched(template->segments[i].path))
			return true;
	return false;
}

/*
 * Whether a foreign key that a template follows may lead nowhere.
 */
bool
inval_render_may_miss(const InvalBoundTemplate *template)
{
	int			i;

	for (i = 0; i < template->nsegments; i++)
		if (template->segments[i].path != NULL &&
			inval_path_may_miss(template->segments[i].path))
			return true;
	return false;
}
