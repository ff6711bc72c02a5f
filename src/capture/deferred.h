/*
 * deferred.h
 *		Rows whose foreign keys point to rows that are not there yet.
 */
#ifndef INVAL_DEFERRED_H
#define INVAL_DEFERRED_H

#include "executor/tuptable.h"

extern void inval_deferred_init(void);
extern void inval_deferred_add(Oid relid, uint32 rule, TupleTableSlot *row);
extern void inval_deferred_run_early(void);

#endif							/* INVAL_DEFERRED_H */
