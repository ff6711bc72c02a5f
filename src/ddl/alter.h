/*
 * alter.h
 *		ALTER TABLE: partitions and children that come and go.
 */
#ifndef INVAL_DDL_ALTER_H
#define INVAL_DDL_ALTER_H

#include "ddl/frame.h"

extern void inval_ddl_before_alter(InvalDdlFrame *frame, AlterTableStmt *statement);
extern void inval_ddl_after_alter(InvalDdlFrame *frame, AlterTableStmt *statement);

#endif							/* INVAL_DDL_ALTER_H */
