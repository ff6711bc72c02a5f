/*
 * refresh.h
 *		REFRESH MATERIALIZED VIEW: the keys of rows that differ.
 */
#ifndef INVAL_DDL_REFRESH_H
#define INVAL_DDL_REFRESH_H

#include "ddl/frame.h"

extern void inval_ddl_before_refresh(InvalDdlFrame *frame, RefreshMatViewStmt *statement);
extern void inval_ddl_after_refresh(InvalDdlFrame *frame);

#endif							/* INVAL_DDL_REFRESH_H */
