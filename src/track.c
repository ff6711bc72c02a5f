/*
 * track.c
 *		inval_track and inval_untrack: rules and the triggers they need.
 *
 * A table has our two triggers as long as it has a rule.  The row trigger's
 * name sorts before those of foreign keys, so that it sees rows before
 * cascades remove what belongs to them.  Both depend on the extension
 * "automatically": DROP EXTENSION takes them along.
 *
 * The triggers are made with the caller's rights, the rule is written with
 * those of the extension's owner, since callers cannot write to inval_rule.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "catalog/dependency.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "parser/parse_func.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "catalog.h"
#include "track.h"

#define ROW_TRIGGER			"00_inval_row"
#define TRUNCATE_TRIGGER	"00_inval_truncate"

/* Options as arguments of a query */
#define TRACK_BOUND		8

typedef struct TrackArguments
{
	Oid			types[TRACK_BOUND];
	Datum		values[TRACK_BOUND];
	char		nulls[TRACK_BOUND];
} TrackArguments;

static void track_bind_options(TrackArguments *arguments, Oid relid,
							   InvalTrackOptions *options);
static int	track_find_rule(Oid relid, InvalTrackOptions *options, bool *same);
static int	track_write_rule(Oid relid, InvalTrackOptions *options);
static int64 track_delete_rules(Oid relid, char *key, int rule);
static bool track_has_triggers(Oid relid);
static Oid	track_own_function(const char *name);
static void track_create_triggers(Oid relid);
static void track_drop_triggers(Oid relid);
static char *track_qualified_name(Oid relid);
static void track_execute(const char *command);

PG_FUNCTION_INFO_V1(inval_track);
PG_FUNCTION_INFO_V1(inval_untrack);
PG_FUNCTION_INFO_V1(inval_untrack_rule);

/*
 * inval_track(...) RETURNS integer
 *
 * A call that changes nothing takes no lock that writers would notice.  One
 * that does waits for the writers of the table to finish, so that every row
 * changed after it returns (and its transaction commits) is seen by the rule.
 */
Datum
inval_track(PG_FUNCTION_ARGS)
{
	InvalTrackOptions options = {0};
	Relation	relation;
	Oid			relid;
	int			rule;
	bool		same = false;

	if (PG_ARGISNULL(TRACK_RELATION))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("relation must not be null")));
	relid = PG_GETARG_OID(TRACK_RELATION);

	relation = inval_track_open(relid);
	inval_track_check_relation(relation);
	inval_track_check_options(fcinfo, relation, &options);
	/* Keeps its lock; ALTER TABLE wants nobody to have the table open. */
	relation_close(relation, NoLock);

	SPI_connect();
	rule = track_find_rule(relid, &options, &same);
	if (!same || !track_has_triggers(relid))
	{
		LockRelationOid(relid, ShareRowExclusiveLock);
		rule = track_write_rule(relid, &options);
		if (!track_has_triggers(relid))
			track_create_triggers(relid);
	}
	SPI_finish();
	PG_RETURN_INT32(rule);
}

/*
 * inval_untrack(relation regclass, key text) RETURNS integer
 */
Datum
inval_untrack(PG_FUNCTION_ARGS)
{
	Oid			relid;
	char	   *key;
	int64		gone;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("relation must not be null")));
	relid = PG_GETARG_OID(0);
	key = PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1));
	relation_close(inval_track_open(relid), NoLock);
	inval_track_check_owner(relid);

	SPI_connect();
	gone = track_delete_rules(relid, key, 0);
	SPI_finish();
	PG_RETURN_INT32((int32) gone);
}

/*
 * inval_untrack_rule(rule integer) RETURNS boolean
 */
Datum
inval_untrack_rule(PG_FUNCTION_ARGS)
{
	int			rule;
	char	   *command;
	Oid			types[] = {INT4OID};
	Datum		values[1];
	Oid			relid = InvalidOid;
	int64		gone = 0;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("rule must not be null")));
	rule = PG_GETARG_INT32(0);
	values[0] = Int32GetDatum(rule);

	SPI_connect();
	command = psprintf("SELECT relation FROM %s WHERE id = $1",
					   inval_catalog_name("inval_rule"));
	if (inval_catalog_execute(command, 1, types, values, NULL) > 0)
	{
		bool		isnull;

		relid = DatumGetObjectId(SPI_getbinval(SPI_tuptable->vals[0],
											   SPI_tuptable->tupdesc, 1, &isnull));
		if (get_rel_name(relid) != NULL)
			inval_track_check_owner(relid);
		else if (!superuser())
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("must be superuser to drop a rule whose table is gone")));
		gone = track_delete_rules(relid, NULL, rule);
	}
	SPI_finish();
	PG_RETURN_BOOL(gone > 0);
}

