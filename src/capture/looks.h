/*
 * looks.h
 *		Rows whose keys have to be looked up, until the transaction ends.
 */
#ifndef INVAL_LOOKS_H
#define INVAL_LOOKS_H

#include "capture/looking.h"

/* Whether what a rule owes may be looked up for show */
typedef bool (*InvalLooksFilter) (const InvalRule *rule, void *arg);

extern void inval_looks_init(void);
extern void inval_looks_add(InvalRule *rule, Oid relid, TupleTableSlot *row, bool old);
extern void inval_looks_run(void);
extern void inval_looks_run_for(InvalRelationRules *rules);
extern uint64 inval_looks_again(const InvalEntry *look);
extern void inval_looks_show(const char *entries, Size length, InvalLooksFilter may,
							 InvalLookingShow show, void *arg);

#endif							/* INVAL_LOOKS_H */
