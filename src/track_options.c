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
#include "catalog/pg_inherits.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/varlena.h"

#include "catalog.h"
#include "render.h"
#include "target.h"
#include "template.h"
#include "track.h"

/* Longest template, in bytes */
#define MAX_TEMPLATE_LENGTH		8192

static char *options_text(FunctionCallInfo fcinfo, int argument);
static char *options_choice(FunctionCallInfo fcinfo, int argument, const char *name,
							const char *const *choices, int supported);
static char *options_key(FunctionCallInfo fcinfo, Relation relation);
static char *options_key_from_columns(const char *columns, Relation relation);
static void options_check_template(const char *template, const char *what,
								   Relation relation);
static void options_check_changes(Datum changes, Relation relation);
static void options_check_targets(FunctionCallInfo fcinfo);
static void options_refuse_unsupported(FunctionCallInfo fcinfo);

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
 * Only an ordinary table that belongs to the caller can be tracked.
 */
void
inval_track_check_relation(Relation relation)
{
	const char *name = RelationGetRelationName(relation);
	const InvalCatalog *catalog = inval_catalog(false);
	const char *kind = NULL;

	switch (relation->rd_rel->relkind)
	{
		case RELKIND_RELATION:
			break;
		case RELKIND_PARTITIONED_TABLE:
			kind = "Partitioned tables are not supported yet.";
			break;
		case RELKIND_FOREIGN_TABLE:
			kind = "Foreign tables are not supported yet.";
			break;
		case RELKIND_MATVIEW:
			kind = "Materialized views are not supported yet.";
			break;
		case RELKIND_VIEW:
			kind = "A view has no rows of its own.";
			break;
		default:
			kind = "It is not a table.";
			break;
	}
	if (kind == NULL && relation->rd_rel->relispartition)
		kind = "Partitions are not supported yet.";
	if (kind == NULL && has_subclass(RelationGetRelid(relation)) &&
		find_inheritance_children(RelationGetRelid(relation), NoLock) != NIL)
		kind = "Tables with inheritance children are not supported yet.";
	if (kind != NULL)
		ereport(ERROR,
				(errcode(relation->rd_rel->relkind == RELKIND_RELATION ||
						 relation->rd_rel->relkind == RELKIND_PARTITIONED_TABLE ||
						 relation->rd_rel->relkind == RELKIND_FOREIGN_TABLE ||
						 relation->rd_rel->relkind == RELKIND_MATVIEW ?
						 ERRCODE_FEATURE_NOT_SUPPORTED : ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("cannot track relation \"%s\"", name),
				 errdetail("%s", kind),
				 errhint("Track the tables that its rows come from.")));

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
	if (RelationGetRelid(relation) == catalog->rule)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot track relation \"%s\"", name),
				 errdetail("It belongs to inval itself.")));
	inval_track_check_owner(RelationGetRelid(relation));
}

void
inval_track_check_owner(Oid relid)
{
#if PG_VERSION_NUM >= 160000
	bool		owner = object_ownercheck(RelationRelationId, relid, GetUserId());
#else
	bool		owner = pg_class_ownercheck(relid, GetUserId());
#endif

	if (!owner)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be owner of relation %s", get_rel_name(relid)),
				 errhint("Call the function as the owner of the table.")));
}

/*
 * Reads and checks the other arguments of inval_track.
 */
