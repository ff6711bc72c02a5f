/*
 * rule_problem.c
 *		Why a rule cannot be applied, for inval_rule and inval_coverage.
 */
#include "postgres.h"

#include "access/relation.h"
#include "fmgr.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"

#include "rule/rules.h"

PG_FUNCTION_INFO_V1(inval_rule_problem);

/*
 * inval_rule_problem(relation regclass, rule integer) RETURNS text
 *
 * NULL if the rule can be applied to the rows of the relation, which has it or
 * belongs to one that has; or if somebody has locked the relation, since who
 * looks at rules is not to wait for that.
 */
Datum
inval_rule_problem(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_GETARG_OID(0);
	uint32		id = (uint32) PG_GETARG_INT32(1);
	InvalRelationRules *rules;
	const char *problem = NULL;
	Relation	relation;
	int			i;

	if (!ConditionalLockRelationOid(relid, AccessShareLock))
		PG_RETURN_NULL();
	relation = try_relation_open(relid, NoLock);
	if (relation == NULL)
		PG_RETURN_NULL();
	rules = inval_rules_of(relation);
	for (i = 0; i < rules->nrules; i++)
		if (rules->rules[i].id == id)
			problem = rules->rules[i].broken;
	relation_close(relation, AccessShareLock);
	if (problem == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(problem));
}
