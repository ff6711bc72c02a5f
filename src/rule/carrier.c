/*
 * carrier.c
 *		Where rules are kept.
 *
 * A rule is an object of the database that is made for something else, so
 * that the server's own rules for it do what a table of rules cannot: a
 * publication FOR ALL TABLES does not carry it, a dump of the schema does, so
 * does pg_upgrade, it goes with its table, and it follows the table's renames.
 *
 * The rule of a table is a trigger on it, whose arguments are names and values
 * of options.  It is of a kind that fires never or rarely (BEFORE TRUNCATE;
 * BEFORE DELETE by statement on foreign tables, which cannot have the former),
 * and does nothing then: what captures changes are the triggers of family.c.
 * Reading the rules of a table costs nothing, because the relation cache has
 * its triggers; and whoever adds a rule tells all sessions, as for any trigger.
 *
 * A materialized view cannot have triggers, so its rules are foreign servers
 * (carrier_server.c), tied to it by pg_depend.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_trigger.h"
#include "commands/sequence.h"
#include "commands/trigger.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/catalog.h"
#include "rule/carrier.h"
#include "rule/carrier_check.h"
#include "rule/carrier_server.h"
#include "rule/trigger.h"
#include "store/pauses.h"
#include "store/store.h"

static List *carriers_list(Relation relation, InvalCarrierUnread unread);
static List *carrier_from_trigger(List *list, Oid relation, Oid trigger, int nargs,
								  char **args, InvalCarrierUnread *unread);
static List *carrier_from_tuple(List *list, HeapTuple tuple, TupleDesc desc,
								InvalCarrierUnread *unread);
static InvalDefinition *carrier_read_trigger(Oid trigger, InvalCarrierUnread unread);
static int32 carrier_new_id(Oid relation);
static bool carrier_id_is_taken(int32 id, Oid but);
static void carrier_update(Relation triggers, HeapTuple tuple,
						   const InvalDefinition *definition);
static void carrier_put_trigger(InvalDefinition *definition);

PG_FUNCTION_INFO_V1(inval_rule_carrier);

/*
 * The function of the triggers that carry rules.  Does nothing.
 */
Datum
inval_rule_carrier(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by trigger manager",
						"inval_rule_carrier")));
	return PointerGetDatum(NULL);
}

/*
 * Whether a relation has rules of its own, readable or not.
 */
bool
inval_carriers_exist(Relation relation)
{
	Oid			function = inval_catalog(false)->carrier_function;
	int			i;

	if (relation->rd_rel->relkind == RELKIND_MATVIEW)
		return inval_carriers_readable(relation) != NIL;
	for (i = 0; relation->trigdesc != NULL && i < relation->trigdesc->numtriggers; i++)
		if (relation->trigdesc->triggers[i].tgfoid == function)
			return true;
	return false;
}

/*
 * The definitions (InvalDefinition *) of a relation's own rules, by their
 * numbers.  Allocated in the current memory context.  An error if this version
 * cannot read one of them: its changes would go unnoticed.
 */
List *
inval_carriers_of(Relation relation)
{
	return carriers_list(relation, INVAL_CARRIER_ERROR);
}

/*
 * The same without those that cannot be read, for who must not be kept from
 * dropping something.
 */
List *
inval_carriers_readable(Relation relation)
{
	return carriers_list(relation, INVAL_CARRIER_SILENT);
}

/*
 * The same with a WARNING instead, for who must not be kept from writing.
 */
List *
inval_carriers_usable(Relation relation)
{
	return carriers_list(relation, INVAL_CARRIER_WARN);
}

static List *
carriers_list(Relation relation, InvalCarrierUnread unread)
{
	Oid			function = inval_catalog(false)->carrier_function;
	List	   *list = NIL;
	int			i;

	if (relation->rd_rel->relkind == RELKIND_MATVIEW)
		list = inval_carrier_servers(NIL, RelationGetRelid(relation), &unread);
	for (i = 0; relation->trigdesc != NULL && i < relation->trigdesc->numtriggers; i++)
	{
		Trigger    *trigger = &relation->trigdesc->triggers[i];

		if (trigger->tgfoid == function)
			list = carrier_from_trigger(list, RelationGetRelid(relation), trigger->tgoid,
										trigger->tgnargs, trigger->tgargs, &unread);
	}
	list_sort(list, inval_definition_compare);
	return list;
}

