/*
 * catalog.c
 *		Where the extension's own relations are, and queries on them.
 *
 * Found once per session through pg_extension, kept until one of them changes
 * (DROP EXTENSION among other things), which the relation cache tells us.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_class.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_trigger.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "base/catalog.h"

static InvalCatalog catalog;
static bool catalog_valid = false;
static uint64 changes = 0;		/* of any relation, as far as we were told */

static bool catalog_find_extension(void);
static Oid	catalog_relation(const char *name);
static Oid	catalog_function(const char *name);
static List *catalog_dependencies(Oid index, AttrNumber class_column, Oid class,
								  AttrNumber object_column, Oid object);
static void catalog_relcache_callback(Datum arg, Oid relid);

/*
 * The OIDs of our relations.  Without the extension: NULL if missing_ok, else
 * an error.  Needs a transaction.  The result is valid until the next
 * invalidation is accepted, so copy what must last.
 */
const InvalCatalog *
inval_catalog(bool missing_ok)
{
	static bool registered = false;
	uint64		before;

	if (likely(catalog_valid))
		return &catalog;

	if (!registered)
	{
		CacheRegisterRelcacheCallback(catalog_relcache_callback, (Datum) 0);
		registered = true;
	}

	/*
	 * Something may change while we look; then what we found serves this
	 * caller, and the next one looks again.
	 */
	before = changes;
	if (catalog_find_extension())
		catalog_valid = (changes == before);
	else
	{
		if (missing_ok)
			return NULL;
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("extension \"inval\" does not exist in this database"),
				 errhint("Run CREATE EXTENSION inval.")));
	}
	return &catalog;
}

/*
 * The qualified name of one of the extension's own objects, in the current
 * memory context.
 */
char *
inval_catalog_name(const char *name)
{
	return quote_qualified_identifier(get_namespace_name(inval_catalog(false)->schema),
									  name);
}

/*
 * Runs a query over SPI, which the caller has connected, with the rights of
 * the extension's owner: callers of our functions need none on our relations;
 * and with a search path that no user can put anything into.  Returns the
 * number of rows.
 */
int64
inval_catalog_execute(const char *command, int nargs, Oid *types, Datum *values,
					  const char *nulls)
{
	return inval_catalog_execute_as(inval_catalog(false)->owner, command, nargs, types,
									values, nulls);
}

/*
 * The same with the rights of a role.
 */
int64
inval_catalog_execute_as(Oid role, const char *command, int nargs, Oid *types,
						 Datum *values, const char *nulls)
{
	Oid			user;
	int			security;
	int			nest_level = NewGUCNestLevel();
	int			result;

	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	GetUserIdAndSecContext(&user, &security);
	SetUserIdAndSecContext(role, security | SECURITY_LOCAL_USERID_CHANGE);
	result = SPI_execute_with_args(command, nargs, types, values, nulls, false, 0);
	SetUserIdAndSecContext(user, security);
	AtEOXact_GUC(false, nest_level);
	if (result < 0)
		elog(ERROR, "SPI_execute_with_args failed: %s", command);
	return (int64) SPI_processed;
}

/*
 * Whether a relation is one of those that we write to: the outbox's tables and
 * the record of purges.
 */
bool
inval_catalog_is_outbox(Oid relid)
{
	const InvalCatalog *found = inval_catalog(true);
	int			i;

	for (i = 0; found != NULL && i < INVAL_OUTBOX_TABLES; i++)
		if (found->outbox[i] == relid)
			return true;
	return found != NULL && found->purge_record == relid;
}

/*
 * A relation's qualified and quoted name, in the current memory context.
 */
char *
inval_catalog_relation_name(Oid relid)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
									  get_rel_name(relid));
}

/*
 * The relation that a trigger is on, or that a rewrite rule or a policy
 * belongs to; invalid if the object is gone.
 */
Oid
inval_catalog_relation_of(Oid class, Oid object)
{
	Oid			index = class == TriggerRelationId ? TriggerOidIndexId :
		class == RewriteRelationId ? RewriteOidIndexId : PolicyOidIndexId;
	Relation	table = table_open(class, AccessShareLock);
	Oid			relation = InvalidOid;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	StaticAssertStmt(Anum_pg_trigger_oid == 1 && Anum_pg_rewrite_oid == 1 &&
					 Anum_pg_policy_oid == 1, "OIDs come first");
	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(object));
	scan = systable_beginscan(table, index, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		relation = class == TriggerRelationId ? ((Form_pg_trigger) GETSTRUCT(tuple))->tgrelid :
			class == RewriteRelationId ? ((Form_pg_rewrite) GETSTRUCT(tuple))->ev_class :
			((Form_pg_policy) GETSTRUCT(tuple))->polrelid;
	systable_endscan(scan);
	table_close(table, AccessShareLock);
	return relation;
}

/*
 * What an object depends on (FormData_pg_depend *), in the current memory context.
 */
List *
inval_catalog_depends(Oid class, Oid object)
{
	return catalog_dependencies(DependDependerIndexId, Anum_pg_depend_classid, class,
								Anum_pg_depend_objid, object);
}

/*
 * The same of what depends on an object, or on a part of it.
 */
List *
inval_catalog_dependents(Oid class, Oid object)
{
	return catalog_dependencies(DependReferenceIndexId, Anum_pg_depend_refclassid, class,
								Anum_pg_depend_refobjid, object);
}

