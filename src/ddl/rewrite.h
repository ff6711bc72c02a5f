/*
 * rewrite.h
 *		ALTER TABLE: rows that are rewritten.
 */
#ifndef INVAL_DDL_REWRITE_H
#define INVAL_DDL_REWRITE_H

#include "storage/lockdefs.h"

#include "ddl/frame.h"

extern bool inval_ddl_may_rewrite(AlterTableStmt *statement);
extern void inval_ddl_keep_tables(InvalDdlFrame *frame, AlterTableStmt *statement,
								  Oid relid, LOCKMODE lockmode);
extern void inval_ddl_before_rewrite(InvalDdlFrame *frame, Oid relid, int reason);
extern void inval_ddl_after_rewrite(InvalDdlFrame *frame);

#endif							/* INVAL_DDL_REWRITE_H */