/*
 * The definitions of all rules of the database, by their numbers.  Allocated
 * in the current memory context.  Those that this version cannot read are left
 * out, with a warning about the first one: views come here, and must show the others.
 */
List *
inval_carriers_all(void)
{
	Relation	depend = table_open(DependRelationId, AccessShareLock);
	Relation	triggers = table_open(TriggerRelationId, AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	List	   *list = NIL;
	InvalCarrierUnread unread = INVAL_CARRIER_WARN;

	/* All triggers that use the function depend on it. */
	ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(ProcedureRelationId));
	ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(inval_catalog(false)->carrier_function));
	scan = systable_beginscan(depend, DependReferenceIndexId, true, NULL, 2, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend form = (Form_pg_depend) GETSTRUCT(tuple);
		ScanKeyData key;
		SysScanDesc trigger_scan;
		HeapTuple	trigger;

		if (form->classid != TriggerRelationId)
			continue;
		ScanKeyInit(&key, Anum_pg_trigger_oid, BTEqualStrategyNumber, F_OIDEQ,
					ObjectIdGetDatum(form->objid));
		trigger_scan = systable_beginscan(triggers, TriggerOidIndexId, true, NULL, 1, &key);
		trigger = systable_getnext(trigger_scan);
		if (HeapTupleIsValid(trigger))
			list = carrier_from_tuple(list, trigger, RelationGetDescr(triggers), &unread);
		systable_endscan(trigger_scan);
	}
	systable_endscan(scan);
	table_close(triggers, AccessShareLock);
	table_close(depend, AccessShareLock);

	list = inval_carrier_servers(list, InvalidOid, &unread);
	list_sort(list, inval_definition_compare);
	return list;
}

/*
 * The rule with a number, or NULL.
 */
InvalDefinition *
inval_carrier_find(int32 id)
{
	ListCell   *lc;

	foreach(lc, inval_carriers_all())
	{
		if (inval_definition_id(lfirst(lc)) == id)
			return lfirst(lc);
	}
	return NULL;
}

/*
 * The rule that a trigger or a foreign server carries; NULL if it carries none, or
 * none that can be read.
 */
InvalDefinition *
inval_carrier_read(Oid class, Oid carrier)
{
	InvalCarrierUnread unread = INVAL_CARRIER_SILENT;
	ListCell   *lc;

	if (class == TriggerRelationId)
		return carrier_read_trigger(carrier, INVAL_CARRIER_SILENT);
	if (class != ForeignServerRelationId)
		return NULL;
	foreach(lc, inval_carrier_servers(NIL, InvalidOid, &unread))
	{
		InvalDefinition *definition = lfirst(lc);

		if (definition->carrier == carrier)
			return definition;
	}
	return NULL;
}

static InvalDefinition *
carrier_read_trigger(Oid trigger, InvalCarrierUnread unread)
{
	Relation	triggers = table_open(TriggerRelationId, AccessShareLock);
	List	   *list = NIL;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_trigger_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(trigger));
	scan = systable_beginscan(triggers, TriggerOidIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple) &&
		((Form_pg_trigger) GETSTRUCT(tuple))->tgfoid == inval_catalog(false)->carrier_function)
		list = carrier_from_tuple(NIL, tuple, RelationGetDescr(triggers), &unread);
	systable_endscan(scan);
	table_close(triggers, AccessShareLock);
	return list == NIL ? NULL : linitial(list);
}

/*
 * A trigger was created, by a dump that is restored perhaps: if it carries a
 * rule whose number another rule has by now, gives it a new one.  The trigger
 * keeps its name, which the dump will mention again.  An error if the rule
 * cannot be read.
 */
void
inval_carrier_renumber(Oid trigger)
{
	InvalDefinition *definition = carrier_read_trigger(trigger, INVAL_CARRIER_ERROR);

	if (definition == NULL || !carrier_id_is_taken(inval_definition_id(definition), trigger))
		return;
	definition->options[RULE_ID] = NULL;
	(void) inval_carrier_put(definition);
}

/*
 * Writes a rule down: a new one, which gets a number; or, if it has one
 * already, in place of what was written.  Returns the number.  Holds a
 * ShareRowExclusiveLock on the relation from then on (none for a materialized
 * view).
 */
