/*
 * fence.h
 *		Fences of a transaction with strict rules.
 */
#ifndef INVAL_FENCE_H
#define INVAL_FENCE_H

#include "target/target.h"

/* Before the commit record; they may raise errors */
extern void inval_fence_take(void);
extern void inval_fence_refuse_two_phase(void);

/* After it, or when it never comes; they cannot fail */
extern void inval_fence_commit(void);
extern int	inval_fence_doubles(const InvalTarget *target);
extern void inval_fence_abort(void);

#endif							/* INVAL_FENCE_H */
