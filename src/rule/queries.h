/*
 * queries.h
 *		The queries that a rule has, as they are written down.
 */
#ifndef INVAL_RULE_QUERIES_H
#define INVAL_RULE_QUERIES_H

#include "key/via_query.h"
#include "rule/definition.h"

/* As they are understood; NULL: there is none */
typedef struct InvalRuleQueries
{
	InvalViaQuery *via;
	InvalViaQuery *refill;
	InvalViaQuery *audit;
} InvalRuleQueries;

extern bool inval_queries_exist(const InvalDefinition *definition);
extern InvalViaQuery *inval_queries_via(const InvalDefinition *definition, Relation tracked);
extern InvalViaQuery *inval_queries_refill(const InvalDefinition *definition, Relation tracked);
extern InvalViaQuery *inval_queries_audit(const InvalDefinition *definition, Relation tracked);
extern bool inval_queries_write(const InvalRuleQueries *queries, InvalDefinition *definition,
								Relation tracked);

#endif							/* INVAL_RULE_QUERIES_H */