/*
 * The options as arguments $1 (relation) to $8 of a query.
 */
static void
track_bind_options(TrackArguments *arguments, Oid relid, InvalTrackOptions *options)
{
	static const Oid types[TRACK_BOUND] = {OIDOID, TEXTOID, TEXTOID, TEXTOID,
	TEXTOID, TEXTARRAYOID, TEXTARRAYOID, TEXTOID};

	memset(arguments, 0, sizeof(*arguments));
	memcpy(arguments->types, types, sizeof(types));
	memset(arguments->nulls, ' ', TRACK_BOUND);
	arguments->values[0] = ObjectIdGetDatum(relid);
	arguments->values[1] = CStringGetTextDatum(options->key);
	if (options->field != NULL)
		arguments->values[2] = CStringGetTextDatum(options->field);
	else
		arguments->nulls[2] = 'n';
	arguments->values[3] = CStringGetTextDatum(options->action);
	arguments->values[4] = CStringGetTextDatum(options->delivery);
	arguments->values[5] = options->changes;
	if (options->changes_null)
		arguments->nulls[5] = 'n';
	arguments->values[6] = options->targets;
	arguments->values[7] = CStringGetTextDatum(options->state);
}

/*
 * The rule that a call means, or 0; and whether it is as the call wants it.
 */
static int
track_find_rule(Oid relid, InvalTrackOptions *options, bool *same)
{
	TrackArguments arguments;
	bool		isnull;
	char	   *command;

	track_bind_options(&arguments, relid, options);
	command = psprintf("SELECT id, delivery = $5 AND changes IS NOT DISTINCT FROM $6"
					   " AND targets = $7 AND state = $8"
					   " FROM %s WHERE relation = $1 AND key = $2"
					   " AND coalesce(field, '') = coalesce($3, '')"
					   " AND action = $4 AND via IS NULL",
					   inval_catalog_name("inval_rule"));
	if (inval_catalog_execute(command, TRACK_BOUND, arguments.types,
							   arguments.values, arguments.nulls) == 0)
		return 0;
	*same = DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0],
									   SPI_tuptable->tupdesc, 2, &isnull));
	return DatumGetInt32(SPI_getbinval(SPI_tuptable->vals[0],
									   SPI_tuptable->tupdesc, 1, &isnull));
}

static int
track_write_rule(Oid relid, InvalTrackOptions *options)
{
	TrackArguments arguments;
	bool		isnull;
	char	   *command;

	track_bind_options(&arguments, relid, options);
	command = psprintf("INSERT INTO %s"
					   " (relation, key, field, action, delivery, changes, targets, state)"
					   " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
					   " ON CONFLICT (relation, key, (coalesce(field, '')), action,"
					   " (coalesce(via, ''))) DO UPDATE"
					   " SET delivery = excluded.delivery, changes = excluded.changes,"
					   " targets = excluded.targets, state = excluded.state"
					   " RETURNING id",
					   inval_catalog_name("inval_rule"));
	if (inval_catalog_execute(command, TRACK_BOUND, arguments.types,
							   arguments.values, arguments.nulls) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the rule was not written"),
				 errdetail("A logical replication worker cannot track tables.")));
	return DatumGetInt32(SPI_getbinval(SPI_tuptable->vals[0],
									   SPI_tuptable->tupdesc, 1, &isnull));
}

/*
 * Deletes rules of a relation: all of them, those with a key, or one by its
 * number (0: any).  Drops the triggers with the last rule.
 */
