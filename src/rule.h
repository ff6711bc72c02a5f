/*
 * rule.h
 *		The rules of a relation, ready to be applied to its rows.
 */
#ifndef INVAL_RULE_H
#define INVAL_RULE_H

#include "entry.h"
#include "render.h"

typedef struct InvalRule
{
	uint32		id;
	InvalAction action;
	InvalLane	lane;
	InvalBoundTemplate *key;
	InvalBoundTemplate *field;	/* NULL: none */
	int			nchanges;		/* 0: any UPDATE counts */
	AttrNumber *changes;
} InvalRule;

typedef struct InvalRelationRules
{
	Oid			relid;			/* hash key */
	bool		valid;
	MemoryContext context;		/* NULL if there is nothing in it */
	int			nrules;			/* those that are not off */
	InvalRule  *rules;
} InvalRelationRules;

/* Columns of the table inval_rule */
enum
{
	RULE_ID,
	RULE_RELATION,
	RULE_KEY,
	RULE_FIELD,
	RULE_ACTION,
	RULE_DELIVERY,
	RULE_CHANGES,
	RULE_VIA,
	RULE_TTL,
	RULE_PUBLISH,
	RULE_STREAM,
	RULE_FENCE,
	RULE_REPEAT_AFTER,
	RULE_REFILL,
	RULE_TARGETS,
	RULE_STATE,
	RULE_COLUMNS
};

extern InvalRelationRules *inval_rules_of(Relation relation);

#endif							/* INVAL_RULE_H */
