/*
 * lookup_reads.h
 *		Whether this transaction has written to what a query reads.
 */
#ifndef INVAL_LOOKUP_READS_H
#define INVAL_LOOKUP_READS_H

#include "nodes/pg_list.h"

extern bool inval_reads_check_queries(List *queries);
extern bool inval_reads_are_touched(List *relations);

#endif							/* INVAL_LOOKUP_READS_H */
