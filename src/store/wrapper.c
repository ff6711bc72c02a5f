/*
 * wrapper.c
 *		The foreign data wrapper that the store's items are servers of.
 *
 * Servers depend on the wrapper "automatically", not "normally" as CREATE
 * SERVER says, so that DROP EXTENSION takes them along without CASCADE.  Those
 * that the store makes are adopted at once.  Those that a restored dump makes
 * are adopted by the event trigger for the end of commands, those of
 * pg_upgrade, which runs no event triggers, before DROP EXTENSION.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/reloptions.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_foreign_data_wrapper.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_user_mapping.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "fmgr.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/rel.h"

#include "base/catalog.h"
#include "redis/url.h"
#include "store/kind.h"
#include "store/secret.h"
#include "store/wrapper.h"

/* Every option of every kind: a validator is not told the kind. */
static const struct
{
	const char *name;
	bool		array;			/* a text[] */
}			store_options[] =
{
	/* variable */
	{"values", true},
	/* guard */
	{"column", false},
	{"mode", false},
	{"exempt", true},
	/* rule */
	{"id", false},
	{"relation", false},
	{"key", false},
	{"field", false},
	{"action", false},
	{"delivery", false},
	{"changes", true},
	{"via", false},
	{"ttl", false},
	{"publish", false},
	{"stream", false},
	{"fence", false},
	{"repeat_after", false},
	{"refill", false},
	{"targets", true},
	{"state", false},
	{"audit", false},
	/* target */
	{"max_rate", false},
	{"region", false},
	{"namespace", false},
};

static void wrapper_check_mapping(List *options);
static void wrapper_adopt(Oid server, Oid wrapper);

PG_FUNCTION_INFO_V1(inval_store_validator);

/*
 * A server was created.  If it is one of our wrapper it goes with the extension
 * from now on; others are left alone.
 */
void
inval_store_created(Oid server)
{
	ForeignServer *found = GetForeignServerExtended(server, FSV_MISSING_OK);
	Oid			wrapper = get_foreign_data_wrapper_oid(INVAL_STORE_WRAPPER, true);
	const char *prefix;

	if (found == NULL || found->fdwid != wrapper)
		return;
	prefix = found->servertype ? inval_store_prefix(found->servertype) : NULL;
	if (prefix == NULL || strncmp(found->servername, prefix, strlen(prefix)) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("server \"%s\" is no setting of inval", found->servername),
				 errdetail("The servers of foreign data wrapper \"%s\" are settings of inval.",
						   INVAL_STORE_WRAPPER),
				 errhint("Use inval_set_var or inval_guard.")));
	wrapper_adopt(server, wrapper);
}

/*
 * The same for all servers there are.  To be called before DROP EXTENSION.
 */
void
inval_store_adopt(void)
{
	Oid			wrapper = get_foreign_data_wrapper_oid(INVAL_STORE_WRAPPER, true);
	Relation	rel;
	SysScanDesc scan;
	HeapTuple	tuple;

	if (!OidIsValid(wrapper))
		return;
	rel = table_open(ForeignServerRelationId, AccessShareLock);
	scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_foreign_server form = (Form_pg_foreign_server) GETSTRUCT(tuple);

		if (form->srvfdw == wrapper)
			wrapper_adopt(form->oid, wrapper);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
}

/*
 * An option that is a text[], as the array that it stands for.
 */
ArrayType *
inval_store_array(const char *literal)
{
	return DatumGetArrayTypeP(OidInputFunctionCall(F_ARRAY_IN, pstrdup(literal),
												   TEXTOID, -1));
}

/*
 * inval_store_validator(options text[], catalog oid) RETURNS void
 *
 * The validator of the foreign data wrapper.  It is called for our own servers,
 * for those of a restored dump, and for whatever somebody tries by hand.
 */
Datum
inval_store_validator(PG_FUNCTION_ARGS)
{
	List	   *options = untransformRelOptions(PG_GETARG_DATUM(0));
	Oid			class = PG_GETARG_OID(1);
	ListCell   *lc;

	if (class == UserMappingRelationId)
	{
		wrapper_check_mapping(options);
		PG_RETURN_VOID();
	}

	/* CREATE FOREIGN DATA WRAPPER asks too, with no options. */
	if (class != ForeignServerRelationId &&
		(class != ForeignDataWrapperRelationId || options != NIL))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("foreign data wrapper \"%s\" has no options or foreign tables",
						INVAL_STORE_WRAPPER),
				 errdetail("Its servers are settings of inval.")));

	foreach(lc, options)
	{
		DefElem    *option = lfirst(lc);
		Size		i;

		for (i = 0; i < lengthof(store_options); i++)
			if (strcmp(option->defname, store_options[i].name) == 0)
				break;
		if (i == lengthof(store_options))
			ereport(ERROR,
					(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
					 errmsg("option \"%s\" does not exist", option->defname),
					 errhint("Use inval_set_var, inval_guard, inval_track or inval_add_target.")));
		if (store_options[i].array &&
			array_contains_nulls(inval_store_array(defGetString(option))))
			ereport(ERROR,
					(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
					 errmsg("option \"%s\" must not contain nulls", option->defname)));
	}
	PG_RETURN_VOID();
}

/*
 * A user mapping is where a target keeps its URL (secret.c).  A statement
 * that fails here may have a password and is kept out of the log.
 *
 * To the server, USAGE on a target is also the right to make a mapping for
 * oneself.  Nobody would read it, but the target could not be dropped any more,
 * nor the extension without CASCADE.
 */
static void
wrapper_check_mapping(List *options)
{
	DefElem    *option = list_length(options) == 1 ? linitial(options) : NULL;
	char		problem[INVAL_URL_PROBLEM_LEN];
	InvalUrl	url;
	const InvalCatalog *catalog = inval_catalog(true);

	/* pg_upgrade makes mappings before all of the extension is there. */
	if (!superuser() &&
		(catalog == NULL || !has_privs_of_role(GetUserId(), catalog->owner)))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to write the user mapping of a target"),
				 errdetail("Only the owner of the extension may do that by hand."),
				 errhint("Use inval_add_target."),
				 errhidestmt(true)));

	/*
	 * A dump by who may not see the URL has a mapping without one.  When it is
	 * restored, inval_add_target has to say again where the target is.
	 */
	if (options == NIL && !check_function_bodies)
		return;
	if (option == NULL || strcmp(option->defname, INVAL_STORE_SECRET) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("user mappings of foreign data wrapper \"%s\" have the option \"%s\" and no others",
						INVAL_STORE_WRAPPER, INVAL_STORE_SECRET),
				 errhint("Use inval_add_target."),
				 errhidestmt(true)));
	if (!inval_url_parse(defGetString(option), &url, problem))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("invalid URL of a target"),
				 errdetail("%s", problem),
				 errhint("Write it as " INVAL_URL_FORMS "."),
				 errhidestmt(true)));
}

/*
 * Makes a server depend on the wrapper automatically instead of normally.
 */
static void
wrapper_adopt(Oid server, Oid wrapper)
{
	ObjectAddress depender;
	ObjectAddress referenced;

	inval_store_adopt_secret(server);
	if (deleteDependencyRecordsForClass(ForeignServerRelationId, server,
										ForeignDataWrapperRelationId,
										DEPENDENCY_NORMAL) == 0)
		return;
	ObjectAddressSet(depender, ForeignServerRelationId, server);
	ObjectAddressSet(referenced, ForeignDataWrapperRelationId, wrapper);
	recordDependencyOn(&depender, &referenced, DEPENDENCY_AUTO);
}
