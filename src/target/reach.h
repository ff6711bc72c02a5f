/*
 * reach.h
 *		Our connections to a target.
 */
#ifndef INVAL_REACH_H
#define INVAL_REACH_H

#include "target/target.h"

extern void inval_reach_init(void);
extern bool inval_reach_is_admitted(InvalTarget *target);
extern bool inval_target_connect(InvalTarget *target, uint64 deadline,
								 bool may_resolve);
extern void inval_reach_nodes(InvalTarget *target, const int *nodes, int count,
							  uint64 deadline);
extern InvalConnection **inval_reach_place(InvalTarget *target, int node);

/* Cannot fail: may be called after the commit record */
extern void inval_reach_failed(InvalTarget *target, int node, InvalFault fault,
							   const char *error, uint64 took_us);

#endif							/* INVAL_REACH_H */
