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
 * (store.c), tied to it by pg_depend.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_trigger.h"
#include "commands/defrem.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "foreign/foreign.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/rel.h"

#include "carrier.h"
#include "catalog.h"
#include "store.h"

static bool dropping = false;	/* our own DROP TRIGGER is running */

/* What becomes of a carrier that this version cannot read */
typedef enum CarrierUnread
{
	CARRIER_ERROR,
	CARRIER_WARN,				/* it is left out; from then on silently */
	CARRIER_SILENT
} CarrierUnread;

static List *carriers_list(Relation relation, CarrierUnread unread);
static List *carrier_from_trigger(List *list, Oid relation, Oid trigger, int nargs,
								  char **args, CarrierUnread *unread);
static List *carrier_from_tuple(List *list, HeapTuple tuple, TupleDesc desc,
								CarrierUnread *unread);
static List *carriers_in_store(List *list, Oid relation, CarrierUnread *unread);
static bool carrier_check(const InvalDefinition *definition, const char *unknown,
						  CarrierUnread *unread);
static bool carrier_is_number(const char *text);
static char *carrier_name(Oid carrier);
static InvalDefinition *carrier_read_trigger(Oid trigger, CarrierUnread unread);
static Oid	carrier_stored_relation(const InvalStored *stored);
static Oid	carrier_tied_relation(Oid server);
static int	carrier_compare(const ListCell *a, const ListCell *b);
static int32 carrier_new_id(Oid relation);
static char *carrier_trigger_name(const InvalDefinition *definition);
static void carrier_put_trigger(InvalDefinition *definition);
static void carrier_put_server(InvalDefinition *definition);
static void carrier_tie_server(Oid server, Oid relation);

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
	return carriers_list(relation, CARRIER_ERROR);
}

/*
 * The same without those that cannot be read, for who must not be kept from
 * dropping something.
 */
List *
inval_carriers_readable(Relation relation)
{
	return carriers_list(relation, CARRIER_SILENT);
}

static List *
carriers_list(Relation relation, CarrierUnread unread)
{
	Oid			function = inval_catalog(false)->carrier_function;
	List	   *list = NIL;
	int			i;

	if (relation->rd_rel->relkind == RELKIND_MATVIEW)
		list = carriers_in_store(NIL, RelationGetRelid(relation), &unread);
	for (i = 0; relation->trigdesc != NULL && i < relation->trigdesc->numtriggers; i++)
	{
		Trigger    *trigger = &relation->trigdesc->triggers[i];

		if (trigger->tgfoid == function)
			list = carrier_from_trigger(list, RelationGetRelid(relation), trigger->tgoid,
										trigger->tgnargs, trigger->tgargs, &unread);
	}
	list_sort(list, carrier_compare);
	return list;
}

/*
 * The definitions of all rules of the database, by their numbers.  Allocated
 * in the current memory context.  Those that this version cannot read are left
 * out, with a warning about the first one: all DDL comes here, and must go on.
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
	CarrierUnread unread = CARRIER_WARN;

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

	list = carriers_in_store(list, InvalidOid, &unread);
	list_sort(list, carrier_compare);
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
 * The rule that a trigger carries; NULL if it carries none, or none that can be
 * read.
 */
InvalDefinition *
inval_carrier_of_trigger(Oid trigger)
{
	return carrier_read_trigger(trigger, CARRIER_SILENT);
}

static InvalDefinition *
carrier_read_trigger(Oid trigger, CarrierUnread unread)
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
 * cannot be read.  Needs a connection to SPI.
 */
void
inval_carrier_renumber(Oid trigger)
{
	InvalDefinition *definition = carrier_read_trigger(trigger, CARRIER_ERROR);
	ListCell   *lc;

	if (definition == NULL)
		return;
	foreach(lc, inval_carriers_all())
	{
		const InvalDefinition *other = lfirst(lc);

		if (other->carrier == trigger ||
			inval_definition_id(other) != inval_definition_id(definition))
			continue;
		definition->options[RULE_ID] = NULL;
		(void) inval_carrier_put(definition);
		return;
	}
}

/*
 * A foreign server was created, by a dump that is restored perhaps: ties it to
 * the materialized view that it names.
 */
