/*
 * state.h
 *		What an audit knows.
 */
#ifndef INVAL_AUDIT_STATE_H
#define INVAL_AUDIT_STATE_H

#include "audit/sample.h"
#include "audit/subject.h"
#include "audit/traffic.h"
#include "audit/verdict.h"

/* A key, and what a query has given for it */
typedef struct InvalAuditKey
{
	InvalPrefix name;
	int			row;			/* of the sample, that feeds it */
	HeapTuple	given;			/* by the rule's query of via; NULL: it has none */
	InvalRefillValue expected;
	bool		read;			/* that is known */
	bool		moved;			/* the query has given something else later */
} InvalAuditKey;

/* What is found of a key at a target */
typedef struct InvalAuditFinding
{
	const InvalAuditKey *key;
	InvalTarget *target;
	InvalFinding finding;
	bool		repaired;
} InvalAuditFinding;

/* Lives in a memory context of its own, below that in which it was begun */
typedef struct InvalAudit
{
	InvalSubject subject;
	int32		id;				/* of the rule, and: */
	Relation	tracked;
	InvalRule  *rule;
	InvalRefill *query;
	InvalTarget **targets;
	int			ntargets;
	InvalTraffic traffic;
	InvalSample sample;
	InvalAuditKey *keys;		/* in order */
	int			nkeys;
	int			max_keys;
	InvalAuditFinding *findings;	/* of each key at each target */
	const char *refused;		/* why a target has not told something; NULL: all have */
	TupleTableSlot *row;
	TupleTableSlot *given;
	MemoryContext context;
} InvalAudit;

#endif							/* INVAL_AUDIT_STATE_H */
