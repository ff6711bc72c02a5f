/*
 * refill.h
 *		Values that are to be put back at keys, as entries.
 */
#ifndef INVAL_CAPTURE_REFILL_H
#define INVAL_CAPTURE_REFILL_H

#include "rule/rule.h"

extern void inval_refill_owe(InvalRule *rule, const InvalEntry *entry, Oid relid,
							 TupleTableSlot *row, bool old);
extern bool inval_refill_look(const InvalEntry *refill, InvalEntry *look);
extern bool inval_refill_is_in_place(const InvalRule *rule, Relation relation,
									 const InvalEntry *refill);

#endif							/* INVAL_CAPTURE_REFILL_H */