void
inval_track_check_options(FunctionCallInfo fcinfo, Relation relation,
						  InvalTrackOptions *options)
{
	static const char *const actions[] =
	{"delete", "version", "members", "prefix", "expire", "none", NULL};
	static const char *const deliveries[] =
	{"commit", "background", "strict", NULL};
	static const char *const states[] = {"on", "shadow", "off", NULL};

	options->key = options_key(fcinfo, relation);
	options->field = options_text(fcinfo, TRACK_FIELD);
	if (options->field != NULL)
		options_check_template(options->field, "field", relation);
	options->action = options_choice(fcinfo, TRACK_ACTION, "action", actions, 1);
	options->delivery = options_choice(fcinfo, TRACK_DELIVERY, "delivery", deliveries, 2);
	options->state = options_choice(fcinfo, TRACK_STATE, "state", states, 3);
	options->changes_null = PG_ARGISNULL(TRACK_CHANGES);
	if (!options->changes_null)
	{
		options->changes = PG_GETARG_DATUM(TRACK_CHANGES);
		options_check_changes(options->changes, relation);
	}
	options_check_targets(fcinfo);
	options->targets = PG_GETARG_DATUM(TRACK_TARGETS);
	options_refuse_unsupported(fcinfo);
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
	if (columns != NULL)
		key = options_key_from_columns(columns, relation);
	options_check_template(key, "key", relation);
	return key;
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
		if (strpbrk(name, "{}|.[\"") != NULL || name[0] == '@' || name[0] == '$')
		{
			const char *c;

			appendStringInfoString(&key, ":{\"");
			for (c = name; *c != '\0'; c++)
			{
				if (*c == '"')
					appendStringInfoChar(&key, '"');
				appendStringInfoChar(&key, *c);
			}
			appendStringInfoString(&key, "\"}");
		}
		else
			appendStringInfo(&key, ":{%s}", name);
	}
	return key.data;
}

/*
 * Parses a template and binds it to the relation, for the errors.
 */
static void
options_check_template(const char *template, const char *what, Relation relation)
{
	if (strlen(template) > MAX_TEMPLATE_LENGTH)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("%s template is longer than %d bytes",
						what, MAX_TEMPLATE_LENGTH)));
	(void) inval_render_bind(inval_template_parse(template, what), relation,
							 relation, CurrentMemoryContext);
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
		AttrNumber	attnum;

		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("list of changes must not contain nulls")));
		name = TextDatumGetCString(names[i]);
		attnum = get_attnum(RelationGetRelid(relation), name);
		if (attnum == InvalidAttrNumber)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("column \"%s\" of relation \"%s\" does not exist",
							name, RelationGetRelationName(relation)),
					 errhint("The list of changes names columns exactly as they are spelled in the catalog.")));
		if (attnum < 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
					 errmsg("system column \"%s\" cannot be in the list of changes", name)));
	}
}

static void
options_check_targets(FunctionCallInfo fcinfo)
{
	Datum	   *names = NULL;
	bool	   *nulls = NULL;
	int			count = 0;
	int			i;

	if (!PG_ARGISNULL(TRACK_TARGETS))
		deconstruct_array(PG_GETARG_ARRAYTYPE_P(TRACK_TARGETS), TEXTOID, -1, false,
						  TYPALIGN_INT, &names, &nulls, &count);
	if (count == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("list of targets is empty"),
				 errhint("Name at least one target, or leave targets out for \"default\".")));
	for (i = 0; i < count; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("list of targets must not contain nulls")));
		if (!inval_target_exists(TextDatumGetCString(names[i])))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("target \"%s\" does not exist", TextDatumGetCString(names[i])),
					 errhint("This version of inval has the target \"default\", which inval.redis_url sets.")));
	}
	if (count > 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("list of targets names \"%s\" more than once", INVAL_DEFAULT_TARGET)));
}

/*
 * Options that this version does not have yet must not be taken in silence.
 */
static void
options_refuse_unsupported(FunctionCallInfo fcinfo)
{
	static const struct
	{
		int			argument;
		const char *name;
	}			unsupported[] =
	{
		{TRACK_VIA, "via"},
		{TRACK_TTL, "ttl"},
		{TRACK_PUBLISH, "publish"},
		{TRACK_STREAM, "stream"},
		{TRACK_REPEAT_AFTER, "repeat_after"},
		{TRACK_REFILL, "refill"},
	};
	const char *found = NULL;
	Size		i;

	for (i = 0; i < lengthof(unsupported); i++)
		if (!PG_ARGISNULL(unsupported[i].argument))
			found = unsupported[i].name;
	if (PG_ARGISNULL(TRACK_FENCE))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", "fence")));
	if (PG_GETARG_BOOL(TRACK_FENCE))
		found = "fence";
	if (found != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("option \"%s\" is not supported by this version of inval", found)));
}
