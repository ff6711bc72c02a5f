/*
 * track_combination.c
 *		Checks which options of a rule go together.
 */
#include "postgres.h"

#include "functions/track.h"
#include "key/template.h"

/* Longest intervals, in ms */
#define MAX_REPEAT_MS			(60 * 60 * 1000)
#define MAX_TTL_MS				(20 * 24 * 60 * 60 * 1000)

static bool combination_is(const InvalDefinition *definition, InvalRuleOption option,
						   const char *value);
static bool combination_has(const InvalDefinition *definition, InvalRuleOption option);
static void combination_check_action(const InvalDefinition *definition);
static void combination_check_prefix(const InvalDefinition *definition);
static void combination_check_strict(const InvalDefinition *definition);
static void combination_check_repeat(InvalDefinition *definition);
static void combination_check_ttl(InvalDefinition *definition);
static void combination_check_refill(InvalDefinition *definition);
static void combination_check_audit(const InvalDefinition *definition);
static void combination_store_ms(InvalDefinition *definition, InvalRuleOption option, int ms);

/*
 * Refuses what does not go together.  Writes intervals as they are to be stored: the
 * same in every session, whatever its IntervalStyle is.
 */
void
inval_track_check_combination(InvalDefinition *definition)
{
	combination_check_action(definition);
	if (combination_is(definition, RULE_ACTION, "prefix"))
		combination_check_prefix(definition);
	combination_check_strict(definition);
	combination_check_repeat(definition);
	combination_check_ttl(definition);
	combination_check_refill(definition);
	combination_check_audit(definition);
	if (combination_has(definition, RULE_FENCE) && combination_has(definition, RULE_FIELD))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("fence and field are both given"),
				 errdetail("Leases are for strings; a field of a hash has none."),
				 errhint("Leave one of them out.")));
}

static bool
combination_is(const InvalDefinition *definition, InvalRuleOption option, const char *value)
{
	return strcmp(inval_definition_get(definition, option), value) == 0;
}

/*
 * Whether an option is given, and not as its default.
 */
static bool
combination_has(const InvalDefinition *definition, InvalRuleOption option)
{
	return definition->options[option] != NULL;
}

static void
combination_check_action(const InvalDefinition *definition)
{
	const char *action = inval_definition_get(definition, RULE_ACTION);

	if (combination_has(definition, RULE_FIELD) && !combination_is(definition, RULE_ACTION, "delete"))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("field and action \"%s\" are both given", action),
				 errdetail("Only \"delete\" is done to a field of a hash."),
				 errhint("Leave one of them out.")));
	if (combination_is(definition, RULE_ACTION, "none") &&
		!combination_has(definition, RULE_PUBLISH) && !combination_has(definition, RULE_STREAM))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("action \"none\" does nothing by itself"),
				 errhint("Give publish or stream, to be told of the keys.")));
}

/*
 * A prefix that begins with data could be the prefix of everything.  What is removed
 * by it is not known key by key, so nobody can be told of them.
 */
static void
combination_check_prefix(const InvalDefinition *definition)
{
	List	   *segments = inval_template_parse(inval_definition_get(definition, RULE_KEY), "key");
	const InvalSegment *first = segments != NIL ? linitial(segments) : NULL;

	if (first == NULL || first->kind != INVAL_SEGMENT_LITERAL || first->text[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a key that is a prefix must start with literal text"),
				 errdetail("It could be the prefix of keys of everybody."),
				 errhint("Begin with how the keys begin, as in key => 'page:{id}:'.")));
	if (combination_has(definition, RULE_PUBLISH) || combination_has(definition, RULE_STREAM))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("publish and stream are not for the action \"prefix\""),
				 errdetail("Which keys it removes is not known before they are gone."),
				 errhint("Tell of the rows by a rule with the action \"none\".")));
}

/*
 * What a strict rule invalidates must be known, and be fenced, before the commit.
 */
static void
combination_check_strict(const InvalDefinition *definition)
{
	if (combination_is(definition, RULE_DELIVERY, "strict") &&
		(!combination_is(definition, RULE_ACTION, "delete") ||
		 combination_has(definition, RULE_FIELD)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("delivery \"strict\" is only for the action \"delete\" of whole keys"),
				 errhint("Use delivery \"commit\", or another action.")));
}

static void
combination_check_repeat(InvalDefinition *definition)
{
	int			ms = inval_definition_ms(definition, RULE_REPEAT_AFTER);

	if (!combination_has(definition, RULE_REPEAT_AFTER))
		return;
	if (ms <= 0 || ms > MAX_REPEAT_MS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("repeat_after must be more than nothing and at most an hour"),
				 errhint("It is how long a reader may take to write back what it has read.")));
	combination_store_ms(definition, RULE_REPEAT_AFTER, ms);
}

static void
combination_check_ttl(InvalDefinition *definition)
{
	bool		needed = combination_is(definition, RULE_ACTION, "expire") ||
		combination_has(definition, RULE_REFILL);
	int			ms = inval_definition_ms(definition, RULE_TTL);

	if (!combination_has(definition, RULE_TTL) && combination_has(definition, RULE_REFILL))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("refill needs a ttl"),
				 errhint("Say how long a value that is put back may live, as in ttl => '1 hour'.")));
	if (!combination_has(definition, RULE_TTL) && needed)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("action \"expire\" needs a ttl"),
				 errhint("Say how long a key may live on, as in ttl => '10 seconds'.")));
	if (!combination_has(definition, RULE_TTL))
		return;
	if (!needed)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("ttl is only for the action \"expire\", and for refill"),
				 errhint("Leave one of them out.")));
	if (ms <= 0 || ms > MAX_TTL_MS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("ttl must be more than nothing and at most 20 days")));
	combination_store_ms(definition, RULE_TTL, ms);
}

/*
 * A value is put back under a lease, which the invalidation before it must have
 * voided.
 */
static void
combination_check_refill(InvalDefinition *definition)
{
	if (!combination_has(definition, RULE_REFILL))
		return;
	if (!combination_is(definition, RULE_ACTION, "delete") ||
		combination_has(definition, RULE_FIELD))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("refill is only for the action \"delete\" of whole keys"),
				 errdetail("What is put back is a string at the key itself."),
				 errhint("Leave refill out, or use another action.")));
	(void) inval_definition_set(definition, inval_definition_name(RULE_FENCE),
								pstrdup("true"));
}

/*
 * What should be at a key is known of strings that are there until they are removed.
 */
static void
combination_check_audit(const InvalDefinition *definition)
{
	if (combination_has(definition, RULE_AUDIT) &&
		(!combination_is(definition, RULE_ACTION, "delete") ||
		 combination_has(definition, RULE_FIELD)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("audit is only for the action \"delete\" of whole keys"),
				 errdetail("What it is compared with is a string at the key itself."),
				 errhint("Leave audit out, or use another action.")));
}

static void
combination_store_ms(InvalDefinition *definition, InvalRuleOption option, int ms)
{
	(void) inval_definition_set(definition, inval_definition_name(option),
								psprintf("%d ms", ms));
}
