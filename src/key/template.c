/*
 * template.c
 *		Key templates: text with placeholders, parsed.
 *
 *		template    := ( literal | "{{" | "}}" | "{" placeholder "}" )*
 *		placeholder := source ( "|" filter [ ":" number ] )*
 *		source      := column ( "." column )* [ "[]" ]
 *					 | "$" variable | "@table" | "@schema"
 *
 * Column names are written as they are, without folding; one that has a
 * special character in it is written in double quotes.  Parsing knows nothing
 * of tables: render.c binds the names to columns.
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "key/template.h"

#define MAX_FILTERS	8

/* More would make no shorter a key, and rendering goes one deeper for each. */
#define MAX_SEGMENTS	1000

/* In the order of the enumeration */
static const struct
{
	const char *name;
	InvalFilter filter;
}			filter_names[] =
{
	{"md5", INVAL_FILTER_MD5},
	{"sha256", INVAL_FILTER_SHA256},
	{"lower", INVAL_FILTER_LOWER},
	{"upper", INVAL_FILTER_UPPER},
	{"url", INVAL_FILTER_URL},
};

static List *template_add_literal(List *segments, StringInfo literal);
static InvalSegment *template_parse_placeholder(const char **place,
												const char *template,
												const char *what);
static void template_parse_columns(const char **place, InvalSegment *segment,
								   const char *template, const char *what);
static char *template_parse_name(const char **place, const char *template,
								 const char *what);
static void template_parse_special(const char **place, InvalSegment *segment,
								   const char *template, const char *what);
static void template_parse_filter(const char **place, InvalSegment *segment,
								  const char *template, const char *what);

/*
 * Parses a template into a list of segments, in the current memory context.
 * "what" names the argument in error messages, as in "key".  What is wrong
 * with the template is an error that says where.
 */
List *
inval_template_parse(const char *template, const char *what)
{
	List	   *segments = NIL;
	StringInfoData literal;
	const char *place = template;

	initStringInfo(&literal);
	while (*place != '\0')
	{
		if (place[0] == '{' && place[1] != '{')
		{
			segments = template_add_literal(segments, &literal);
			place++;
			segments = lappend(segments,
							   template_parse_placeholder(&place, template, what));
		}
		else if (place[0] == '}' && place[1] != '}')
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("%s template has a \"}\" without a \"{\"", what),
					 errdetail("At character %d of \"%s\".",
							   (int) (place - template) + 1, template),
					 errhint("Write }} for a literal brace.")));
		else
		{
			if (place[0] == '{' || place[0] == '}')
				place++;		/* the first of a doubled brace */
			appendStringInfoChar(&literal, *place++);
		}
	}
	segments = template_add_literal(segments, &literal);
	if (segments == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s template is empty", what),
				 errhint("Write a template such as 'user:{id}'.")));
	if (list_length(segments) > MAX_SEGMENTS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("%s template has too many parts", what),
				 errdetail("It has %d placeholders and texts between them, and can have %d.",
						   list_length(segments), MAX_SEGMENTS)));
	return segments;
}

/*
 * The template that stands for a literal text.
 */
char *
inval_template_quote(const char *literal)
{
	StringInfoData quoted;

	initStringInfo(&quoted);
	for (; *literal != '\0'; literal++)
	{
		if (*literal == '{' || *literal == '}')
			appendStringInfoChar(&quoted, *literal);
		appendStringInfoChar(&quoted, *literal);
	}
	return quoted.data;
}

/*
 * A column's name as it is written in a placeholder.
 */
char *
inval_template_quote_column(const char *name)
{
	StringInfoData quoted;

	initStringInfo(&quoted);
	if (strpbrk(name, "{}|.[\"") == NULL && name[0] != '@' && name[0] != '$')
		appendStringInfoString(&quoted, name);
	else
	{
		appendStringInfoChar(&quoted, '"');
		for (; *name != '\0'; name++)
		{
			if (*name == '"')
				appendStringInfoChar(&quoted, '"');
			appendStringInfoChar(&quoted, *name);
		}
		appendStringInfoChar(&quoted, '"');
	}
	return quoted.data;
}

/*
 * The template that parsed segments stand for, in the current memory context.
 */
char *
inval_template_write(List *segments)
{
	StringInfoData text;
	ListCell   *lc;

	initStringInfo(&text);
	foreach(lc, segments)
	{
		InvalSegment *segment = lfirst(lc);
		ListCell   *name;
		int			i;

		if (segment->kind == INVAL_SEGMENT_LITERAL)
		{
			appendStringInfoString(&text, inval_template_quote(segment->text));
			continue;
		}
		appendStringInfoChar(&text, '{');
		if (segment->kind == INVAL_SEGMENT_VARIABLE)
			appendStringInfoChar(&text, '$');
		if (segment->kind != INVAL_SEGMENT_COLUMN)
			appendStringInfoString(&text, segment->text);
		foreach(name, segment->names)
		{
			appendStringInfo(&text, "%s%s", foreach_current_index(name) > 0 ? "." : "",
							 inval_template_quote_column(lfirst(name)));
		}
		if (segment->elements)
			appendStringInfoString(&text, "[]");
		for (i = 0; i < segment->nfilters; i++)
		{
			appendStringInfo(&text, "|%s", filter_names[segment->filters[i].filter].name);
			if (segment->filters[i].keep > 0)
				appendStringInfo(&text, ":%d", segment->filters[i].keep);
		}
		appendStringInfoChar(&text, '}');
	}
	return text.data;
}

