/*
 * type_rows.h
 *		Composite types in keys that get or lose attributes.
 */
#ifndef INVAL_DDL_TYPE_ROWS_H
#define INVAL_DDL_TYPE_ROWS_H

extern void inval_ddl_type_rows(Oid composite_relid);

#endif							/* INVAL_DDL_TYPE_ROWS_H */
