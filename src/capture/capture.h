/*
 * capture.h
 *		Queues what a changed row owes.
 */
#ifndef INVAL_CAPTURE_H
#define INVAL_CAPTURE_H

#include "rule/rule.h"

/* Whether a row is there from now on, or was there until now */
typedef enum InvalRowAge
{
	INVAL_ROW_OLD,
	INVAL_ROW_NEW
} InvalRowAge;

extern void inval_capture_apply(InvalRelationRules *rules, Relation relation,
								TupleTableSlot *row, InvalRowAge age);
extern void inval_capture_late(InvalRule *rule, TupleTableSlot *row);
extern void inval_capture_queue(InvalRule *rule, const InvalEntry *entry);
extern void inval_capture_count_row(const InvalRule *rule);
extern void inval_capture_count_skipped(const InvalRule *rule);

#endif							/* INVAL_CAPTURE_H */