void
inval_carrier_restored(Oid server)
{
	ListCell   *lc;

	foreach(lc, inval_store_list(INVAL_STORE_RULE, CurrentMemoryContext))
	{
		InvalStored *stored = lfirst(lc);
		Oid			relation;

		if (stored->oid != server)
			continue;
		relation = carrier_stored_relation(stored);
		if (OidIsValid(relation))
			carrier_tie_server(server, relation);
	}
}

/*
 * Ties all rules of materialized views that are not: pg_upgrade restores no
 * such dependency, and runs no event trigger that would.  To be called before
 * a command that renames views, or drops them.
 */
void
inval_carrier_adopt(void)
{
	ListCell   *lc;

	foreach(lc, inval_store_list(INVAL_STORE_RULE, CurrentMemoryContext))
	{
		InvalStored *stored = lfirst(lc);

		if (OidIsValid(carrier_tied_relation(stored->oid)))
			continue;
		inval_carrier_restored(stored->oid);
		CommandCounterIncrement();
	}
}

/*
 * Writes a rule down: a new one, which gets a number; or, if it has one
 * already, in place of what was written.  Returns the number.  Needs a
 * connection to SPI.  Holds a ShareRowExclusiveLock on the relation from then
 * on (none for a materialized view).
 */
int32
inval_carrier_put(InvalDefinition *definition)
{
	if (definition->options[RULE_ID] == NULL)
		definition->options[RULE_ID] = psprintf("%d", carrier_new_id(definition->relation));
	if (get_rel_relkind(definition->relation) == RELKIND_MATVIEW)
		carrier_put_server(definition);
	else
		carrier_put_trigger(definition);
	return inval_definition_id(definition);
}

/*
 * Drops a rule.  Needs a connection to SPI.  Holds an AccessExclusiveLock on
 * the table from then on, as DROP TRIGGER does.
 */
void
inval_carrier_drop(const InvalDefinition *definition)
{
	if (get_rel_relkind(definition->relation) == RELKIND_MATVIEW)
	{
		inval_store_remove(INVAL_STORE_RULE, definition->options[RULE_ID]);
		return;
	}
	dropping = true;
	PG_TRY();
	{
		inval_catalog_run(psprintf("DROP TRIGGER %s ON %s",
								   quote_identifier(carrier_trigger_name(definition)),
								   inval_catalog_relation_name(definition->relation)));
	}
	PG_FINALLY();
	{
		dropping = false;
	}
	PG_END_TRY();
}

/*
 * Whether what is written of a rule still names its relation: a server names
 * the materialized view, which a trigger need not.
 */
bool
inval_carrier_is_current(const InvalDefinition *definition)
{
	const InvalStored *stored;
	const char *name;

	if (get_rel_relkind(definition->relation) != RELKIND_MATVIEW)
		return true;
	stored = inval_store_get(INVAL_STORE_RULE, definition->options[RULE_ID], true);
	name = stored ? inval_store_option(stored, inval_definition_name(RULE_RELATION)) : NULL;
	return name != NULL &&
		strcmp(name, inval_catalog_relation_name(definition->relation)) == 0;
}

/*
 * Whether a carrier that is being dropped just now is dropped by us: because
 * the rule is no longer wanted, not because its table goes.
 */
bool
inval_carrier_is_dropping(void)
{
	return dropping;
}

static List *
carrier_from_trigger(List *list, Oid relation, Oid trigger, int nargs, char **args,
					 CarrierUnread *unread)
{
	InvalDefinition *definition = palloc0(sizeof(InvalDefinition));
	const char *unknown = NULL;
	int			i;

	definition->relation = relation;
	definition->carrier = trigger;
	for (i = 0; i + 1 < nargs; i += 2)
		if (!inval_definition_set(definition, args[i], pstrdup(args[i + 1])))
			unknown = args[i];
	return carrier_check(definition, unknown, unread) ? lappend(list, definition) : list;
}

/*
 * Whether a definition is one of a rule.  If it is not: an error, a warning, or
 * nothing.
 */
