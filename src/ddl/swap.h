/*
 * swap.h
 *		Tables that take the name of a tracked one.
 */
#ifndef INVAL_DDL_SWAP_H
#define INVAL_DDL_SWAP_H

#include "nodes/parsenodes.h"

extern void inval_ddl_swap_init(void);
extern void inval_ddl_before_name(Node *statement);
extern void inval_ddl_after_name(Oid relid);

#endif							/* INVAL_DDL_SWAP_H */
