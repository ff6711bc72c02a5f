/*
 * catalog.h
 *		Where the extension's own relations are.
 */
#ifndef INVAL_CATALOG_H
#define INVAL_CATALOG_H

#include "catalog/pg_depend.h"
#include "nodes/pg_list.h"
#include "utils/rel.h"

#include "version/server.h"

/*
 * Outbox tables in one group of rotation.  The first group is written at
 * commit (fast), the second before that or kept longer (slow), the third at
 * commit too, for targets that are away (kept).
 */
#define INVAL_OUTBOX_GROUP		3
#define INVAL_OUTBOX_GROUPS		3
#define INVAL_OUTBOX_TABLES		(INVAL_OUTBOX_GROUPS * INVAL_OUTBOX_GROUP)

/* Where each of the groups begins */
#define INVAL_OUTBOX_FAST		0
#define INVAL_OUTBOX_SLOW		INVAL_OUTBOX_GROUP
#define INVAL_OUTBOX_KEPT		(2 * INVAL_OUTBOX_GROUP)

typedef struct InvalCatalog
{
	Oid			schema;
	Oid			owner;			/* of the extension */
	Oid			extension;
	Oid			carrier_function;	/* inval_rule_carrier */
	Oid			row_function;	/* inval_capture_row */
	Oid			truncate_function;	/* inval_capture_truncate */
	Oid			outbox[INVAL_OUTBOX_TABLES];
	Oid			purge_record;	/* what the purge log shows */
} InvalCatalog;

extern const InvalCatalog *inval_catalog(bool missing_ok);
extern char *inval_catalog_name(const char *name);
extern int64 inval_catalog_execute(const char *command, int nargs, Oid *types,
								   Datum *values, const char *nulls);
extern int64 inval_catalog_execute_as(Oid role, const char *command, int nargs,
									  Oid *types, Datum *values, const char *nulls);
extern bool inval_catalog_is_outbox(Oid relid);
extern char *inval_catalog_relation_name(Oid relid);
extern Oid	inval_catalog_relation_of(Oid class, Oid object);
extern List *inval_catalog_depends(Oid class, Oid object);
extern List *inval_catalog_dependents(Oid class, Oid object);
extern Oid	inval_catalog_depends_on(Oid class, Oid object, char deptype);
extern void inval_catalog_lock_extension(void);
extern void inval_catalog_depend_on_extension(Oid class, Oid object);
extern AttrNumber inval_catalog_column(AttrNumber attnum, Relation tracked,
									   Relation relation);
pg_noreturn extern void inval_catalog_refuse_refresh(void);

#endif							/* INVAL_CATALOG_H */
