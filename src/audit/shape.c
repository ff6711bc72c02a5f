/*
 * shape.c
 *		How the keys of a rule look, and what of a row one tells.
 *
 * A key is read back by the rule's template, where that can be done in one way only:
 * between literal texts stand columns of a few types, of which at most one can hold
 * anything; what is before that is read from the front, what is behind it from the
 * back.  Values are taken as they are rendered, so 007 is no integer here.  Everything
 * else is refused.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/lsyscache.h"

#include "audit/shape.h"
#include "base/encoding.h"
#include "key/variable.h"
#include "version/server.h"

#define UUID_LENGTH			36

static void shape_add(InvalShape *shape, const InvalBoundSegment *segment,
					  const InvalSubject *subject);
static void shape_add_literal(InvalShape *shape, const InvalBoundSegment *segment);
static InvalShapeKind shape_column_kind(const InvalBoundSegment *segment,
										const InvalSubject *subject);
static void shape_read_variable(InvalShapePart *part, const InvalBoundSegment *segment);
static void shape_check(InvalShape *shape, const InvalSubject *subject);
static bool shape_borders(const InvalShapePart *value, const InvalShapePart *literal, bool front);
pg_noreturn static void shape_refuse(const InvalSubject *subject, const char *why);
static bool shape_take(const InvalShapePart *part, InvalPrefix *rest, bool front,
					   InvalPrefix *value);
static Size shape_measure(InvalShapeKind kind, const InvalPrefix *rest, bool front);
static bool shape_is_integer(const InvalPrefix *text);
static bool shape_is_uuid(const char *bytes);
static bool shape_is_current(const InvalShapePart *part, const InvalPrefix *value);

/*
 * Makes the shape of a rule's keys, in the current memory context.  An error for a rule
 * of which a key does not tell the row.
 */
void
inval_shape_make(InvalShape *shape, const InvalSubject *subject)
{
	const InvalRule *rule = subject->rule;
	const InvalBoundTemplate *template = rule->templates[INVAL_RULE_KEY];
	int			i;

	if (rule->via != NULL)
		shape_refuse(subject, "Its keys are found by a query.");
	if (rule->templates[INVAL_RULE_FIELD] != NULL)
		shape_refuse(subject, "Its rows feed fields of hashes.");
	if (rule->action == INVAL_ACTION_PREFIX || rule->action == INVAL_ACTION_NONE)
		shape_refuse(subject, "What it renders is no key.");
	memset(shape, 0, sizeof(*shape));
	shape->parts = palloc0(Max(template->nsegments, 1) * sizeof(InvalShapePart));
	for (i = 0; i < template->nsegments; i++)
		shape_add(shape, &template->segments[i], subject);
	shape_check(shape, subject);
}

static void
shape_add(InvalShape *shape, const InvalBoundSegment *segment, const InvalSubject *subject)
{
	InvalShapePart *part;

	if (segment->nfilters > 0)
		shape_refuse(subject, "Its key has a filter, which cannot be undone.");
	if (segment->path != NULL)
		shape_refuse(subject, "Its key has a path through other tables.");
	if (segment->elements)
		shape_refuse(subject, "Its key has the elements of an array.");
	if (segment->literal != NULL)
	{
		shape_add_literal(shape, segment);
		return;
	}
	part = &shape->parts[shape->nparts++];
	if (segment->variable != NULL)
		shape_read_variable(part, segment);
	else
	{
		part->kind = shape_column_kind(segment, subject);
		part->attnum = segment->attnum;
		shape->ncolumns++;
	}
}

/*
 * Literals in a row are one.
 */
static void
shape_add_literal(InvalShape *shape, const InvalBoundSegment *segment)
{
	InvalShapePart *part;

	if (segment->literal_length == 0)
		return;
	if (shape->nparts == 0 || shape->parts[shape->nparts - 1].kind != INVAL_SHAPE_LITERAL)
	{
		part = &shape->parts[shape->nparts++];
		part->kind = INVAL_SHAPE_LITERAL;
		part->literal.bytes = pstrdup(segment->literal);
	}
	else
	{
		part = &shape->parts[shape->nparts - 1];
		part->literal.bytes = psprintf("%s%s", part->literal.bytes, segment->literal);
	}
	part->literal.length = strlen(part->literal.bytes);
}

