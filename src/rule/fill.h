/*
 * fill.h
 *		What a rule puts back at its keys.
 */
#ifndef INVAL_RULE_FILL_H
#define INVAL_RULE_FILL_H

#include "rule/rule.h"

extern void inval_fill_bind(InvalRule *rule, const InvalDefinition *definition,
							Relation relation, Relation tracked, MemoryContext context);
extern void inval_fill_bind_attempt(InvalRule *rule, const InvalDefinition *definition,
									Relation relation, Relation tracked,
									MemoryContext context);

#endif							/* INVAL_RULE_FILL_H */
