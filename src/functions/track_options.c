/*
 * track_options.c
 *		Checks the arguments of inval_track.
 *
 * Everything that can be wrong with a call is found here, before anything
 * changes.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "catalog/catalog.h"
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/varlena.h"

#include "base/catalog.h"
#include "base/rights.h"
#include "functions/track.h"
#include "key/template.h"
#include "key/variable.h"
#include "key/via_canonical.h"
#include "rule/carrier.h"
#include "rule/rule.h"

/* Longest template or query, in bytes */
#define MAX_TEMPLATE_LENGTH		8192

static char *options_text(FunctionCallInfo fcinfo, int argument);
static char *options_interval(FunctionCallInfo fcinfo, int argument);
static char *options_choice(FunctionCallInfo fcinfo, int argument, const char *name,
							const char *const *choices, int supported);
static char *options_key(FunctionCallInfo fcinfo, Relation relation);
static char *options_key_from_columns(const char *columns, Relation relation);
static void options_set(InvalDefinition *definition, InvalRuleOption option, char *value);
static void options_check_length(const InvalDefinition *definition, InvalRuleOption option);
static bool options_has_query(const InvalDefinition *definition, InvalRuleOption option,
							  Relation relation);
static void options_check_query(InvalDefinition *definition, InvalRuleOption option,
								const InvalQuerySource *source);
static void options_check_plan(const InvalDefinition *definition, InvalRuleOption option,
							   const InvalQuerySource *source);
static void options_check_literals(const InvalRule *rule);
static void options_check_variables(const InvalDefinition *definition, InvalRuleOption option);
static void options_check_changes(Datum changes, Relation relation);

/*
 * Opens a relation that was given by its OID, under an AccessShareLock.
 */
Relation
inval_track_open(Oid relid)
{
	Relation	relation = try_relation_open(relid, AccessShareLock);

	if (relation == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relid)));
	return relation;
}

/*
 * Only what holds rows that others can see, and belongs to the caller, can be
 * tracked.
 */
void
inval_track_check_relation(Relation relation)
{
	const char *name = RelationGetRelationName(relation);

	switch (relation->rd_rel->relkind)
	{
		case RELKIND_RELATION:
		case RELKIND_PARTITIONED_TABLE:
		case RELKIND_FOREIGN_TABLE:
		case RELKIND_MATVIEW:
			break;
		default:
			ereport(ERROR,
					(errcode(ERRCODE_WRONG_OBJECT_TYPE),
					 errmsg("cannot track relation \"%s\"", name),
					 relation->rd_rel->relkind == RELKIND_VIEW ?
					 errdetail("A view has no rows of its own.") :
					 errdetail("It is not a table."),
					 errhint("Track the tables that its rows come from.")));
	}
	if (relation->rd_rel->relpersistence == RELPERSISTENCE_TEMP)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot track temporary table \"%s\"", name),
				 errdetail("No other session sees its rows, so no cache can hold them.")));
	if (IsCatalogRelation(relation) || RelationGetNamespace(relation) == PG_CATALOG_NAMESPACE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot track system catalog \"%s\"", name),
				 errdetail("Changes of system catalogs fire no triggers.")));
	if (inval_catalog_is_outbox(RelationGetRelid(relation)))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot track relation \"%s\"", name),
				 errdetail("It belongs to inval itself.")));
	inval_rights_check_owner(RelationGetRelid(relation));
}

/*
 * Reads and checks the other arguments of inval_track.
 */
void
inval_track_check_options(FunctionCallInfo fcinfo, Relation relation,
						  InvalDefinition *definition)
{
	static const char *const actions[] =
	{"delete", "version", "members", "prefix", "expire", "none", NULL};
	static const char *const deliveries[] =
	{"commit", "background", "strict", NULL};
	static const char *const states[] = {"on", "shadow", "off", NULL};

	definition->relation = RelationGetRelid(relation);
	if (PG_ARGISNULL(TRACK_FENCE))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", "fence")));
	options_set(definition, RULE_KEY, options_key(fcinfo, relation));
	options_set(definition, RULE_FIELD, options_text(fcinfo, TRACK_FIELD));
	options_set(definition, RULE_ACTION,
				options_choice(fcinfo, TRACK_ACTION, "action", actions, 6));
	options_set(definition, RULE_DELIVERY,
				options_choice(fcinfo, TRACK_DELIVERY, "delivery", deliveries, 3));
	options_set(definition, RULE_STATE,
				options_choice(fcinfo, TRACK_STATE, "state", states, 3));
	options_set(definition, RULE_VIA, options_text(fcinfo, TRACK_VIA));
	if (!PG_ARGISNULL(TRACK_CHANGES))
	{
		options_check_changes(PG_GETARG_DATUM(TRACK_CHANGES), relation);
		options_set(definition, RULE_CHANGES,
					OidOutputFunctionCall(F_ARRAY_OUT, PG_GETARG_DATUM(TRACK_CHANGES)));
	}
	options_set(definition, RULE_REPEAT_AFTER, options_interval(fcinfo, TRACK_REPEAT_AFTER));
	options_set(definition, RULE_TTL, options_interval(fcinfo, TRACK_TTL));
	options_set(definition, RULE_PUBLISH, options_text(fcinfo, TRACK_PUBLISH));
	options_set(definition, RULE_STREAM, options_text(fcinfo, TRACK_STREAM));
	options_set(definition, RULE_REFILL, options_text(fcinfo, TRACK_REFILL));
	options_set(definition, RULE_AUDIT, options_text(fcinfo, TRACK_AUDIT));
	options_set(definition, RULE_TARGETS, PG_ARGISNULL(TRACK_TARGETS) ? pstrdup("{}") :
				OidOutputFunctionCall(F_ARRAY_OUT, PG_GETARG_DATUM(TRACK_TARGETS)));
	options_set(definition, RULE_FENCE, pstrdup(PG_GETARG_BOOL(TRACK_FENCE) ? "true" : "false"));
	inval_track_check_rule(definition, relation);
}

