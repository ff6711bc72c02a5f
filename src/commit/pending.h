/*
 * pending.h
 *		The set of invalidations that this transaction owes.
 */
#ifndef INVAL_PENDING_H
#define INVAL_PENDING_H

#include "base/entry.h"

/* What is owed to one target by one lane */
typedef struct InvalOwed
{
	InvalLane	lane;
	int32		target;			/* its number */
	int			after_ms;		/* lane "repeat": how much later */
	const char *entries;		/* one after the other, as base/entry.h has them */
	Size		length;
} InvalOwed;

extern bool inval_pending_add(InvalLane lane, int32 target, int after_ms,
							  const InvalEntry *entry);
extern bool inval_pending_is_full(InvalLane lane, int32 target, const InvalEntry *entry);
extern InvalOwed inval_pending_find_set(InvalLane lane, int32 target);
extern void inval_pending_forget(InvalLane lane, int32 target);
extern int	inval_pending_sets(void);
extern InvalOwed inval_pending_set(int i);
extern InvalLane inval_pending_worker_lane(InvalLane lane);
extern bool inval_pending_is_counted(InvalLane lane);
extern bool inval_pending_did_spill(void);
extern void inval_pending_spilled(void);
extern bool inval_pending_is_flushed(void);

/* Cannot fail */
extern void inval_pending_flushed(bool all);
extern void inval_pending_subcommit(void);
extern void inval_pending_subabort(void);
extern void inval_pending_reset(void);

#endif							/* INVAL_PENDING_H */
