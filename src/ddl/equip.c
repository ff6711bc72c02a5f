/*
 * equip.c
 *		The triggers of what DDL has created or altered.
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "utils/lsyscache.h"

#include "base/catalog.h"
#include "ddl/equip.h"
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
		if (inval_family_equip(lfirst_oid(lc)))
			equip_say_enabled(lfirst_oid(lc));
	}
}

/*
 * Sees to the triggers of a relation on which one of ours was created, by a
 * dump that is restored or by hand.  Needs a connection to SPI.
 *
 * A dump has our triggers in an order of its own, those that capture changes
 * before the rules or after them, and pg_restore -j makes them in several
 * sessions, each with an AccessExclusiveLock on the extension (ALTER TRIGGER ...
 * DEPENDS ON EXTENSION).  So a trigger without a rule is left alone, and what
 * is done to one table must not make us look at another, let alone change it:
 * it would be a deadlock.  That is needed only for triggers that are not as
 * ours are, which no dump has.  And what is done here must not hold a weaker lock
 * on the extension when the dump comes to ask for its own.
 */
void
inval_ddl_equip_created(Oid relid)
{
	inval_catalog_lock_extension();
	if (inval_family_is_altered(relid) && inval_family_is_tracked(relid))
		inval_ddl_equip(relid);
	else
	{
		inval_family_equip_own(relid);
		(void) inval_family_enable(relid);
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