/*
 * Whether a rule can be applied to a relation's rows: compiles it, for the
 * errors.  Writes intervals as they are to be stored, and puts the canonical
 * text in place of a query that is not.
 */
void
inval_track_check_rule(InvalDefinition *definition, Relation relation)
{
	InvalQuerySource via = {"via", relation, NULL};
	InvalQuerySource refill;
	InvalQuerySource audit;
	MemoryContext context;
	InvalRule	rule;
	int			i;

	for (i = 0; i < INVAL_RULE_TEMPLATES; i++)
		options_check_length(definition, inval_rule_options[i]);
	options_check_query(definition, RULE_VIA, &via);
	inval_track_check_combination(definition);
	inval_track_check_targets(definition, relation);
	context = AllocSetContextCreate(CurrentMemoryContext, "inval rule",
									ALLOCSET_SMALL_SIZES);
	inval_rule_compile(&rule, definition, relation, relation, context);
	options_check_literals(&rule);
	inval_rule_check_rights(&rule, relation, relation->rd_rel->relowner);
	refill = inval_refill_source("refill", rule.via, relation);
	audit = inval_refill_source("audit", rule.via, relation);
	options_check_query(definition, RULE_REFILL, &refill);
	options_check_query(definition, RULE_AUDIT, &audit);
	inval_rule_bind_refill(&rule, definition, relation, relation, context);
	(void) inval_rule_bind_audit(&rule, definition, relation, context);
	options_check_plan(definition, RULE_VIA, &via);
	options_check_plan(definition, RULE_REFILL, &refill);
	options_check_plan(definition, RULE_AUDIT, &audit);
	MemoryContextDelete(context);
	for (i = 0; i < INVAL_RULE_TEMPLATES; i++)
		options_check_variables(definition, inval_rule_options[i]);
}

/*
 * A query that one of the relation's rules has already is canonical, and must
 * not be understood anew, with the schema's objects in its search path.
 */
static bool
options_has_query(const InvalDefinition *definition, InvalRuleOption option,
				  Relation relation)
{
	ListCell   *lc;

	foreach(lc, inval_carriers_of(relation))
	{
		const char *other = ((InvalDefinition *) lfirst(lc))->options[option];

		if (other != NULL && strcmp(other, definition->options[option]) == 0)
			return true;
	}
	options_check_length(definition, option);
	return false;
}

/*
 * Puts the canonical text in place of a query that is not.  What the placeholders of
 * refill and audit can name is known when the rule is compiled, with its via query.
 */
static void
options_check_query(InvalDefinition *definition, InvalRuleOption option,
					const InvalQuerySource *source)
{
	if (definition->options[option] != NULL &&
		!options_has_query(definition, option, source->tracked))
		definition->options[option] = inval_query_canonical(definition->options[option],
															source);
}

static void
options_check_plan(const InvalDefinition *definition, InvalRuleOption option,
				   const InvalQuerySource *source)
{
	if (definition->options[option] != NULL)
		inval_query_check_plan(definition->options[option], source);
}

static void
options_set(InvalDefinition *definition, InvalRuleOption option, char *value)
{
	(void) inval_definition_set(definition, inval_definition_name(option), value);
}

static void
options_check_length(const InvalDefinition *definition, InvalRuleOption option)
{
	const char *value = inval_definition_get(definition, option);

	if (value != NULL && strlen(value) > MAX_TEMPLATE_LENGTH)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("%s is longer than %d bytes", inval_definition_name(option),
						MAX_TEMPLATE_LENGTH)));
}

/*
 * A rule whose literal text alone is too long a key would skip all rows.
 */
static void
options_check_literals(const InvalRule *rule)
{
	Size		length = 0;
	int			i;

	for (i = 0; i < INVAL_RULE_TEMPLATES; i++)
		if (rule->templates[i] != NULL)
			length += inval_render_literal_length(rule->templates[i]);
	if (length > INVAL_MAX_KEY_LENGTH)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("key of the rule is too long"),
				 errdetail("What its templates have beside placeholders is %zu bytes long, and a key with what is given beside it can have %d.",
						   length, INVAL_MAX_KEY_LENGTH)));
}

