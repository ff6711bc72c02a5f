/*
 * trigger.c
 *		Triggers of inval, on tables of others.
 *
 * They are made, altered and dropped by the server's own routines, not by
 * commands, for three reasons.  A command runs as somebody: as the owner of
 * the table, who has no right to our trigger functions, or as the extension's
 * owner, who has none to the table unless he is a superuser, and who would
 * then also run event triggers of others.  ALTER TABLE ... ENABLE ALWAYS
 * TRIGGER is refused while deferred constraints of the table are pending,
 * though nothing about them changes.  And nobody has asked for these commands,
 * so no event trigger or log of commands has to show them.
 *
 * Whether the caller may have it done was asked before, by who calls this.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/objectaccess.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "lib/stringinfo.h"
#include "nodes/makefuncs.h"
#include "nodes/parsenodes.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/catalog.h"
#include "rule/trigger.h"

typedef struct TriggerChange
{
	Datum		values[Natts_pg_trigger];
	bool		nulls[Natts_pg_trigger];
	bool		replaces[Natts_pg_trigger];
} TriggerChange;

static void trigger_set(TriggerChange *change, AttrNumber attnum, Datum value);
static void trigger_apply(Oid trigger, TriggerChange *change);

/*
 * Makes a trigger of a type, as in pg_trigger.tgtype, that fires when "fires"
 * says, as in tgenabled.  Arguments are a list of char *.  It goes with the
 * extension.  Returns its OID.  Holds a ShareRowExclusiveLock on the table from
 * then on.
 */
Oid
inval_trigger_create(Oid relid, const char *name, int16 type, Oid function,
					 List *arguments, char fires)
{
	CreateTrigStmt *statement = makeNode(CreateTrigStmt);
	TriggerChange change = {0};
	ObjectAddress trigger;
	NameData	as_name;
	ListCell   *lc;

	LockRelationOid(relid, ShareRowExclusiveLock);
	if (OidIsValid(get_trigger_oid(relid, name, true)))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("trigger \"%s\" for relation \"%s\" already exists",
						name, get_rel_name(relid))));
	statement->trigname = pstrdup(name);
	statement->row = (type & TRIGGER_TYPE_ROW) != 0;
	statement->timing = type & TRIGGER_TYPE_TIMING_MASK;
	statement->events = type & TRIGGER_TYPE_EVENT_MASK;
	foreach(lc, arguments)
	{
		statement->args = lappend(statement->args, makeString(pstrdup(lfirst(lc))));
	}

	/*
	 * One that is "internal" is made without asking for the current user's
	 * rights.  That also gives it another name, and hides it from dumps and
	 * from \d, which is put right.
	 */
	trigger = CreateTriggerFiringOn(statement, NULL, relid, InvalidOid, InvalidOid,
									InvalidOid, function, InvalidOid, NULL,
									true, false, fires);
	CommandCounterIncrement();
	namestrcpy(&as_name, name);
	trigger_set(&change, Anum_pg_trigger_tgname, NameGetDatum(&as_name));
	trigger_set(&change, Anum_pg_trigger_tgisinternal, BoolGetDatum(false));
	trigger_apply(trigger.objectId, &change);
	inval_catalog_depend_on_extension(TriggerRelationId, trigger.objectId);
	return trigger.objectId;
}

/*
 * Gives a trigger other arguments.  The caller holds a lock on the table that
 * lets nobody else do that.
 */
void
inval_trigger_set_arguments(Oid trigger, List *arguments)
{
	TriggerChange change = {0};
	StringInfoData bytes;
	bytea	   *value;
	ListCell   *lc;

	/* Each of them ends with a zero. */
	initStringInfo(&bytes);
	foreach(lc, arguments)
	{
		appendBinaryStringInfo(&bytes, lfirst(lc), (int) strlen(lfirst(lc)) + 1);
	}
	value = palloc(VARHDRSZ + bytes.len);
	SET_VARSIZE(value, VARHDRSZ + bytes.len);
	memcpy(VARDATA(value), bytes.data, bytes.len);
	trigger_set(&change, Anum_pg_trigger_tgnargs, Int16GetDatum((int16) list_length(arguments)));
	trigger_set(&change, Anum_pg_trigger_tgargs, PointerGetDatum(value));
	trigger_apply(trigger, &change);
	inval_catalog_depend_on_extension(TriggerRelationId, trigger);
}

/*
 * Says when a trigger fires, as in pg_trigger.tgenabled.  The same of locks.
 */
void
inval_trigger_set_fires(Oid trigger, char fires)
{
	TriggerChange change = {0};

	trigger_set(&change, Anum_pg_trigger_tgenabled, CharGetDatum(fires));
	trigger_apply(trigger, &change);
	inval_catalog_depend_on_extension(TriggerRelationId, trigger);
}

/*
 * Drops a trigger of a table.  Holds an AccessExclusiveLock on the table from
 * then on.
 */
void
inval_trigger_drop(Oid relid, Oid trigger)
{
	ObjectAddress address;

	LockRelationOid(relid, AccessExclusiveLock);
	ObjectAddressSet(address, TriggerRelationId, trigger);
	performDeletion(&address, DROP_RESTRICT, PERFORM_DELETION_INTERNAL);
	CommandCounterIncrement();
}

static void
trigger_set(TriggerChange *change, AttrNumber attnum, Datum value)
{
	change->values[attnum - 1] = value;
	change->replaces[attnum - 1] = true;
}

/*
 * Writes a change of a trigger, and tells all sessions.
 */
static void
trigger_apply(Oid trigger, TriggerChange *change)
{
	Relation	triggers = table_open(TriggerRelationId, RowExclusiveLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	old;
	HeapTuple	new;

	ScanKeyInit(&key, Anum_pg_trigger_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(trigger));
	scan = systable_beginscan(triggers, TriggerOidIndexId, true, NULL, 1, &key);
	old = systable_getnext(scan);
	if (!HeapTupleIsValid(old))
		elog(ERROR, "could not find tuple for trigger %u", trigger);
	new = heap_modify_tuple(old, RelationGetDescr(triggers), change->values,
							change->nulls, change->replaces);
	CatalogTupleUpdate(triggers, &new->t_self, new);
	InvokeObjectPostAlterHookArg(TriggerRelationId, trigger, 0, InvalidOid, true);
	CacheInvalidateRelcacheByRelid(((Form_pg_trigger) GETSTRUCT(new))->tgrelid);
	systable_endscan(scan);
	table_close(triggers, RowExclusiveLock);
	CommandCounterIncrement();
}
