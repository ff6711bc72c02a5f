/*
 * extension.c
 *		What goes with the extension.
 *
 * DROP EXTENSION takes the rules along without CASCADE, and what is queued: it
 * says how many.  That has to be said before the command, as its own event
 * triggers are gone when sql_drop would fire.
 */
#include "postgres.h"

#include "catalog/pg_extension.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"

#include "base/catalog.h"
#include "ddl/extension.h"
#include "outbox/ledger.h"
#include "outbox/outbox.h"
#include "outbox/read.h"
#include "rule/carrier.h"
#include "target/target.h"
#include "target/targets.h"
#include "version/server.h"

static bool extension_goes(Node *statement);
static bool extension_count_row(InvalOutboxRow *row, void *arg);

/*
 * If a command is about to drop the extension: how many rules and queued
 * entries go with it, to who may drop it.
 */
void
inval_ddl_say_what_goes(Node *statement)
{
	int64		entries = 0;
	int			rules;

	if (!extension_goes(statement))
		return;
	rules = list_length(inval_carriers_all());
	if (rules > 0)
		ereport(NOTICE,
				(errmsg_plural("dropping extension \"inval\" drops %d rule",
							   "dropping extension \"inval\" drops %d rules", rules, rules)));
	inval_ledger_attach();
	inval_targets_refresh();
	inval_outbox_scan_all(INVAL_OUTBOX_TABLES, extension_count_row, &entries);
	if (entries > 0)
		ereport(WARNING,
				(errmsg_plural("dropping extension \"inval\" drops %lld queued invalidation",
							   "dropping extension \"inval\" drops %lld queued invalidations",
							   (unsigned long) entries, (long long) entries),
				 errdetail("Their keys stay in the cache as they are."),
				 errhint("To deliver them, roll back and call inval_drain() first.")));
}

/*
 * Whether a command drops the extension, by its name or with its schema, and
 * the current user may.
 */
static bool
extension_goes(Node *statement)
{
	DropStmt   *drop = (DropStmt *) statement;
	const InvalCatalog *catalog;
	const char *name;
	ListCell   *lc;

	if (!IsA(statement, DropStmt) ||
		(drop->removeType != OBJECT_EXTENSION &&
		 (drop->removeType != OBJECT_SCHEMA || drop->behavior != DROP_CASCADE)))
		return false;
	catalog = inval_catalog(false);
	if (!inval_server_owns_extension(catalog->extension, GetUserId()))
		return false;
	name = drop->removeType == OBJECT_EXTENSION ? get_extension_name(catalog->extension) :
		get_namespace_name(catalog->schema);
	foreach(lc, drop->objects)
		if (name != NULL && strcmp(strVal(lfirst(lc)), name) == 0)
			return true;
	return false;
}

static bool
extension_count_row(InvalOutboxRow *row, void *arg)
{
	CHECK_FOR_INTERRUPTS();
	if (row->lane != INVAL_LANE_REFILL && inval_target_by_number(row->target) != NULL &&
		inval_outbox_is_owed(row))
		*(int64 *) arg += row->entries;
	return true;
}
