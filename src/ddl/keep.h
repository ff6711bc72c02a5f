/*
 * keep.h
 *		Rules that look something up, as they are before a command.
 */
#ifndef INVAL_DDL_KEEP_H
#define INVAL_DDL_KEEP_H

#include "ddl/frame.h"

extern void inval_ddl_keep_rules(InvalDdlFrame *frame, Node *statement);
extern bool inval_ddl_rule_works(const InvalDefinition *definition, InvalOldRule *old);
extern void inval_ddl_try(void (*apply) (void *arg, Relation relation), void *arg,
						  Relation relation);

#endif							/* INVAL_DDL_KEEP_H */
