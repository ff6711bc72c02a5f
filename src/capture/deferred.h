/*
 * deferred.h
 *		Rows whose foreign keys point to rows that are not there yet.
 */
#ifndef INVAL_DEFERRED_H
#define INVAL_DEFERRED_H

#include "executor/tuptable.h"

extern void inval_deferred_add(Oid relid, uint32 rule, TupleTableSlot *row);
extern void inval_deferred_run(void);
extern void inval_deferred_run_early(void);

/* Cannot fail */
extern void inval_deferred_subcommit(void);
extern void inval_deferred_subabort(void);
extern void inval_deferred_forget(void);

#endif							/* INVAL_DEFERRED_H */
