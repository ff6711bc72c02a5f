/*
 * fill.h
 *		What a rule puts back at its keys.
 */
#ifndef INVAL_RULE_FILL_H
#define INVAL_RULE_FILL_H

#include "key/refill.h"
#include "key/render.h"
#include "rule/definition.h"
#include "rule/inputs.h"

/* What of a compiled rule matters */
typedef struct InvalFillRule
{
	const InvalDefinition *definition;
	const InvalVia *via;		/* or NULL */
	const InvalBoundTemplate *key;
	bool		looks;			/* its keys are looked up */
	InvalInputs *inputs;		/* to which those of the query are added */
} InvalFillRule;

extern InvalRefill *inval_fill_bind(const InvalFillRule *rule, Relation relation,
									Relation tracked, MemoryContext context);
extern InvalRefill *inval_fill_bind_attempt(const InvalFillRule *rule, Relation relation,
											Relation tracked, MemoryContext context,
											char **problem);

#endif							/* INVAL_RULE_FILL_H */
