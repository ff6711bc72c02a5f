/*
 * redefine.h
 *		Views and functions that get another definition.
 */
#ifndef INVAL_REDEFINE_H
#define INVAL_REDEFINE_H

#include "nodes/nodes.h"

extern void inval_ddl_before_redefine(Node *statement);

#endif							/* INVAL_REDEFINE_H */