static InvalShapeKind
shape_column_kind(const InvalBoundSegment *segment, const InvalSubject *subject)
{
	TupleDesc	desc = RelationGetDescr(subject->tracked);

	switch (getBaseType(TupleDescAttr(desc, segment->attnum - 1)->atttypid))
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
			return INVAL_SHAPE_INTEGER;
		case BOOLOID:
			return INVAL_SHAPE_BOOLEAN;
		case UUIDOID:
			return INVAL_SHAPE_UUID;
		case TEXTOID:
		case VARCHAROID:
			return INVAL_SHAPE_TEXT;
		default:
			break;
	}
	shape_refuse(subject, psprintf("Its key has column \"%s\", which is no integer, boolean, uuid or text.",
								   NameStr(TupleDescAttr(desc, segment->attnum - 1)->attname)));
}

static void
shape_read_variable(InvalShapePart *part, const InvalBoundSegment *segment)
{
	int			i;

	part->kind = INVAL_SHAPE_VARIABLE;
	part->variable = segment->variable;
	part->nvalues = inval_variable_values(segment->variable, &part->values);
	for (i = 0; i < part->nvalues; i++)
		part->values[i] = unconstify(char *, inval_encode_or_keep(part->values[i]));
}

/*
 * Finds the part that can be anything, and refuses what can be read in several ways.
 */
static void
shape_check(InvalShape *shape, const InvalSubject *subject)
{
	int			i;

	shape->open = shape->nparts;
	if (shape->nparts == 0 || shape->parts[0].kind != INVAL_SHAPE_LITERAL)
		shape_refuse(subject, "Its key does not begin with literal text, "
					 "so that all keys would have to be looked at.");
	for (i = 0; i < shape->nparts; i++)
	{
		if (shape->parts[i].kind < INVAL_SHAPE_TEXT)
			continue;
		if (shape->open < shape->nparts)
			shape_refuse(subject, "Its key has two texts or variables, and where the one ends cannot be seen.");
		shape->open = i;
	}
	for (i = 1; i < shape->nparts; i++)
	{
		const InvalShapePart *part = &shape->parts[i];
		bool		literal = part->kind == INVAL_SHAPE_LITERAL;

		if (!literal && part[-1].kind != INVAL_SHAPE_LITERAL)
			shape_refuse(subject, "Its key has two values with no literal text in between.");
		if ((literal && i <= shape->open && shape_borders(&part[-1], part, true)) ||
			(!literal && i > shape->open && shape_borders(part, &part[-1], false)))
			shape_refuse(subject, "Its key has literal text beside a number that could be a part of it.");
	}
}

/*
 * Whether a literal beside a number, read from the front or the back, could be taken for
 * a part of it.
 */
static bool
shape_borders(const InvalShapePart *value, const InvalShapePart *literal, bool front)
{
	char		byte = literal->literal.bytes[front ? 0 : literal->literal.length - 1];

	return value->kind == INVAL_SHAPE_INTEGER &&
		((byte >= '0' && byte <= '9') || (!front && byte == '-'));
}

static void
shape_refuse(const InvalSubject *subject, const char *why)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("keys of rule %d do not tell which row they are of", subject->id),
			 errdetail_internal("%s", why),
			 errhint("Let such keys expire, or remove them by inval_purge.")));
}

/*
 * Reads a key; "read" has room for the columns.  Returns false if it is none of this
 * shape.
 */
