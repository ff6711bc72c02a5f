/*
 * rename.h
 *		Rules follow renames of what they name.
 */
#ifndef INVAL_DDL_RENAME_H
#define INVAL_DDL_RENAME_H

#include "ddl/frame.h"

extern void inval_ddl_after_rename(InvalDdlFrame *frame, Node *statement);
extern bool inval_ddl_names_column(InvalDdlFrame *frame,
								   const InvalDefinition *definition, Oid relid,
								   const char *column);

#endif							/* INVAL_DDL_RENAME_H */
