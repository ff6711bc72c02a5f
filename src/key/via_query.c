/*
 * via_query.c
 *		The text of a via query, and what it means.
 *
 * The text has placeholders as templates have, {column} and {{ }} for literal
 * braces.  They become parameters $n, never pasted text: in quotes or in a
 * comment a placeholder would be just text, so the server's own scanner is
 * asked whether each has become a parameter.
 */
#include "postgres.h"

#include <ctype.h>

#include "catalog/pg_attribute.h"
#include "common/keywords.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "parser/analyze.h"
#include "parser/parser.h"
#include "parser/scanner.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/ruleutils.h"

#include "key/lookup_role.h"
#include "key/template.h"
#include "key/via_query.h"
#include "version/server.h"

/* What an error is about */
typedef struct ViaErrorPlace
{
	const char *what;
	char	   *text;
} ViaErrorPlace;

/* What scanning for parameters needs to go on */
typedef struct ViaScan
{
	const char *text;
	core_yyscan_t scanner;
	core_yy_extra_type extra;
} ViaScan;

static bool via_make_explicit(Node *node, void *context);
static List *via_parameterize(InvalViaQuery *query, const char *text,
							  const InvalQuerySource *source);
static void via_check_placeholder(const InvalSegment *segment, const char *what);
static AttrNumber via_given_column(const InvalSegment *segment, TupleDesc given);
static AttrNumber via_placeholder_column(const InvalSegment *segment,
										 const InvalQuerySource *source);
static int	via_placeholder_param(InvalViaQuery *query, const InvalSegment *segment,
								  const InvalQuerySource *source);
static void via_check_params(InvalViaQuery *query, List *offsets, const char *what);
static RawStmt *via_parse(const char *text, const char *what);
static void via_check_columns(Query *query, const char *what);
static void via_error_context(void *arg);
static void via_scan_begin(ViaScan *scan, const char *text);
static bool via_scan_next(ViaScan *scan, int *offset);
static void via_scan_end(ViaScan *scan);

/*
 * Analyses a via query as its owner would run it, and checks all about it that
 * does not need a plan.  What is wrong is an error.  The result is in the
 * current memory context.
 */
InvalViaQuery *
inval_via_analyze(const char *query, Relation tracked, InvalLookupMode mode)
{
	InvalQuerySource source = {"via", tracked, NULL};

	return inval_query_analyze(query, &source, mode);
}

/*
 * The same for a query of whatever kind.
 */
InvalViaQuery *
inval_query_analyze(const char *query, const InvalQuerySource *source,
					InvalLookupMode mode)
{
	InvalViaQuery *result = palloc0(sizeof(InvalViaQuery));
	List	   *offsets = via_parameterize(result, query, source);
	ViaErrorPlace place = {source->what, result->text};
	ErrorContextCallback callback;
	InvalRole	role;

	callback.callback = via_error_context;
	callback.arg = &place;
	callback.previous = error_context_stack;
	error_context_stack = &callback;

	inval_role_enter(&role, mode, RelationGetRelid(source->tracked));
	via_check_params(result, offsets, source->what);
	result->query = parse_analyze_fixedparams(via_parse(result->text, source->what),
											  result->text, result->types,
											  result->nparams, NULL);
	if (result->query->commandType != CMD_SELECT || result->query->hasModifyingCTE)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("%s query must only read", source->what),
				 errhint("Leave out INTO, and INSERT, UPDATE and DELETE in WITH.")));
	via_check_columns(result->query, source->what);
	inval_role_leave(&role);

	error_context_stack = callback.previous;
	return result;
}

/*
 * Writes the text with parameters, and finds out which columns they are.
 * Returns where in the text they stand.
 */
static List *
via_parameterize(InvalViaQuery *query, const char *text, const InvalQuerySource *source)
{
	List	   *segments = inval_template_parse(text, source->what);
	List	   *offsets = NIL;
	StringInfoData result;
	ListCell   *lc;

	query->attnums = palloc(list_length(segments) * sizeof(AttrNumber));
	query->given = palloc(list_length(segments) * sizeof(bool));
	query->names = palloc(list_length(segments) * sizeof(char *));
	query->types = palloc(list_length(segments) * sizeof(Oid));
	initStringInfo(&result);
	foreach(lc, segments)
	{
		InvalSegment *segment = lfirst(lc);
		int			n;

		if (segment->kind == INVAL_SEGMENT_LITERAL)
		{
			appendStringInfoString(&result, segment->text);
			continue;
		}
		n = via_placeholder_param(query, segment, source);

		/* Nothing before or after it may become part of the parameter. */
		offsets = lappend_int(offsets, result.len + 1);
		appendStringInfo(&result, " $%d ", n);
	}
	query->text = result.data;
	return offsets;
}