static int64
track_delete_rules(Oid relid, char *key, int rule)
{
	Oid			types[] = {OIDOID, TEXTOID, INT4OID};
	Datum		values[lengthof(types)];
	char		nulls[] = "   ";
	char	   *table = inval_catalog_name("inval_rule");
	int64		gone;

	/*
	 * Another session may be adding a rule to the table just now, relying on
	 * the triggers that are there.
	 */
	if (get_rel_name(relid) != NULL)
		LockRelationOid(relid, ShareRowExclusiveLock);

	values[0] = ObjectIdGetDatum(relid);
	values[1] = key ? CStringGetTextDatum(key) : (Datum) 0;
	values[2] = Int32GetDatum(rule);
	nulls[1] = key ? ' ' : 'n';
	nulls[2] = rule != 0 ? ' ' : 'n';
	gone = inval_catalog_execute(psprintf("DELETE FROM %s WHERE relation = $1"
										   " AND ($2 IS NULL OR key = $2)"
										   " AND ($3 IS NULL OR id = $3)", table),
								  lengthof(types), types, values, nulls);
	if (gone > 0 && get_rel_name(relid) != NULL &&
		inval_catalog_execute(psprintf("SELECT 1 FROM %s WHERE relation = $1 LIMIT 1",
										table), 1, types, values, nulls) == 0)
		track_drop_triggers(relid);
	return gone;
}

/*
 * Whether both our triggers are on the relation and enabled ALWAYS.
 */
static bool
track_has_triggers(Oid relid)
{
	Oid			row_function = track_own_function("inval_capture_row");
	Oid			truncate_function = track_own_function("inval_capture_truncate");
	Relation	relation = relation_open(relid, NoLock);
	bool		row = false;
	bool		truncate = false;
	int			i;

	for (i = 0; relation->trigdesc != NULL && i < relation->trigdesc->numtriggers; i++)
	{
		Trigger    *trigger = &relation->trigdesc->triggers[i];

		if (trigger->tgenabled != TRIGGER_FIRES_ALWAYS)
			continue;
		row |= trigger->tgfoid == row_function;
		truncate |= trigger->tgfoid == truncate_function;
	}
	relation_close(relation, NoLock);
	return row && truncate;
}

static Oid
track_own_function(const char *name)
{
	char	   *schema = get_namespace_name(inval_catalog(false)->schema);

	return LookupFuncName(list_make2(makeString(schema), makeString(pstrdup(name))),
						  0, NULL, false);
}

static void
track_create_triggers(Oid relid)
{
	static const struct
	{
		const char *name;
		const char *when;
		const char *function;
	}			triggers[] =
	{
		{ROW_TRIGGER, "AFTER INSERT OR UPDATE OR DELETE", "inval_capture_row"},
		{TRUNCATE_TRIGGER, "BEFORE TRUNCATE", "inval_capture_truncate"},
	};
	char	   *table = track_qualified_name(relid);
	int			i;

	for (i = 0; i < (int) lengthof(triggers); i++)
	{
		ObjectAddress trigger;
		ObjectAddress extension;

		track_execute(psprintf("CREATE OR REPLACE TRIGGER %s %s ON %s FOR EACH %s EXECUTE FUNCTION %s()",
							   quote_identifier(triggers[i].name), triggers[i].when,
							   table, i == 0 ? "ROW" : "STATEMENT",
							   inval_catalog_name(triggers[i].function)));
		track_execute(psprintf("ALTER TABLE %s ENABLE ALWAYS TRIGGER %s", table,
							   quote_identifier(triggers[i].name)));

		ObjectAddressSet(trigger, TriggerRelationId,
						 get_trigger_oid(relid, triggers[i].name, false));
		ObjectAddressSet(extension, ExtensionRelationId,
						 inval_catalog(false)->extension);
		deleteDependencyRecordsForClass(TriggerRelationId, trigger.objectId,
										ExtensionRelationId,
										DEPENDENCY_AUTO_EXTENSION);
		recordDependencyOn(&trigger, &extension, DEPENDENCY_AUTO_EXTENSION);
	}
}

static void
track_drop_triggers(Oid relid)
{
	char	   *table = track_qualified_name(relid);

	track_execute(psprintf("DROP TRIGGER IF EXISTS %s ON %s",
						   quote_identifier(ROW_TRIGGER), table));
	track_execute(psprintf("DROP TRIGGER IF EXISTS %s ON %s",
						   quote_identifier(TRUNCATE_TRIGGER), table));
}

static char *
track_qualified_name(Oid relid)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
									  get_rel_name(relid));
}

static void
track_execute(const char *command)
{
	if (SPI_execute(command, false, 0) < 0)
		elog(ERROR, "SPI_execute failed: %s", command);
}
