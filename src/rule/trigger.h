/*
 * trigger.h
 *		Triggers of inval, on tables of others.
 */
#ifndef INVAL_TRIGGER_H
#define INVAL_TRIGGER_H

#include "nodes/pg_list.h"

extern Oid	inval_trigger_create(Oid relid, const char *name, int16 type, Oid function,
								 List *arguments, char fires);
extern void inval_trigger_set_arguments(Oid trigger, List *arguments);
extern void inval_trigger_set_fires(Oid trigger, char fires);
extern void inval_trigger_drop(Oid relid, Oid trigger);

#endif							/* INVAL_TRIGGER_H */
