/*
 * store.c
 *		Settings that live in the database, as foreign servers of inval.
 *
 * A setting has to be transactional, to be in every dump (pg_dump
 * --schema-only and pg_upgrade included) and to be in no publication.  A row of
 * a table is not: FOR ALL TABLES publishes it, and --schema-only leaves it out.
 * The definition of an object is.  So an item of kind "variable" and name
 * "sha" is the server "inval_var_sha" TYPE 'variable' of the foreign data
 * wrapper inval, which has no handler, and its contents are the server's
 * OPTIONS.
 *
 * Items are written with the rights of the extension's owner, by the
 * server's own routines and not as commands: event triggers and statement logs
 * of others have nothing to do with them.
 *
 * Writers lock the wrapper until the end of their transaction, which lets them
 * read, decide and write, and keeps DROP EXTENSION away.  Readers lock nothing.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/reloptions.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_foreign_data_wrapper.h"
#include "catalog/pg_foreign_server.h"
#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/parsenodes.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "base/catalog.h"
#include "store/store.h"
#include "store/wrapper.h"

static uint64 generation = 0;	/* 0: nobody has asked for it yet */

static const char *store_prefix(const char *kind);
static Oid	store_create(const char *kind, char *server, List *options);
static void store_replace(char *server, List *old, List *options);
static int	store_compare(const ListCell *a, const ListCell *b);
static void store_syscache_callback(Datum arg, int cacheid, uint32 hashvalue);

/*
 * Locks the store against other writers, until the end of the transaction.
 * What is read afterwards stays true until then.  Returns the wrapper.
 */
Oid
inval_store_lock(void)
{
	Oid			wrapper;

	for (;;)
	{
		(void) inval_catalog(false);	/* the error if there is no extension */
		wrapper = get_foreign_data_wrapper_oid(INVAL_STORE_WRAPPER, false);
		LockDatabaseObject(ForeignDataWrapperRelationId, wrapper, 0,
						   ShareUpdateExclusiveLock);
		/* It may have been dropped, or made anew, while we waited. */
		if (get_foreign_data_wrapper_oid(INVAL_STORE_WRAPPER, true) == wrapper)
			return wrapper;
		UnlockDatabaseObject(ForeignDataWrapperRelationId, wrapper, 0,
							 ShareUpdateExclusiveLock);
	}
}

/*
 * Writes an item: makes it, or replaces all its options.  The change is visible
 * to the rest of the transaction.  Returns the server.
 */
Oid
inval_store_put(const char *kind, const char *name, List *options)
{
	char	   *server = inval_store_server_name(kind, name);
	InvalStored *old;
	Oid			result;
	Oid			user;
	int			security;

	(void) inval_store_lock();
	old = inval_store_get(kind, name, true);

	GetUserIdAndSecContext(&user, &security);
	SetUserIdAndSecContext(inval_catalog(false)->owner,
						   security | SECURITY_LOCAL_USERID_CHANGE);
	if (old == NULL)
		result = store_create(kind, server, options);
	else
	{
		store_replace(server, old->options, options);
		result = old->oid;
	}
	SetUserIdAndSecContext(user, security);
	CommandCounterIncrement();
	return result;
}

/*
 * Removes an item.  Returns whether there was one.
 */
bool
inval_store_remove(const char *kind, const char *name)
{
	InvalStored *stored;
	ObjectAddress server;

	(void) inval_store_lock();
	stored = inval_store_get(kind, name, true);
	if (stored == NULL)
		return false;
	ObjectAddressSet(server, ForeignServerRelationId, stored->oid);
	performDeletion(&server, DROP_RESTRICT, PERFORM_DELETION_INTERNAL);
	CommandCounterIncrement();
	return true;
}

/*
 * All items of a kind, by name: a list of InvalStored pointers in the given
 * context.  Empty if there is no extension.
 */
List *
inval_store_list(const char *kind, MemoryContext context)
{
	const char *prefix = store_prefix(kind);
	Oid			wrapper = get_foreign_data_wrapper_oid(INVAL_STORE_WRAPPER, true);
	List	   *result = NIL;
	Relation	rel;
	SysScanDesc scan;
	HeapTuple	tuple;

	if (!OidIsValid(wrapper))
		return NIL;
	rel = table_open(ForeignServerRelationId, AccessShareLock);
	scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_foreign_server form = (Form_pg_foreign_server) GETSTRUCT(tuple);
		MemoryContext old;
		InvalStored *stored;
		Datum		type;
		Datum		options;
		bool		no_type;
		bool		no_options;

		if (form->srvfdw != wrapper)
			continue;
		type = heap_getattr(tuple, Anum_pg_foreign_server_srvtype,
							RelationGetDescr(rel), &no_type);
		options = heap_getattr(tuple, Anum_pg_foreign_server_srvoptions,
							   RelationGetDescr(rel), &no_options);
		if (no_type || strcmp(TextDatumGetCString(type), kind) != 0 ||
			strncmp(NameStr(form->srvname), prefix, strlen(prefix)) != 0)
			continue;

		old = MemoryContextSwitchTo(context);
		stored = palloc(sizeof(InvalStored));
		stored->oid = form->oid;
		stored->kind = pstrdup(kind);
		stored->name = pstrdup(NameStr(form->srvname) + strlen(prefix));
		stored->options = no_options ? NIL : untransformRelOptions(options);
		result = lappend(result, stored);
		MemoryContextSwitchTo(old);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	list_sort(result, store_compare);
	return result;
}

