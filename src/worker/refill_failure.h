/*
 * refill_failure.h
 *		What is counted and said of values that are put back, or not.
 */
#ifndef INVAL_REFILL_FAILURE_H
#define INVAL_REFILL_FAILURE_H

#include "target/target.h"

extern void inval_refill_failed(const InvalTarget *target, uint32 rule, const char *why);
extern void inval_refill_worked(const InvalTarget *target, uint32 rule);

#endif							/* INVAL_REFILL_FAILURE_H */
