/*
 * subject.c
 *		A rule whose keys are looked at.
 */
#include "postgres.h"

#include "access/relation.h"

#include "audit/subject.h"
#include "rule/carrier.h"
#include "rule/rules.h"

static bool subject_is_wanted(const InvalDefinition *definition, void *arg);

/*
 * Opens the table of a rule, and makes the rule ready, in a memory context.  A rule that
 * is not there, not on or broken is an error.
 */
void
inval_subject_open(InvalSubject *subject, int32 rule, MemoryContext context)
{
	const InvalDefinition *definition = inval_carrier_find(rule);
	InvalRelationRules *rules = NULL;

	memset(subject, 0, sizeof(*subject));
	subject->id = rule;
	if (definition != NULL)
		subject->tracked = try_relation_open(definition->relation, AccessShareLock);
	if (subject->tracked != NULL)
		rules = inval_rules_from(subject->tracked, list_make1_oid(RelationGetRelid(subject->tracked)),
								 subject_is_wanted, subject, context);
	if (rules == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("rule %d does not exist", rule)));

	/* Those that are off are not among them. */
	if (subject->definition == NULL ||
		strcmp(inval_definition_get(subject->definition, RULE_STATE), "on") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("rule %d is not on", rule),
				 errdetail("Nothing is removed for it, so its keys may hold anything.")));
	subject->rule = &rules->rules[0];
	if (subject->rule->broken != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("rule %d is broken: %s", rule, subject->rule->broken)));
}

static bool
subject_is_wanted(const InvalDefinition *definition, void *arg)
{
	InvalSubject *subject = arg;

	if (inval_definition_id(definition) != subject->id)
		return false;
	subject->definition = definition;
	return true;
}
