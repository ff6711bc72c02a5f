/*
 * rules.h
 *		The rules of a relation, ready to be applied to its rows.
 */
#ifndef INVAL_RULES_H
#define INVAL_RULES_H

#include "rule/rule.h"

typedef struct InvalRelationRules
{
	Oid			relid;			/* hash key */
	bool		valid;
	MemoryContext context;		/* NULL if there is nothing in it */
	int			nrules;			/* those that are not off */
	InvalRule  *rules;
} InvalRelationRules;

/* Whether a rule is wanted */
typedef bool (*InvalRuleFilter) (const InvalDefinition *definition, void *arg);

extern InvalRelationRules *inval_rules_of(Relation relation);
extern bool inval_rules_are_off(Relation relation);
extern InvalRelationRules *inval_rules_from(Relation relation, List *trackers,
											InvalRuleFilter filter, void *arg,
											MemoryContext context);

#endif							/* INVAL_RULES_H */
