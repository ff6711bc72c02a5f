/*
 * rule.h
 *		A rule, ready to be applied to the rows of a relation.
 */
#ifndef INVAL_RULE_H
#define INVAL_RULE_H

#include "datatype/timestamp.h"

#include "base/entry.h"
#include "key/refill.h"
#include "key/render.h"
#include "key/via.h"
#include "rule/definition.h"
#include "rule/inputs.h"
#include "target/target.h"

/* The templates of a rule; what is told where comes after what is done to what */
typedef enum InvalRuleTemplate
{
	INVAL_RULE_KEY,
	INVAL_RULE_FIELD,
	INVAL_RULE_CHANNEL,
	INVAL_RULE_STREAM,
	INVAL_RULE_TEMPLATES
} InvalRuleTemplate;

typedef struct InvalRule
{
	uint32		id;
	InvalAction action;
	InvalLane	lane;
	bool		fence;			/* void the leases of readers, too */
	int			ttl_ms;			/* action "expire"; of what is put back */
	InvalVia   *via;			/* NULL: the row itself names the keys */
	InvalRefill *refill;		/* what is put back at them; NULL: nothing, */
	char	   *refill_problem; /* maybe for this reason */
	InvalBoundTemplate *templates[INVAL_RULE_TEMPLATES];	/* NULL: none */
	int			ntargets;
	InvalTarget **targets;
	int			repeat_ms;		/* once more after that; 0: no */
	char	   *broken;			/* why it cannot be applied; NULL: it can */
	bool		plain;			/* one row, one entry, no look-up */
	bool		looks;			/* its keys are looked up in other tables */
	InvalInputs inputs;
	int			nchanges;		/* 0: any UPDATE counts */
	AttrNumber *changes;
	TimestampTz warned_outside; /* the transaction, by its start, that was told
								 * of keys outside a namespace */
} InvalRule;

/* Those of options that are templates */
extern const InvalRuleOption inval_rule_options[INVAL_RULE_TEMPLATES];

extern void inval_rule_compile(InvalRule *rule, const InvalDefinition *definition,
							   Relation relation, Relation tracked,
							   MemoryContext context);
extern void inval_rule_bind_refill(InvalRule *rule, const InvalDefinition *definition,
								   Relation relation, Relation tracked,
								   MemoryContext context);
extern void inval_rule_attempt_refill(InvalRule *rule, const InvalDefinition *definition,
									  Relation relation, Relation tracked,
									  MemoryContext context);
extern void inval_rule_bind_targets(InvalRule *rule, const InvalDefinition *definition,
									bool missing_ok, MemoryContext context);
extern InvalRefill *inval_rule_bind_audit(const InvalRule *rule, const InvalDefinition *definition,
										  Relation tracked, MemoryContext context);
extern void inval_rule_check_rights(const InvalRule *rule, Relation tracked, Oid role);
extern List *inval_rule_reads(const InvalRule *rule);
extern bool inval_rule_is_touched(InvalRule *rule);
extern bool inval_rule_may_miss(const InvalRule *rule);
extern void inval_rule_error_context(void *arg);

#endif							/* INVAL_RULE_H */
