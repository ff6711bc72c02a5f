/*
 * track_targets.c
 *		Checks the targets of a rule that is to be written down.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"

#include "functions/track.h"
#include "key/template.h"
#include "target/library.h"
#include "target/targets.h"
#include "target/usage.h"

static void targets_check_namespace(const InvalDefinition *definition,
									const InvalTarget *target);
static void targets_check_library(const InvalDefinition *definition,
								  const InvalTarget *target);

/*
 * The targets are there, and both the caller and the owner of the relation may
 * use them.
 */
void
inval_track_check_targets(const InvalDefinition *definition, Relation relation)
{
	ArrayType  *targets =
		DatumGetArrayTypeP(OidInputFunctionCall(F_ARRAY_IN,
												pstrdup(inval_definition_get(definition, RULE_TARGETS)),
												TEXTOID, -1));
	List	   *seen = NIL;
	ListCell   *lc;

	if (array_contains_nulls(targets))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("list of targets must not contain nulls")));
	if (ArrayGetNItems(ARR_NDIM(targets), ARR_DIMS(targets)) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("list of targets is empty"),
				 errhint("Name at least one target, or leave targets out for \"default\".")));
	foreach(lc, inval_definition_list(definition, RULE_TARGETS))
	{
		char	   *name = lfirst(lc);
		const InvalTarget *target = inval_target_by_name(name, false);

		targets_check_namespace(definition, target);
		targets_check_library(definition, target);
		inval_target_check_usage(GetUserId(), name);
		inval_target_check_usage(relation->rd_rel->relowner, name);
		if (list_member(seen, makeString(name)))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("list of targets names \"%s\" more than once", name)));
		seen = lappend(seen, makeString(name));
	}
}

/*
 * A key that cannot lie within the target's namespace is refused here; where that
 * depends on the row, inval_owed_queue sees to it.
 */
static void
targets_check_namespace(const InvalDefinition *definition, const InvalTarget *target)
{
	const char *template = inval_definition_get(definition, RULE_KEY);
	InvalSegment *segment = linitial(inval_template_parse(template, "key"));
	Size		known;

	if (target->namespace == NULL || segment->kind != INVAL_SEGMENT_LITERAL)
		return;
	known = Min(strlen(segment->text), strlen(target->namespace));
	if (strncmp(segment->text, target->namespace, known) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_WITH_CHECK_OPTION_VIOLATION),
				 errmsg("keys of this rule are outside the namespace of target \"%s\"",
						target->name),
				 errdetail("They start with \"%s\", and keys of this target must start with \"%s\".",
						   segment->text, target->namespace),
				 errhint("Change the key, or name other targets.")));
}

/*
 * What only functions of the server can do is refused where they are known to be
 * missing.  A fence is only of no use there: the keys are removed all the same.
 */
static void
targets_check_library(const InvalDefinition *definition, const InvalTarget *target)
{
	char		why[INVAL_ERROR_LEN];
	bool		needed = strcmp(inval_definition_get(definition, RULE_DELIVERY), "strict") == 0 ||
		strcmp(inval_definition_get(definition, RULE_ACTION), "members") == 0 ||
		definition->options[RULE_STREAM] != NULL;

	if ((!needed && definition->options[RULE_FENCE] == NULL) ||
		!inval_library_is_missing(target, why, sizeof(why)))
		return;
	ereport(needed ? ERROR : WARNING,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 needed ? errmsg("target \"%s\" does not have the functions that this rule needs",
							 target->name) :
			 errmsg("readers of target \"%s\" can have no leases", target->name),
			 errdetail("It does not have the library \"inval\": %s", why),
			 errhint("They need Redis 7 or Valkey, and inval's user there +fcall and +function|load.")));
}
