/*
 * pending.h
 *		The set of invalidations that this transaction owes.
 */
#ifndef INVAL_PENDING_H
#define INVAL_PENDING_H

#include "entry.h"

extern bool inval_pending_add(InvalLane lane, const InvalEntry *entry);
extern const char *inval_pending_entries(InvalLane lane, Size *length);
extern bool inval_pending_did_spill(void);
extern bool inval_pending_is_flushed(void);

/* Cannot fail */
extern void inval_pending_flushed(bool all);
extern void inval_pending_subcommit(void);
extern void inval_pending_subabort(void);
extern void inval_pending_reset(void);

#endif							/* INVAL_PENDING_H */
