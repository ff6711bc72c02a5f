/*
 * capture.h
 *		Queues what a changed row owes.
 */
#ifndef INVAL_CAPTURE_H
#define INVAL_CAPTURE_H

#include "rule/rules.h"

/* Whether a row is there from now on, or was there until now */
typedef enum InvalRowAge
{
	INVAL_ROW_OLD,
	INVAL_ROW_NEW
} InvalRowAge;

extern void inval_capture_apply(InvalRelationRules *rules, Relation relation,
								TupleTableSlot *row, InvalRowAge age);
extern void inval_capture_update(InvalRelationRules *rules, Relation relation,
								 TupleTableSlot *old_row, TupleTableSlot *new_row);

#endif							/* INVAL_CAPTURE_H */
