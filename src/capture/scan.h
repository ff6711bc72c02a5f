/*
 * scan.h
 *		Reads all rows of a relation, to queue what they owe.
 */
#ifndef INVAL_SCAN_H
#define INVAL_SCAN_H

#include "capture/capture.h"

typedef void (*InvalRowCallback) (TupleTableSlot *row, void *arg);

extern void inval_scan_query(Relation relation, const char *query, uint64 max_rows,
							 InvalRowCallback callback, void *arg);
extern void inval_scan_relation(Relation relation, InvalRelationRules *rules,
								InvalRowAge age);
extern void inval_scan_with_desc(Relation relation, TupleDesc desc,
								 InvalRelationRules *rules, InvalRowAge age);

#endif							/* INVAL_SCAN_H */
