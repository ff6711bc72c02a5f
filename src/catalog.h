/*
 * catalog.h
 *		Where the extension's own relations are.
 */
#ifndef INVAL_CATALOG_H
#define INVAL_CATALOG_H

#include "shared.h"

typedef struct InvalCatalog
{
	Oid			schema;
	Oid			owner;			/* of the extension */
	Oid			extension;
	Oid			rule;			/* table inval_rule */
	Oid			rule_identity;	/* its index that starts with the relation */
	Oid			outbox[INVAL_OUTBOX_TABLES];
} InvalCatalog;

extern const InvalCatalog *inval_catalog(bool missing_ok);
extern char *inval_catalog_name(const char *name);
extern int64 inval_catalog_execute(const char *command, int nargs, Oid *types,
								   Datum *values, const char *nulls);
extern void inval_catalog_refuse_refresh(void) pg_attribute_noreturn();

#endif							/* INVAL_CATALOG_H */
