/*
 * depth.h
 *		How much is queued for each target.
 */
#ifndef INVAL_DEPTH_H
#define INVAL_DEPTH_H

#include "target/target.h"

typedef struct InvalDepth
{
	InvalTarget *target;
	bool		kept;			/* what is kept for it is counted already */
	int64		entries;
	int64		overdue;		/* of these, queued before the time that was given */
	TimestampTz oldest;
} InvalDepth;

typedef struct InvalDepths
{
	int			count;
	TimestampTz overdue_at;
	InvalDepth *depths;			/* of each target */
} InvalDepths;

extern void inval_depths_measure(InvalDepths *depths, TimestampTz overdue_at);

#endif							/* INVAL_DEPTH_H */