int32
inval_carrier_put(InvalDefinition *definition)
{
	if (definition->options[RULE_ID] == NULL)
	{
		definition->options[RULE_ID] = psprintf("%d", carrier_new_id(definition->relation));
		/* Who paused another of that number while it was dropped may have left that. */
		inval_pauses_rule_gone((uint32) inval_definition_id(definition));
	}
	else if (strcmp(inval_definition_get(definition, RULE_DELIVERY), "strict") == 0)
	{
		/* Who is just pausing it comes before us, or finds that it is strict. */
		if (OidIsValid(definition->carrier))
			LockDatabaseObject(get_rel_relkind(definition->relation) == RELKIND_MATVIEW ?
							   ForeignServerRelationId : TriggerRelationId,
							   definition->carrier, 0, AccessExclusiveLock);
		inval_pauses_rule_gone((uint32) inval_definition_id(definition));
	}
	if (get_rel_relkind(definition->relation) == RELKIND_MATVIEW)
		inval_carrier_put_server(definition);
	else
		carrier_put_trigger(definition);
	return inval_definition_id(definition);
}

/*
 * Writes other texts into the carrier of a rule, which keeps its ties.  Takes no
 * lock on the relation, whose writers have to do with somebody else's rename by
 * the rule alone.
 */
void
inval_carrier_rewrite(InvalDefinition *definition)
{
	Relation	triggers;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	if (get_rel_relkind(definition->relation) == RELKIND_MATVIEW)
	{
		inval_carrier_put_server(definition);
		return;
	}
	triggers = table_open(TriggerRelationId, RowExclusiveLock);
	ScanKeyInit(&key, Anum_pg_trigger_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(definition->carrier));
	scan = systable_beginscan(triggers, TriggerOidIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	/* Somebody may have dropped it meanwhile. */
	if (HeapTupleIsValid(tuple))
		carrier_update(triggers, tuple, definition);
	systable_endscan(scan);
	table_close(triggers, RowExclusiveLock);
	CacheInvalidateRelcacheByRelid(definition->relation);
	CommandCounterIncrement();
}

static void
carrier_update(Relation triggers, HeapTuple tuple, const InvalDefinition *definition)
{
	Datum		values[Natts_pg_trigger] = {0};
	bool		nulls[Natts_pg_trigger] = {0};
	bool		replaces[Natts_pg_trigger] = {0};
	StringInfoData arguments;
	int16		nargs = 0;
	int			i;

	/* Each is ended by a zero, as CREATE TRIGGER writes them. */
	initStringInfo(&arguments);
	for (i = 0; i < RULE_OPTIONS; i++)
	{
		if (definition->options[i] == NULL)
			continue;
		appendBinaryStringInfo(&arguments, inval_definition_name(i),
							   (int) strlen(inval_definition_name(i)) + 1);
		appendBinaryStringInfo(&arguments, definition->options[i],
							   (int) strlen(definition->options[i]) + 1);
		nargs += 2;
	}
	values[Anum_pg_trigger_tgnargs - 1] = Int16GetDatum(nargs);
	values[Anum_pg_trigger_tgargs - 1] =
		PointerGetDatum(cstring_to_text_with_len(arguments.data, arguments.len));
	replaces[Anum_pg_trigger_tgnargs - 1] = replaces[Anum_pg_trigger_tgargs - 1] = true;
	tuple = heap_modify_tuple(tuple, RelationGetDescr(triggers), values, nulls, replaces);
	CatalogTupleUpdate(triggers, &tuple->t_self, tuple);
}

/*
 * Drops a rule.  Holds an AccessExclusiveLock on the table from then on, as
 * DROP TRIGGER does.
 */
void
inval_carrier_drop(const InvalDefinition *definition)
{
	if (get_rel_relkind(definition->relation) == RELKIND_MATVIEW)
		inval_store_remove(INVAL_STORE_RULE, definition->options[RULE_ID]);
	else
		inval_trigger_drop(definition->relation, definition->carrier);
	/* Not before: who is just pausing it has been waited for now. */
	inval_pauses_rule_gone((uint32) inval_definition_id(definition));
}

static List *
carrier_from_trigger(List *list, Oid relation, Oid trigger, int nargs, char **args,
					 InvalCarrierUnread *unread)
{
	InvalDefinition *definition = palloc0(sizeof(InvalDefinition));
	const char *unknown = NULL;
	int			i;

	definition->relation = relation;
	definition->carrier = trigger;
	for (i = 0; i + 1 < nargs; i += 2)
		if (!inval_definition_set(definition, args[i], pstrdup(args[i + 1])))
			unknown = args[i];
	return inval_carrier_check(definition, unknown, unread) ? lappend(list, definition) : list;
}

static List *
carrier_from_tuple(List *list, HeapTuple tuple, TupleDesc desc, InvalCarrierUnread *unread)
{
	Form_pg_trigger form = (Form_pg_trigger) GETSTRUCT(tuple);
	bool		isnull;
	Datum		value;
	char	  **args;
	char	   *place;
	int			i;

	/* The arguments, each ended by a zero: see RelationBuildTriggers. */
	value = heap_getattr(tuple, Anum_pg_trigger_tgargs, desc, &isnull);
	if (isnull)
		elog(ERROR, "tgargs is null in trigger %u", form->oid);
	place = VARDATA_ANY(DatumGetByteaPP(value));
	args = palloc(form->tgnargs * sizeof(char *));
	for (i = 0; i < form->tgnargs; i++)
	{
		args[i] = pstrdup(place);
		place += strlen(place) + 1;
	}
	return carrier_from_trigger(list, form->tgrelid, form->oid, form->tgnargs, args, unread);
}

/*
 * A number that no rule has.  The sequence lies behind the rules after a dump
 * was restored.
 */
static int32
carrier_new_id(Oid relation)
{
	Oid			sequence = get_relname_relid("inval_rule_id_seq", inval_catalog(false)->schema);
	int32		id;

	do
	{
		id = (int32) nextval_internal(sequence, false);
	} while (carrier_id_is_taken(id, InvalidOid) ||
			 OidIsValid(get_trigger_oid(relation, psprintf(INVAL_CARRIER_PREFIX "%d", id), true)));
	return id;
}

/*
 * Whether a rule has a number, one that is carried by something else than
 * "but".  A dump that is restored asks for each of its rules.  So this reads
 * pg_trigger once, in the order of its pages, and of the arguments only how
 * they begin: carrier_put_trigger writes the number first.
 */
static bool
carrier_id_is_taken(int32 id, Oid but)
{
	Relation	triggers = table_open(TriggerRelationId, AccessShareLock);
	InvalCarrierUnread unread = INVAL_CARRIER_SILENT;
	char		begin[32];
	int			length = snprintf(begin, sizeof(begin), "%s%c%d", inval_definition_name(RULE_ID),
								  '\0', id) + 1;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		found = false;
	ListCell   *lc;

	ScanKeyInit(&key, Anum_pg_trigger_tgfoid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(inval_catalog(false)->carrier_function));
	scan = systable_beginscan(triggers, InvalidOid, false, NULL, 1, &key);
	while (!found && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;
		Datum		value = heap_getattr(tuple, Anum_pg_trigger_tgargs,
										 RelationGetDescr(triggers), &isnull);

		if (!isnull && ((Form_pg_trigger) GETSTRUCT(tuple))->oid != but)
		{
			bytea	   *args = DatumGetByteaPSlice(value, 0, length);

			found = (int) VARSIZE_ANY_EXHDR(args) == length &&
				memcmp(VARDATA_ANY(args), begin, length) == 0;
			pfree(args);
		}
	}
	systable_endscan(scan);
	table_close(triggers, AccessShareLock);

	foreach(lc, inval_carrier_servers(NIL, InvalidOid, &unread))
	{
		const InvalDefinition *server = lfirst(lc);

		found = found || (server->carrier != but && inval_definition_id(server) == id);
	}
	return found;
}

static void
carrier_put_trigger(InvalDefinition *definition)
{
	Oid			relid = definition->relation;
	int16		type = TRIGGER_TYPE_STATEMENT | TRIGGER_TYPE_BEFORE |
		(get_rel_relkind(relid) == RELKIND_FOREIGN_TABLE ?
		 TRIGGER_TYPE_DELETE : TRIGGER_TYPE_TRUNCATE);
	List	   *arguments = NIL;
	int			i;

	for (i = 0; i < RULE_OPTIONS; i++)
		if (definition->options[i] != NULL)
		{
			arguments = lappend(arguments, (char *) inval_definition_name(i));
			arguments = lappend(arguments, definition->options[i]);
		}
	if (OidIsValid(definition->carrier))
	{
		LockRelationOid(relid, ShareRowExclusiveLock);
		inval_trigger_set_arguments(definition->carrier, arguments);
	}
	else
		definition->carrier =
			inval_trigger_create(relid,
								 psprintf(INVAL_CARRIER_PREFIX "%s",
										  definition->options[RULE_ID]),
								 type, inval_catalog(false)->carrier_function, arguments,
								 TRIGGER_FIRES_ON_ORIGIN);
}
