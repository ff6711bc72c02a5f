/*
 * refill.h
 *		Values that are to be put back at keys.
 */
#ifndef INVAL_CAPTURE_REFILL_H
#define INVAL_CAPTURE_REFILL_H

#include "rule/rule.h"

/* What a refill has found */
typedef struct InvalRefillFound
{
	InvalRefillValue value;		/* in the caller's memory context */
	int			ttl_ms;
	char	   *problem;		/* the rule's; NULL: it has none */
} InvalRefillFound;

extern void inval_refill_owe(InvalRule *rule, const InvalEntry *entry, Oid relid,
							 TupleTableSlot *row, bool old);
extern InvalRefillFound inval_refill_find(const InvalEntry *refill);

#endif							/* INVAL_CAPTURE_REFILL_H */
