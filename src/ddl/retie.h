/*
 * retie.h
 *		Columns that rules need get another type; foreign keys come.
 */
#ifndef INVAL_DDL_RETIE_H
#define INVAL_DDL_RETIE_H

#include "ddl/frame.h"

extern void inval_ddl_untie(InvalDdlFrame *frame, AlterTableStmt *statement, List *family);
extern void inval_ddl_retie(InvalDdlFrame *frame);
extern void inval_ddl_after_foreign_key(Oid relid);

#endif							/* INVAL_DDL_RETIE_H */
