/*
 * drop.h
 *		DROP: rows that vanish with their rules.
 */
#ifndef INVAL_DDL_DROP_H
#define INVAL_DDL_DROP_H

#include "ddl/frame.h"

extern void inval_ddl_drop_init(void);
extern void inval_ddl_before_drop_owned(InvalDdlFrame *frame, DropOwnedStmt *statement);
extern void inval_ddl_after_drop(InvalDdlFrame *frame, Node *statement);

#endif							/* INVAL_DDL_DROP_H */
