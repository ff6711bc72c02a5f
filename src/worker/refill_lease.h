/*
 * refill_lease.h
 *		The lease under which the worker puts a value back.
 */
#ifndef INVAL_REFILL_LEASE_H
#define INVAL_REFILL_LEASE_H

#include "base/entry.h"
#include "capture/refilling.h"
#include "target/target.h"

typedef enum InvalRefillOutcome
{
	INVAL_REFILL_DONE,				/* or given up */
	INVAL_REFILL_LATER,				/* it cannot be had now */
	INVAL_REFILL_NOT_TRIED			/* for lack of time */
} InvalRefillOutcome;

extern InvalRefillOutcome inval_refill_take_lease(InvalTarget *target,
												  const InvalEntry *entry,
												  bool confirmed, uint64 since,
												  const char **token, char *error);
extern InvalRefillOutcome inval_refill_store(InvalTarget *target, const InvalEntry *entry,
											 const char *token,
											 const InvalRefillFound *found, char *error);
extern void inval_refill_release(InvalTarget *target, const InvalEntry *entry,
								 const char *token);

#endif							/* INVAL_REFILL_LEASE_H */