static List *
template_add_literal(List *segments, StringInfo literal)
{
	InvalSegment *segment;

	if (literal->len == 0)
		return segments;
	segment = palloc0(sizeof(InvalSegment));
	segment->kind = INVAL_SEGMENT_LITERAL;
	segment->text = pstrdup(literal->data);
	resetStringInfo(literal);
	return lappend(segments, segment);
}

/*
 * Parses from behind the "{" to behind the "}".
 */
static InvalSegment *
template_parse_placeholder(const char **place, const char *template, const char *what)
{
	InvalSegment *segment = palloc0(sizeof(InvalSegment));

	if (**place == '@' || **place == '$')
		template_parse_special(place, segment, template, what);
	else
		template_parse_columns(place, segment, template, what);
	while (**place == '|')
	{
		(*place)++;
		template_parse_filter(place, segment, template, what);
	}
	if (**place != '}')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 **place == '\0' || **place == '{' ?
				 errmsg("%s template has a \"{\" without a \"}\"", what) :
				 errmsg("%s template has an unexpected \"%c\" in a placeholder", what, **place),
				 errdetail("The template is \"%s\".", template),
				 errhint("Write {{ for a literal brace, and a column whose name has a special character in double quotes, as in {\"a.b\"}.")));
	(*place)++;
	return segment;
}

/*
 * A column, or a path along foreign keys, and whether elements are meant.
 */
static void
template_parse_columns(const char **place, InvalSegment *segment,
					   const char *template, const char *what)
{
	const char *start = *place;

	segment->kind = INVAL_SEGMENT_COLUMN;
	for (;;)
	{
		segment->names = lappend(segment->names,
								 template_parse_name(place, template, what));
		if (**place != '.')
			break;
		(*place)++;
	}
	segment->text = list_length(segment->names) == 1 ? linitial(segment->names) :
		pnstrdup(start, *place - start);
	if (strncmp(*place, "[]", 2) == 0)
	{
		segment->elements = true;
		*place += 2;
	}
}

static char *
template_parse_name(const char **place, const char *template, const char *what)
{
	StringInfoData name;

	initStringInfo(&name);
	if (**place == '"')
	{
		(*place)++;
		for (;;)
		{
			if (**place == '\0')
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("%s template has an unterminated quoted name", what),
						 errdetail("The template is \"%s\".", template)));
			if (**place == '"' && *++(*place) != '"')
				break;
			appendStringInfoChar(&name, *(*place)++);
		}
	}
	else
	{
		Size		length = strcspn(*place, "{}|.[\"");

		appendBinaryStringInfo(&name, *place, (int) length);
		*place += length;
	}
	if (name.len == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s template has an empty placeholder", what),
				 errdetail("The template is \"%s\".", template),
				 errhint("Name a column, as in {id}, or write {{}} for literal braces.")));
	return name.data;
}

/*
 * What starts with "@" or "$".
 */
static void
template_parse_special(const char **place, InvalSegment *segment,
					   const char *template, const char *what)
{
	Size		length = strcspn(*place, "{}|");
	char	   *source = pnstrdup(*place, length);

	*place += length;
	segment->text = source;
	if (strcmp(source, "@table") == 0)
		segment->kind = INVAL_SEGMENT_TABLE;
	else if (strcmp(source, "@schema") == 0)
		segment->kind = INVAL_SEGMENT_SCHEMA;
	else if (source[0] == '$' && source[1] != '\0')
	{
		segment->kind = INVAL_SEGMENT_VARIABLE;
		segment->text = source + 1;
	}
	else
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("placeholder \"%s\" does not exist", source),
				 errdetail("The %s template is \"%s\".", what, template),
				 errhint("Use {@table}, {@schema} or a variable, as in {$release}.")));
}

static void
template_parse_filter(const char **place, InvalSegment *segment,
					  const char *template, const char *what)
{
	Size		length = strcspn(*place, "{}|:");
	char	   *name = pnstrdup(*place, length);
	InvalFilterCall *call;
	Size		i;

	if (segment->filters == NULL)
		segment->filters = palloc0(MAX_FILTERS * sizeof(InvalFilterCall));
	if (segment->nfilters == MAX_FILTERS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("%s template has more than %d filters in one placeholder",
						what, MAX_FILTERS),
				 errdetail("The template is \"%s\".", template)));

	call = &segment->filters[segment->nfilters++];
	for (i = 0; i < lengthof(filter_names); i++)
		if (strcmp(name, filter_names[i].name) == 0)
			break;
	if (i == lengthof(filter_names))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("filter \"%s\" does not exist", name),
				 errdetail("The %s template is \"%s\".", what, template),
				 errhint("The filters are md5, sha256, lower, upper and url.")));
	call->filter = filter_names[i].filter;
	*place += length;

	if (**place == ':')
	{
		char	   *end;
		long		keep;

		(*place)++;
		errno = 0;
		keep = strtol(*place, &end, 10);
		if (**place < '0' || **place > '9' || errno != 0 ||
			keep < 1 || keep > 1000000)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("filter \"%s\" has a length that is no number from 1 to 1000000", name),
					 errdetail("The %s template is \"%s\".", what, template),
					 errhint("Write the number of characters to keep, as in {id|sha256:16}.")));
		call->keep = (int) keep;
		*place = end;
	}
}
