/*
 * rename.h
 *		Rules follow renames of what they name.
 */
#ifndef INVAL_DDL_RENAME_H
#define INVAL_DDL_RENAME_H

#include "ddl/frame.h"

extern void inval_ddl_before_rename(InvalDdlFrame *frame, Node *statement);
extern void inval_ddl_after_rename(InvalDdlFrame *frame, Node *statement,
								   List *altered);

#endif							/* INVAL_DDL_RENAME_H */
