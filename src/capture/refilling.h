/*
 * refilling.h
 *		Finding the values that are to be put back at keys.
 */
#ifndef INVAL_REFILLING_H
#define INVAL_REFILLING_H

#include "base/entry.h"
#include "key/refill.h"

/* What a refill has found */
typedef struct InvalRefillFound
{
	InvalRefillValue value;		/* in the caller's memory context */
	int			ttl_ms;
	char	   *problem;		/* the rule's; NULL: it has none */
} InvalRefillFound;

extern InvalRefillFound inval_refill_find(const InvalEntry *refill);

#endif							/* INVAL_REFILLING_H */