static List *
catalog_dependencies(Oid index, AttrNumber class_column, Oid class,
					 AttrNumber object_column, Oid object)
{
	Relation	depend = table_open(DependRelationId, AccessShareLock);
	List	   *found = NIL;
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&keys[0], class_column, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(class));
	ScanKeyInit(&keys[1], object_column, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(object));
	scan = systable_beginscan(depend, index, true, NULL, 2, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend form = palloc(sizeof(FormData_pg_depend));

		*form = *(Form_pg_depend) GETSTRUCT(tuple);
		found = lappend(found, form);
	}
	systable_endscan(scan);
	table_close(depend, AccessShareLock);
	return found;
}

/*
 * The relation that an object depends on in a certain way, or invalid.
 */
Oid
inval_catalog_depends_on(Oid class, Oid object, char deptype)
{
	Oid			relation = InvalidOid;
	ListCell   *lc;

	foreach(lc, inval_catalog_depends(class, object))
	{
		Form_pg_depend form = lfirst(lc);

		if (form->refclassid == RelationRelationId && form->deptype == deptype)
			relation = form->refobjid;
	}
	return relation;
}

/*
 * Locks the extension until the end of the transaction, as ALTER TRIGGER ...
 * DEPENDS ON EXTENSION does.
 */
void
inval_catalog_lock_extension(void)
{
	LockDatabaseObject(ExtensionRelationId, inval_catalog(false)->extension, 0,
					   AccessExclusiveLock);
}

/*
 * Makes an object go with the extension, and lets a dump say so.  Newer minor
 * versions of the server hold an AccessShareLock on the extension from then on.
 */
void
inval_catalog_depend_on_extension(Oid class, Oid object)
{
	ObjectAddress depender;
	ObjectAddress extension;

	ObjectAddressSet(depender, class, object);
	ObjectAddressSet(extension, ExtensionRelationId, inval_catalog(false)->extension);
	deleteDependencyRecordsForClass(class, object, ExtensionRelationId,
									DEPENDENCY_AUTO_EXTENSION);
	recordDependencyOn(&depender, &extension, DEPENDENCY_AUTO_EXTENSION);
}

/*
 * The number that a column of "tracked" has in "relation", which is the same or
 * belongs to it.
 */
AttrNumber
inval_catalog_column(AttrNumber attnum, Relation tracked, Relation relation)
{
	char	   *name;

	if (RelationGetRelid(tracked) == RelationGetRelid(relation))
		return attnum;
	name = get_attname(RelationGetRelid(tracked), attnum, false);
	attnum = get_attnum(RelationGetRelid(relation), name);
	if (attnum == InvalidAttrNumber)
		elog(ERROR, "relation \"%s\" lacks column \"%s\"",
			 RelationGetRelationName(relation), name);
	return attnum;
}

/*
 * The error for who wants to refresh one of the outbox's materialized views.
 */
void
inval_catalog_refuse_refresh(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("the outbox of inval cannot be refreshed"),
			 errdetail("It holds queued invalidations and the record of purges, which would be lost."),
			 errhint("Leave out the relations inval_outbox_0 to inval_outbox_%d, and inval_purge_record.",
					 INVAL_OUTBOX_TABLES - 1)));
}

static bool
catalog_find_extension(void)
{
	Relation	rel = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		found = false;
	int			i;

	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber,
				F_NAMEEQ, CStringGetDatum("inval"));
	scan = systable_beginscan(rel, ExtensionNameIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		Form_pg_extension form = (Form_pg_extension) GETSTRUCT(tuple);

		catalog.extension = form->oid;
		catalog.schema = form->extnamespace;
		catalog.owner = form->extowner;
		found = true;
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	if (!found)
		return false;

	catalog.carrier_function = catalog_function("inval_rule_carrier");
	catalog.row_function = catalog_function("inval_capture_row");
	catalog.truncate_function = catalog_function("inval_capture_truncate");
	for (i = 0; i < INVAL_OUTBOX_TABLES; i++)
	{
		char		name[NAMEDATALEN];

		snprintf(name, sizeof(name), "inval_outbox_%d", i);
		catalog.outbox[i] = catalog_relation(name);
		if (!OidIsValid(catalog.outbox[i]))
			return false;		/* CREATE EXTENSION has not come that far */
	}
	catalog.purge_record = catalog_relation("inval_purge_record");
	return OidIsValid(catalog.purge_record) && OidIsValid(catalog.carrier_function) &&
		OidIsValid(catalog.row_function) && OidIsValid(catalog.truncate_function);
}

static Oid
catalog_relation(const char *name)
{
	return get_relname_relid(name, catalog.schema);
}

/*
 * One of our functions.  Not as a command would look it up: whoever changes a
 * row, or runs DDL, need not have USAGE on the extension's schema.
 */
static Oid
catalog_function(const char *name)
{
	return GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid, CStringGetDatum(name),
						   PointerGetDatum(buildoidvector(NULL, 0)),
						   ObjectIdGetDatum(catalog.schema));
}

static void
catalog_relcache_callback(Datum arg, Oid relid)
{
	int			i;

	(void) arg;
	changes++;
	if (!catalog_valid)
		return;
	if (relid == InvalidOid || relid == catalog.purge_record)
		catalog_valid = false;
	for (i = 0; i < INVAL_OUTBOX_TABLES; i++)
		if (relid == catalog.outbox[i])
			catalog_valid = false;
}
