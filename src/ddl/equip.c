/*
 * equip.c
 *		The triggers of what DDL has created or altered.
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "utils/lsyscache.h"

#include "ddl/equip.h"
#include "ddl/frame.h"
#include "rule/family.h"

static void equip_say_enabled(Oid relid);

/*
 * Sees to the triggers of a relation and what belongs to it, and says so where
 * some had been disabled.  Needs a connection to SPI.
 */
void
inval_ddl_equip(Oid relid)
{
	ListCell   *lc;
	char		kind = get_rel_relkind(relid);

	if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE &&
		kind != RELKIND_FOREIGN_TABLE)
		return;
	foreach(lc, inval_family_leaves(relid, NoLock))
	{
		/* A dump makes the triggers before the rules. */
		if (inval_ddl_is_restoring() && !inval_family_is_tracked(lfirst_oid(lc)))
			continue;
		if (inval_family_equip(lfirst_oid(lc)))
			equip_say_enabled(lfirst_oid(lc));
	}
}

/*
 * Sees to it that the triggers that a relation has are enabled.  Needs a
 * connection to SPI.
 */
void
inval_ddl_enable(Oid relid)
{
	if (inval_family_enable(relid))
		equip_say_enabled(relid);
}

static void
equip_say_enabled(Oid relid)
{
	ereport(NOTICE,
			(errmsg("triggers of inval on table \"%s\" stay enabled", get_rel_name(relid)),
			 errhint("Call inval_track with state => 'off' to stop a rule for a while, inval_untrack to drop it.")));
}
