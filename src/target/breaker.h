/*
 * breaker.h
 *		Whether a target is up or down.
 */
#ifndef INVAL_TARGET_BREAKER_H
#define INVAL_TARGET_BREAKER_H

#include "target/target.h"

extern bool inval_target_is_open(InvalTarget *target);
extern bool inval_target_claim_probe(InvalTarget *target);

/* Cannot fail: may be called after the commit record */
extern void inval_target_failed(InvalTarget *target, InvalFault fault, const char *error);
extern void inval_target_doubted(InvalTarget *target, const char *error);
extern void inval_target_measured(InvalTarget *target, uint64 round_trip_us);
extern void inval_target_succeeded(InvalTarget *target, uint64 keys,
								   uint64 round_trip_us);

extern void inval_target_log_change(InvalTarget *target);

#endif							/* INVAL_TARGET_BREAKER_H */