static bool
carrier_check(const InvalDefinition *definition, const char *unknown, CarrierUnread *unread)
{
	const char *id = definition->options[RULE_ID];
	int			level = *unread == CARRIER_ERROR ? ERROR : WARNING;

	if (unknown == NULL && id != NULL && definition->options[RULE_KEY] != NULL &&
		carrier_is_number(id))
		return true;
	if (*unread == CARRIER_SILENT)
		return false;
	if (level == WARNING)
	{
		*unread = CARRIER_SILENT;
		ereport(WARNING,
				(errmsg("the rule in \"%s\" on \"%s\" is left out",
						carrier_name(definition->carrier), get_rel_name(definition->relation)),
				 unknown ?
				 errdetail("Its option \"%s\" is not supported by this version of inval.",
						   unknown) :
				 errdetail("It has no id or no key."),
				 errhint("Update the extension, or drop it.")));
	}
	else if (unknown != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("option \"%s\" of a rule of \"%s\" is not supported by this version of inval",
						unknown, get_rel_name(definition->relation))));
	else
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("a rule of \"%s\" has no id or no key",
						get_rel_name(definition->relation)),
				 errhint("Drop the trigger \"%s...\" that was not made by inval_track.",
						 INVAL_CARRIER_PREFIX)));
	return false;
}

/*
 * Whether a text is the number of a rule.
 */
static bool
carrier_is_number(const char *text)
{
	char	   *end;
	long		number;

	errno = 0;
	number = strtol(text, &end, 10);
	return errno == 0 && end != text && *end == '\0' && number > 0 && number <= PG_INT32_MAX;
}

static List *
carrier_from_tuple(List *list, HeapTuple tuple, TupleDesc desc, CarrierUnread *unread)
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
 * Appends the rules of a materialized view (InvalidOid: of all of them).
 */
static List *
carriers_in_store(List *list, Oid relation, CarrierUnread *unread)
{
	ListCell   *lc;

	foreach(lc, inval_store_list(INVAL_STORE_RULE, CurrentMemoryContext))
	{
		InvalStored *stored = lfirst(lc);
		Oid			of = carrier_stored_relation(stored);
		InvalDefinition *definition;
		const char *unknown = NULL;
		ListCell   *option;

		if (OidIsValid(relation) ? of != relation : !OidIsValid(of))
			continue;
		definition = palloc0(sizeof(InvalDefinition));
		definition->relation = of;
		definition->carrier = stored->oid;
		foreach(option, stored->options)
		{
			DefElem    *elem = lfirst(option);

			if (strcmp(elem->defname, inval_definition_name(RULE_RELATION)) != 0 &&
				!inval_definition_set(definition, elem->defname,
									  pstrdup(defGetString(elem))))
				unknown = elem->defname;
		}
		if (carrier_check(definition, unknown, unread))
			list = lappend(list, definition);
	}
	return list;
}

/*
 * The materialized view that a server is tied to; if it is not (its dump is
 * being restored), the one that it names.
 */
static Oid
carrier_stored_relation(const InvalStored *stored)
{
	Oid			relation = carrier_tied_relation(stored->oid);
	ListCell   *lc;

	if (OidIsValid(relation))
		return relation;

	foreach(lc, stored->options)
	{
		DefElem    *elem = lfirst(lc);
		List	   *names;

		if (strcmp(elem->defname, inval_definition_name(RULE_RELATION)) != 0)
			continue;
#if PG_VERSION_NUM >= 160000
		names = stringToQualifiedNameList(defGetString(elem), NULL);
#else
		names = stringToQualifiedNameList(defGetString(elem));
#endif
		relation = RangeVarGetRelid(makeRangeVarFromNameList(names), NoLock, true);
	}
	return relation;
}

static Oid
carrier_tied_relation(Oid server)
{
	Oid			relation = InvalidOid;
	Relation	depend = table_open(DependRelationId, AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&keys[0], Anum_pg_depend_classid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(ForeignServerRelationId));
	ScanKeyInit(&keys[1], Anum_pg_depend_objid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(server));
	scan = systable_beginscan(depend, DependDependerIndexId, true, NULL, 2, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		if (((Form_pg_depend) GETSTRUCT(tuple))->refclassid == RelationRelationId)
			relation = ((Form_pg_depend) GETSTRUCT(tuple))->refobjid;
	systable_endscan(scan);
	table_close(depend, AccessShareLock);
	return relation;
}

static int
carrier_compare(const ListCell *a, const ListCell *b)
{
	int32		first = inval_definition_id(lfirst(a));
	int32		second = inval_definition_id(lfirst(b));

	return first < second ? -1 : first > second;
}

/*
 * A number that no rule has.  The sequence may lie behind the rules, after a
 * dump of the schema alone was restored.
 */
static int32
carrier_new_id(Oid relation)
{
	for (;;)
	{
		bool		isnull;
		int32		id;

		inval_catalog_execute(psprintf("SELECT pg_catalog.nextval(%s)::pg_catalog.int4",
									   quote_literal_cstr(inval_catalog_name("inval_rule_id_seq"))),
							  0, NULL, NULL, NULL);
		id = DatumGetInt32(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc,
										 1, &isnull));
		if (inval_carrier_find(id) == NULL &&
			!OidIsValid(get_trigger_oid(relation, psprintf(INVAL_CARRIER_PREFIX "%d", id), true)))
			return id;
	}
}

