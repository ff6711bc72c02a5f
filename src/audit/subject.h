/*
 * subject.h
 *		A rule whose keys are looked at.
 */
#ifndef INVAL_AUDIT_SUBJECT_H
#define INVAL_AUDIT_SUBJECT_H

#include "rule/rule.h"

typedef struct InvalSubject
{
	int32		id;
	Relation	tracked;		/* under an AccessShareLock */
	InvalRule  *rule;			/* for rows as the tracked table itself has them */
	const InvalDefinition *definition;
} InvalSubject;

extern void inval_subject_open(InvalSubject *subject, int32 rule, MemoryContext context);

#endif							/* INVAL_AUDIT_SUBJECT_H */
