/*
 * altered.h
 *		What a DDL command has created or altered.
 */
#ifndef INVAL_ALTERED_H
#define INVAL_ALTERED_H

#include "nodes/pg_list.h"

extern List *inval_ddl_altered(void);

#endif							/* INVAL_ALTERED_H */