static void
via_check_placeholder(const InvalSegment *segment, const char *what)
{
	if (segment->kind != INVAL_SEGMENT_COLUMN || list_length(segment->names) != 1 ||
		segment->elements || segment->nfilters > 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("placeholder \"%s\" cannot be used in a %s query", segment->text, what),
				 errdetail("In a %s query only columns of the changed row can be used, without paths, \"[]\" and filters.",
						   what),
				 errhint("Write the rest in SQL.")));
}

/*
 * The column of that name that a via query gives; InvalidAttrNumber if there is none.
 */
static AttrNumber
via_given_column(const InvalSegment *segment, TupleDesc given)
{
	int			i;

	for (i = 0; given != NULL && i < given->natts; i++)
		if (strcmp(NameStr(TupleDescAttr(given, i)->attname), segment->text) == 0)
			return (AttrNumber) (i + 1);
	return InvalidAttrNumber;
}

static AttrNumber
via_placeholder_column(const InvalSegment *segment, const InvalQuerySource *source)
{
	Relation	tracked = source->tracked;
	AttrNumber	attnum = get_attnum(RelationGetRelid(tracked), segment->text);

	if (attnum == InvalidAttrNumber)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of relation \"%s\" does not exist",
						segment->text, RelationGetRelationName(tracked)),
				 errhint("Placeholders name columns exactly as they are spelled in the catalog. Write {{ and }} for literal braces.")));
	if (attnum < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
				 errmsg("system column \"%s\" cannot be used in a %s query", segment->text,
						source->what),
				 errhint("Use ordinary columns.")));
	if (inval_server_is_virtual(TupleDescAttr(RelationGetDescr(tracked), attnum - 1)))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("virtual generated column \"%s\" cannot be used in a %s query",
						segment->text, source->what),
				 errhint("Use the columns that it is made of.")));
	return attnum;
}

/*
 * The parameter for a column, the same one wherever it is used.
 */
static int
via_placeholder_param(InvalViaQuery *query, const InvalSegment *segment,
					  const InvalQuerySource *source)
{
	AttrNumber	attnum;
	bool		given;
	int			i;

	via_check_placeholder(segment, source->what);
	attnum = via_given_column(segment, source->given);
	given = attnum != InvalidAttrNumber;
	if (!given)
		attnum = via_placeholder_column(segment, source);
	for (i = 0; i < query->nparams; i++)
		if (query->attnums[i] == attnum && query->given[i] == given)
			return i + 1;
	query->attnums[i] = attnum;
	query->given[i] = given;
	query->names[i] = segment->text;
	query->types[i] = TupleDescAttr(given ? source->given : RelationGetDescr(source->tracked),
									attnum - 1)->atttypid;
	return ++query->nparams;
}

/*
 * Every placeholder must have become a parameter, and nothing else may be one.
 */
static void
via_check_params(InvalViaQuery *query, List *offsets, const char *what)
{
	ListCell   *expected = list_head(offsets);
	ViaScan		scan;
	int			offset;

	via_scan_begin(&scan, query->text);
	while (via_scan_next(&scan, &offset))
	{
		if (expected != NULL && lfirst_int(expected) == offset)
			expected = lnext(offsets, expected);
		else if (expected == NULL || lfirst_int(expected) > offset)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_PARAMETER),
					 errmsg("%s query has a parameter of its own", what),
					 errposition(pg_mbstrlen_with_len(query->text, offset) + 1),
					 errhint("Name columns of the changed row, as in {id}.")));
		else
			break;
	}
	via_scan_end(&scan);
	if (expected != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("%s query has a placeholder in quotes or in a comment", what),
				 errposition(pg_mbstrlen_with_len(query->text, lfirst_int(expected)) + 1),
				 errhint("Placeholders become values, not text: write {id} without quotes, and {{ and }} for literal braces.")));
}

static RawStmt *
via_parse(const char *text, const char *what)
{
	List	   *statements = raw_parser(text, RAW_PARSE_DEFAULT);

	if (list_length(statements) != 1 ||
		!IsA(linitial_node(RawStmt, statements)->stmt, SelectStmt))
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("%s query must be one SELECT", what)));
	return linitial_node(RawStmt, statements);
}

/*
 * A name must say which column is meant.
 */
