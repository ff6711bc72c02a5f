/*
 * sample.h
 *		Rows of a table, chosen at random.
 */
#ifndef INVAL_AUDIT_SAMPLE_H
#define INVAL_AUDIT_SAMPLE_H

#include "access/htup.h"
#include "utils/rel.h"
#include "utils/snapshot.h"

typedef struct InvalSample
{
	HeapTuple  *rows;			/* as rows of the table that was asked for */
	int			count;
	uint64		all;			/* how many rows there are; 0: not known */
} InvalSample;

extern void inval_sample_check(Relation tracked);
extern InvalSample inval_sample(Relation tracked, int rows, Snapshot snapshot);

#endif							/* INVAL_AUDIT_SAMPLE_H */