/*
 * A variable without a value would let rows be skipped in silence.
 */
static void
options_check_variables(const InvalDefinition *definition, InvalRuleOption option)
{
	const char *template = inval_definition_get(definition, option);
	ListCell   *lc;

	if (template == NULL)
		return;
	foreach(lc, inval_template_parse(template, inval_definition_name(option)))
	{
		InvalSegment *segment = lfirst(lc);

		if (segment->kind == INVAL_SEGMENT_VARIABLE &&
			!inval_variable_is_set(segment->text))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("variable \"%s\" has no value", segment->text),
					 errhint("Give it one first: SELECT inval_set_var(%s, 'value').",
							 quote_literal_cstr(segment->text))));
	}
}

static char *
options_interval(FunctionCallInfo fcinfo, int argument)
{
	return PG_ARGISNULL(argument) ? NULL :
		OidOutputFunctionCall(F_INTERVAL_OUT, PG_GETARG_DATUM(argument));
}

static char *
options_text(FunctionCallInfo fcinfo, int argument)
{
	return PG_ARGISNULL(argument) ? NULL :
		text_to_cstring(PG_GETARG_TEXT_PP(argument));
}

/*
 * An argument that is one of a few words, of which the first "supported" ones
 * are there already.
 */
static char *
options_choice(FunctionCallInfo fcinfo, int argument, const char *name,
			   const char *const *choices, int supported)
{
	char	   *given = options_text(fcinfo, argument);
	StringInfoData list;
	int			i;

	initStringInfo(&list);
	for (i = 0; choices[i] != NULL; i++)
	{
		if (given != NULL && strcmp(given, choices[i]) == 0)
		{
			if (i < supported)
				return given;
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("%s \"%s\" is not supported by this version of inval",
							name, given)));
		}
		appendStringInfo(&list, "%s\"%s\"", i == 0 ? "" : ", ", choices[i]);
	}
	ereport(ERROR,
			(errcode(given == NULL ? ERRCODE_NULL_VALUE_NOT_ALLOWED :
					 ERRCODE_INVALID_PARAMETER_VALUE),
			 given == NULL ? errmsg("%s must not be null", name) :
			 errmsg("%s \"%s\" does not exist", name, given),
			 errhint("It is one of %s.", list.data)));
	return NULL;				/* keep the compiler quiet */
}

/*
 * The key template, given as such or as a list of columns.
 */
static char *
options_key(FunctionCallInfo fcinfo, Relation relation)
{
	char	   *columns = options_text(fcinfo, TRACK_COLUMNS);
	char	   *key = options_text(fcinfo, TRACK_KEY);

	if ((columns == NULL) == (key == NULL))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 columns == NULL ? errmsg("neither columns nor key is given") :
				 errmsg("columns and key are both given"),
				 errhint("Give one of them: columns => 'team_id', or key => 'team:{team_id}'.")));
	return columns != NULL ? options_key_from_columns(columns, relation) : key;
}

/*
 * 'team_id, kind' stands for '<table>:{team_id}:{kind}'.
 */
static char *
options_key_from_columns(const char *columns, Relation relation)
{
	List	   *names;
	ListCell   *lc;
	StringInfoData key;

	if (!SplitIdentifierString(pstrdup(columns), ',', &names))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("list of columns has invalid syntax: \"%s\"", columns),
				 errhint("Separate column names by commas; quote them as in SQL.")));
	if (names == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("list of columns is empty"),
				 errhint("Name at least one column, as in 'team_id, kind'.")));

	initStringInfo(&key);
	appendStringInfoString(&key, inval_template_quote(RelationGetRelationName(relation)));
	foreach(lc, names)
	{
		char	   *name = lfirst(lc);

		if (get_attnum(RelationGetRelid(relation), name) == InvalidAttrNumber)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("column \"%s\" of relation \"%s\" does not exist",
							name, RelationGetRelationName(relation)),
					 errhint("Separate column names by commas; quote them as in SQL.")));
		appendStringInfo(&key, ":{%s}", inval_template_quote_column(name));
	}
	return key.data;
}

static void
options_check_changes(Datum changes, Relation relation)
{
	ArrayType  *array = DatumGetArrayTypeP(changes);
	Datum	   *names;
	bool	   *nulls;
	int			count;
	int			i;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &names, &nulls, &count);
	if (count == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("list of changes is empty"),
				 errdetail("No UPDATE would ever count."),
				 errhint("Name at least one column, or leave changes out for all of them.")));
	for (i = 0; i < count; i++)
	{
		char	   *name;

		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("list of changes must not contain nulls")));
		name = TextDatumGetCString(names[i]);
		if (get_attnum(RelationGetRelid(relation), name) == InvalidAttrNumber)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("column \"%s\" of relation \"%s\" does not exist",
							name, RelationGetRelationName(relation)),
					 errhint("The list of changes names columns exactly as they are spelled in the catalog.")));
	}
}