static void
via_check_columns(Query *query, const char *what)
{
	ListCell   *one;
	ListCell   *other;

	foreach(one, query->targetList)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, one);

		if (entry->resjunk || strcmp(entry->resname, "?column?") == 0)
			continue;
		for_each_cell(other, query->targetList, lnext(query->targetList, one))
		{
			TargetEntry *twin = lfirst_node(TargetEntry, other);

			if (!twin->resjunk && strcmp(entry->resname, twin->resname) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_DUPLICATE_COLUMN),
						 errmsg("%s query gives column \"%s\" more than once", what, entry->resname),
						 errhint("Name the columns with AS.")));
		}
	}
}

/*
 * A position in our text is none in the statement of the user.
 */
static void
via_error_context(void *arg)
{
	const ViaErrorPlace *place = arg;
	int			position = geterrposition();

	if (position > 0)
	{
		errposition(0);
		internalerrposition(position);
		internalerrquery(place->text);
	}
	errcontext("%s query", place->what);
}

/*
 * The text of an analysed query, with the names that everything in it has now,
 * qualified, and with placeholders.  In the current memory context.
 *
 * Casts are written out, those too that were not in the query: what they lead
 * to must stay the best match when something else is created that would fit.
 */
char *
inval_via_deparse(InvalViaQuery *query, Relation tracked)
{
	int			nest_level = NewGUCNestLevel();
	Query	   *copy = copyObject(query->query);
	const char *place = NULL;
	StringInfoData result;
	ViaScan		scan;
	char	   *text;
	int			offset;

	(void) query_tree_walker(copy, via_make_explicit, NULL, 0);
	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("quote_all_identifiers", "off", PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);

	text = pg_get_querydef(copy, false);
	text += strspn(text, " ");
	AtEOXact_GUC(false, nest_level);

	initStringInfo(&result);
	place = text;
	via_scan_begin(&scan, text);
	while (via_scan_next(&scan, &offset))
	{
		char	   *end;
		long		n = strtol(text + offset + 1, &end, 10);

		if (n < 1 || n > query->nparams)
			elog(ERROR, "parameter $%ld of a via query is unknown", n);
		appendStringInfoString(&result,
							   inval_template_quote(pnstrdup(place, text + offset - place)));
		appendStringInfo(&result, "{%s}",
						 inval_template_quote_column(query->given[n - 1] ? query->names[n - 1] :
													 get_attname(RelationGetRelid(tracked),
																 query->attnums[n - 1], false)));
		place = end;
	}
	via_scan_end(&scan);
	appendStringInfoString(&result, inval_template_quote(place));
	return result.data;
}

static bool
via_make_explicit(Node *node, void *context)
{
	CoercionForm *form = NULL;

	if (node == NULL)
		return false;
	switch (nodeTag(node))
	{
		case T_Query:
			return query_tree_walker((Query *) node, via_make_explicit, context, 0);
		case T_FuncExpr:
			form = &((FuncExpr *) node)->funcformat;
			break;
		case T_RelabelType:
			form = &((RelabelType *) node)->relabelformat;
			break;
		case T_CoerceViaIO:
			form = &((CoerceViaIO *) node)->coerceformat;
			break;
		case T_ArrayCoerceExpr:
			form = &((ArrayCoerceExpr *) node)->coerceformat;
			break;
		case T_ConvertRowtypeExpr:
			form = &((ConvertRowtypeExpr *) node)->convertformat;
			break;
		case T_CoerceToDomain:
			form = &((CoerceToDomain *) node)->coercionformat;
			break;
		default:
			break;
	}
	if (form != NULL && *form == COERCE_IMPLICIT_CAST)
		*form = COERCE_EXPLICIT_CAST;
	return expression_tree_walker(node, via_make_explicit, context);
}

static void
via_scan_begin(ViaScan *scan, const char *text)
{
	scan->text = text;
	scan->scanner = scanner_init(text, &scan->extra, &ScanKeywords, ScanKeywordTokens);
	inval_server_scan_standard(&scan->extra);
}

/*
 * Finds the next parameter: the only kind of token that starts like this.
 */
static bool
via_scan_next(ViaScan *scan, int *offset)
{
	core_YYSTYPE value;

	while (core_yylex(&value, offset, scan->scanner) != 0)
		if (scan->text[*offset] == '$' && isdigit((unsigned char) scan->text[*offset + 1]))
			return true;
	return false;
}

static void
via_scan_end(ViaScan *scan)
{
	scanner_finish(scan->scanner);
}
