/*
 * connect.h
 *		Our connection to a target.
 */
#ifndef INVAL_TARGET_CONNECT_H
#define INVAL_TARGET_CONNECT_H

#include "target/target.h"

extern bool inval_target_connect(InvalTarget *target, uint64 deadline,
								 bool may_resolve);

#endif							/* INVAL_TARGET_CONNECT_H */
