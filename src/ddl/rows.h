/*
 * rows.h
 *		Queues what all rows of tables owe, for commands that take them away.
 */
#ifndef INVAL_DDL_ROWS_H
#define INVAL_DDL_ROWS_H

#include "capture/capture.h"

extern void inval_ddl_rows(Oid leaf, List *trackers, InvalRowAge age);
extern void inval_ddl_rows_of_rule(const InvalDefinition *definition, List *without);
extern void inval_ddl_rows_of_readers(Oid relid);

#endif							/* INVAL_DDL_ROWS_H */
