/*
 * extension.h
 *		What goes with the extension.
 */
#ifndef INVAL_DDL_EXTENSION_H
#define INVAL_DDL_EXTENSION_H

#include "nodes/parsenodes.h"

extern void inval_ddl_say_what_goes(Node *statement);

#endif							/* INVAL_DDL_EXTENSION_H */
