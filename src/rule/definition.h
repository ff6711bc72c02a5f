/*
 * definition.h
 *		A rule as it is written down.
 */
#ifndef INVAL_DEFINITION_H
#define INVAL_DEFINITION_H

#include "nodes/pg_list.h"

/* What a rule is made of: the columns of inval_rule */
typedef enum InvalRuleOption
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
	RULE_AUDIT,
	RULE_OPTIONS
} InvalRuleOption;

typedef struct InvalDefinition
{
	Oid			relation;		/* the tracked one */
	Oid			carrier;		/* trigger, or server of a materialized view's */
	char	   *table;			/* its name, of a rule that goes; else NULL */
	char	   *options[RULE_OPTIONS];	/* as text, NULL: not given */
} InvalDefinition;

extern const char *inval_definition_name(InvalRuleOption option);
extern bool inval_definition_set(InvalDefinition *definition, const char *name,
								 char *value);
extern const char *inval_definition_get(const InvalDefinition *definition,
										InvalRuleOption option);
extern int32 inval_definition_id(const InvalDefinition *definition);
extern int	inval_definition_compare(const ListCell *a, const ListCell *b);
extern int	inval_definition_ms(const InvalDefinition *definition,
								InvalRuleOption option);
extern List *inval_definition_list(const InvalDefinition *definition,
								   InvalRuleOption option);
extern bool inval_definition_same_rule(const InvalDefinition *a,
									   const InvalDefinition *b);
extern bool inval_definition_equal(const InvalDefinition *a,
								   const InvalDefinition *b);

#endif							/* INVAL_DEFINITION_H */