/*
 * One item, in the current memory context; without it NULL if missing_ok, else
 * an error.
 */
InvalStored *
inval_store_get(const char *kind, const char *name, bool missing_ok)
{
	Oid			wrapper = get_foreign_data_wrapper_oid(INVAL_STORE_WRAPPER, true);
	ForeignServer *server = GetForeignServerByName(inval_store_server_name(kind, name),
												   true);
	InvalStored *stored;

	if (server == NULL || server->fdwid != wrapper || server->servertype == NULL ||
		strcmp(server->servertype, kind) != 0)
	{
		if (!missing_ok)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("%s \"%s\" does not exist", kind, name)));
		return NULL;
	}
	stored = palloc(sizeof(InvalStored));
	stored->oid = server->serverid;
	stored->kind = pstrdup(kind);
	stored->name = pstrdup(name);
	stored->options = server->options;
	return stored;
}

/*
 * The value of an option, NULL if it is not given.
 */
const char *
inval_store_option(const InvalStored *stored, const char *name)
{
	ListCell   *lc;

	foreach(lc, stored->options)
	{
		DefElem    *option = lfirst(lc);

		if (strcmp(option->defname, name) == 0)
			return defGetString(option);
	}
	return NULL;
}

/*
 * For building the list that inval_store_put takes.
 */
List *
inval_store_add_option(List *options, const char *name, const char *value)
{
	return lappend(options, makeDefElem(pstrdup(name),
										(Node *) makeString(pstrdup(value)), -1));
}

/*
 * The name of the server that an item is, or would be.
 */
char *
inval_store_server_name(const char *kind, const char *name)
{
	const char *prefix = store_prefix(kind);
	char	   *server = psprintf("%s%s", prefix, name);

	if (strlen(server) >= NAMEDATALEN)
		ereport(ERROR,
				(errcode(ERRCODE_NAME_TOO_LONG),
				 errmsg("name of %s \"%s\" is too long", kind, name),
				 errdetail("It has %zu bytes, and can have %zu.",
						   strlen(name), NAMEDATALEN - 1 - strlen(prefix))));
	return server;
}

/*
 * A number that grows whenever any item may have changed, as far as this
 * session was told.  Never 0.
 */
uint64
inval_store_generation(void)
{
	if (unlikely(generation == 0))
	{
		CacheRegisterSyscacheCallback(FOREIGNSERVEROID, store_syscache_callback,
									  (Datum) 0);
		CacheRegisterSyscacheCallback(FOREIGNDATAWRAPPEROID, store_syscache_callback,
									  (Datum) 0);
		CacheRegisterSyscacheCallback(USERMAPPINGOID, store_syscache_callback,
									  (Datum) 0);
		generation = 1;
	}
	return generation;
}

static const char *
store_prefix(const char *kind)
{
	const char *prefix = inval_store_prefix(kind);

	if (prefix == NULL)
		elog(ERROR, "unrecognized kind of setting: %s", kind);
	return prefix;
}

static Oid
store_create(const char *kind, char *server, List *options)
{
	CreateForeignServerStmt *statement = makeNode(CreateForeignServerStmt);
	ObjectAddress address;

	statement->servername = server;
	statement->servertype = pstrdup(kind);
	statement->fdwname = pstrdup(INVAL_STORE_WRAPPER);
	statement->options = options;
	address = CreateForeignServer(statement);
	CommandCounterIncrement();

	/* The script of another extension may be calling us. */
	(void) deleteDependencyRecordsForClass(ForeignServerRelationId, address.objectId,
										   ExtensionRelationId, DEPENDENCY_EXTENSION);
	inval_store_created(address.objectId);
	return address.objectId;
}

/*
 * ALTER SERVER knows to add, set and drop single options: drop all, add all.
 */
static void
store_replace(char *server, List *old, List *options)
{
	AlterForeignServerStmt *statement = makeNode(AlterForeignServerStmt);
	ListCell   *lc;

	statement->servername = server;
	foreach(lc, old)
	{
		DefElem    *gone = makeDefElem(((DefElem *) lfirst(lc))->defname, NULL, -1);

		gone->defaction = DEFELEM_DROP;
		statement->options = lappend(statement->options, gone);
	}
	foreach(lc, options)
	{
		DefElem    *added = copyObject(lfirst_node(DefElem, lc));

		added->defaction = DEFELEM_ADD;
		statement->options = lappend(statement->options, added);
	}
	(void) AlterForeignServer(statement);
}

static int
store_compare(const ListCell *a, const ListCell *b)
{
	return strcmp(((InvalStored *) lfirst(a))->name, ((InvalStored *) lfirst(b))->name);
}

static void
store_syscache_callback(Datum arg, int cacheid, uint32 hashvalue)
{
	(void) arg;
	(void) cacheid;
	(void) hashvalue;
	generation++;
}
