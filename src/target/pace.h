/*
 * pace.h
 *		Keeping to a target's rate.
 */
#ifndef INVAL_PACE_H
#define INVAL_PACE_H

#include "target/target.h"

extern int	inval_pace_batch(const InvalTarget *target);
extern void inval_pace_sent(InvalTarget *target, int keys);
extern long inval_pace_wait_ms(const InvalTarget *target);

#endif							/* INVAL_PACE_H */