/*
 * The name of the trigger that carries a rule, or will.
 */
static char *
carrier_trigger_name(const InvalDefinition *definition)
{
	char	   *name;

	if (!OidIsValid(definition->carrier))
		return psprintf(INVAL_CARRIER_PREFIX "%s", definition->options[RULE_ID]);
	name = carrier_name(definition->carrier);
	if (name == NULL)
		elog(ERROR, "cache lookup failed for trigger %u", definition->carrier);
	return name;
}

/*
 * The name of a trigger or server; NULL if there is none.
 */
static char *
carrier_name(Oid carrier)
{
	Relation	triggers = table_open(TriggerRelationId, AccessShareLock);
	ForeignServer *server;
	char	   *name = NULL;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_trigger_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(carrier));
	scan = systable_beginscan(triggers, TriggerOidIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		name = pstrdup(NameStr(((Form_pg_trigger) GETSTRUCT(tuple))->tgname));
	systable_endscan(scan);
	table_close(triggers, AccessShareLock);
	if (name != NULL)
		return name;
	server = GetForeignServerExtended(carrier, FSV_MISSING_OK);
	return server ? server->servername : NULL;
}

static void
carrier_put_trigger(InvalDefinition *definition)
{
	Oid			relid = definition->relation;
	char	   *name = carrier_trigger_name(definition);
	StringInfoData arguments;
	int			i;

	initStringInfo(&arguments);
	for (i = 0; i < RULE_OPTIONS; i++)
		if (definition->options[i] != NULL)
			appendStringInfo(&arguments, "%s%s, %s", arguments.len > 0 ? ", " : "",
							 quote_literal_cstr(inval_definition_name(i)),
							 quote_literal_cstr(definition->options[i]));
	inval_catalog_run(psprintf("CREATE OR REPLACE TRIGGER %s BEFORE %s ON %s FOR EACH STATEMENT EXECUTE FUNCTION %s(%s)",
							   quote_identifier(name),
							   get_rel_relkind(relid) == RELKIND_FOREIGN_TABLE ?
							   "DELETE" : "TRUNCATE",
							   inval_catalog_relation_name(relid),
							   inval_catalog_name("inval_rule_carrier"), arguments.data));
	definition->carrier = get_trigger_oid(relid, name, false);
	inval_catalog_depend_on_extension(TriggerRelationId, definition->carrier);
}

static void
carrier_put_server(InvalDefinition *definition)
{
	List	   *options = NIL;
	int			i;

	for (i = 0; i < RULE_OPTIONS; i++)
		if (definition->options[i] != NULL)
			options = lappend(options,
							  makeDefElem(pstrdup(inval_definition_name(i)),
										  (Node *) makeString(definition->options[i]), -1));
	options = lappend(options,
					  makeDefElem(pstrdup(inval_definition_name(RULE_RELATION)),
								  (Node *) makeString(inval_catalog_relation_name(definition->relation)),
								  -1));
	definition->carrier = inval_store_put(INVAL_STORE_RULE, definition->options[RULE_ID], options);

	carrier_tie_server(definition->carrier, definition->relation);
}

/*
 * Lets a server go when the materialized view goes.
 */
static void
carrier_tie_server(Oid server, Oid relation)
{
	ObjectAddress depender;
	ObjectAddress view;

	ObjectAddressSet(depender, ForeignServerRelationId, server);
	ObjectAddressSet(view, RelationRelationId, relation);
	deleteDependencyRecordsForClass(ForeignServerRelationId, server,
									RelationRelationId, DEPENDENCY_AUTO);
	recordDependencyOn(&depender, &view, DEPENDENCY_AUTO);
}
