/*
 * rename_columns.h
 *		New names of columns in templates and lists.
 */
#ifndef INVAL_DDL_RENAME_COLUMNS_H
#define INVAL_DDL_RENAME_COLUMNS_H

#include "rule/definition.h"

/* A column that has another name now: */
typedef struct InvalRenaming
{
	List	   *relids;			/* of these relations */
	const char *old_name;
	const char *new_name;
} InvalRenaming;

extern bool inval_ddl_rename_columns(InvalDefinition *definition,
									 const InvalRenaming *renaming);

#endif							/* INVAL_DDL_RENAME_COLUMNS_H */
