/*
 * events.h
 *		What DDL does to rules, and to the rows that feed keys.
 */
#ifndef INVAL_DDL_H
#define INVAL_DDL_H

#include "nodes/parsenodes.h"

#include "ddl/frame.h"

/* alter.c */
extern void inval_ddl_before_alter(InvalDdlFrame *frame, AlterTableStmt *statement);
extern void inval_ddl_before_rewrite(InvalDdlFrame *frame, Oid relid);
extern void inval_ddl_after_alter(InvalDdlFrame *frame, AlterTableStmt *statement);
extern void inval_ddl_equip(Oid relid);
extern void inval_ddl_enable(Oid relid);
extern bool inval_ddl_is_restoring(void);

/* drop.c */
extern void inval_ddl_drop_init(void);
extern void inval_ddl_after_drop(InvalDdlFrame *frame, Node *statement);


/* keep.c */
extern void inval_ddl_keep_rules(InvalDdlFrame *frame, Node *statement);
extern bool inval_ddl_rule_works(const InvalDefinition *definition, InvalOldRule *old);
extern void inval_ddl_try(void (*apply) (void *arg, Relation relation), void *arg,
						  Relation relation);

/* rename.c */
extern void inval_ddl_after_rename(InvalDdlFrame *frame, Node *statement);
extern bool inval_ddl_names_column(InvalDdlFrame *frame,
								   const InvalDefinition *definition, Oid relid,
								   const char *column);

/* refresh.c */
extern void inval_ddl_before_refresh(InvalDdlFrame *frame, RefreshMatViewStmt *statement);
extern void inval_ddl_after_refresh(InvalDdlFrame *frame);

#endif							/* INVAL_DDL_H */
