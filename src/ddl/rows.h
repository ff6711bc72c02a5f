/*
 * rows.h
 *		Queues what all rows of tables owe, for commands that take them away.
 */
#ifndef INVAL_DDL_ROWS_H
#define INVAL_DDL_ROWS_H

#include "capture/capture.h"

extern List *inval_ddl_rules_of(List *trackers);
extern void inval_ddl_rows(Oid leaf, List *trackers, InvalRowAge age, bool strict);
extern void inval_ddl_rows_of_rule(const InvalDefinition *definition, List *without);
extern void inval_ddl_rows_of_readers(Oid class, Oid object);
extern bool inval_ddl_may_ask(const InvalDefinition *definition, Oid class, Oid object);
extern void inval_ddl_cannot_ask(const InvalDefinition *definition);
extern void inval_ddl_rows_are_lost(const InvalDefinition *definition);

#endif							/* INVAL_DDL_ROWS_H */