bool
inval_shape_read(const InvalShape *shape, const char *key, Size length, InvalShapeKey *read)
{
	InvalPrefix rest = {key, length};
	InvalPrefix *values = palloc0(shape->nparts * sizeof(InvalPrefix));
	int			columns = 0;
	int			i;

	read->variable = NULL;
	for (i = 0; i < shape->open; i++)
		if (!shape_take(&shape->parts[i], &rest, true, &values[i]))
			return false;
	for (i = shape->nparts - 1; i > shape->open; i--)
		if (!shape_take(&shape->parts[i], &rest, false, &values[i]))
			return false;
	if (shape->open < shape->nparts)
		values[shape->open] = rest;
	else if (rest.length > 0)
		return false;
	for (i = 0; i < shape->nparts; i++)
	{
		if (shape->parts[i].kind == INVAL_SHAPE_VARIABLE)
		{
			if (!shape_is_current(&shape->parts[i], &values[i]))
				read->variable = shape->parts[i].variable;
		}
		else if (shape->parts[i].kind != INVAL_SHAPE_LITERAL)
			read->columns[columns++] = values[i];
	}
	return true;
}

/*
 * Takes a part away from what is left of a key, at its front or its back.
 */
static bool
shape_take(const InvalShapePart *part, InvalPrefix *rest, bool front, InvalPrefix *value)
{
	Size		size = part->kind == INVAL_SHAPE_LITERAL ? part->literal.length :
		shape_measure(part->kind, rest, front);

	if (size == 0 || size > rest->length)
		return false;
	value->bytes = front ? rest->bytes : rest->bytes + rest->length - size;
	value->length = size;
	if (front)
		rest->bytes += size;
	rest->length -= size;
	switch (part->kind)
	{
		case INVAL_SHAPE_LITERAL:
			return memcmp(value->bytes, part->literal.bytes, size) == 0;
		case INVAL_SHAPE_INTEGER:
			return shape_is_integer(value);
		case INVAL_SHAPE_UUID:
			return shape_is_uuid(value->bytes);
		default:
			return true;
	}
}

/*
 * How long a value is that stands at the front, or at the back; 0: there is none.
 */
static Size
shape_measure(InvalShapeKind kind, const InvalPrefix *rest, bool front)
{
	static const char *const words[] = {"true", "false"};
	Size		size = 0;
	int			i;

	if (kind == INVAL_SHAPE_UUID)
		return UUID_LENGTH;
	for (i = 0; kind == INVAL_SHAPE_BOOLEAN && i < (int) lengthof(words); i++)
	{
		Size		length = strlen(words[i]);

		if (length <= rest->length &&
			memcmp(front ? rest->bytes : rest->bytes + rest->length - length, words[i], length) == 0)
			return length;
	}
	if (kind != INVAL_SHAPE_INTEGER)
		return 0;
	while (size < rest->length)
	{
		char		byte = front ? rest->bytes[size] : rest->bytes[rest->length - 1 - size];

		if ((byte < '0' || byte > '9') && !(byte == '-' && (!front || size == 0)))
			break;
		size++;
		if (!front && byte == '-')
			break;
	}
	return size;
}

/*
 * Whether a number is written as integers are.  Whether it fits its column, the query
 * finds out.
 */
static bool
shape_is_integer(const InvalPrefix *text)
{
	const char *digits = text->bytes + (text->bytes[0] == '-');
	Size		count = text->length - (text->bytes[0] == '-');

	return count > 0 && count < 19 &&
		(digits[0] != '0' || (count == 1 && text->bytes[0] != '-'));
}

static bool
shape_is_uuid(const char *bytes)
{
	int			i;

	for (i = 0; i < UUID_LENGTH; i++)
	{
		bool		dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? bytes[i] != '-' : bytes[i] == '\0' || strchr("0123456789abcdef", bytes[i]) == NULL)
			return false;
	}
	return true;
}

static bool
shape_is_current(const InvalShapePart *part, const InvalPrefix *value)
{
	int			i;

	for (i = 0; i < part->nvalues; i++)
		if (strlen(part->values[i]) == value->length &&
			memcmp(part->values[i], value->bytes, value->length) == 0)
			return true;
	return false;
}
