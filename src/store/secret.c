/*
 * secret.c
 *		What an item of the store keeps from everybody but superusers.
 *
 * Everybody can read the options of a server.  Those of a user mapping for PUBLIC
 * are shown to superusers and to who owns the server, and only superusers can
 * dump them.  So a target's URL, which may contain a password, is the option "url"
 * of such a mapping.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/reloptions.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/syscache.h"

#include "base/catalog.h"
#include "store/secret.h"

static Oid	secret_mapping(Oid server);

/*
 * Gives an item its secret, or another one.  The caller holds the store's lock.
 */
void
inval_store_put_secret(Oid server, const char *secret)
{
	CreateUserMappingStmt *create = makeNode(CreateUserMappingStmt);
	DefElem    *option = makeDefElem(INVAL_STORE_SECRET, (Node *) makeString(pstrdup(secret)), -1);
	RoleSpec   *everybody = makeNode(RoleSpec);
	char	   *name = GetForeignServer(server)->servername;
	Oid			user;
	int			security;

	everybody->roletype = ROLESPEC_PUBLIC;
	everybody->location = -1;
	GetUserIdAndSecContext(&user, &security);
	SetUserIdAndSecContext(inval_catalog(false)->owner,
						   security | SECURITY_LOCAL_USERID_CHANGE);
	if (OidIsValid(secret_mapping(server)))
	{
		AlterUserMappingStmt *alter = makeNode(AlterUserMappingStmt);

		option->defaction = inval_store_secret(server) ? DEFELEM_SET : DEFELEM_ADD;
		alter->user = everybody;
		alter->servername = name;
		alter->options = list_make1(option);
		(void) AlterUserMapping(alter);
	}
	else
	{
		create->user = everybody;
		create->servername = name;
		create->options = list_make1(option);
		(void) CreateUserMapping(create);
	}
	SetUserIdAndSecContext(user, security);
	CommandCounterIncrement();
	inval_store_adopt_secret(server);
}

/*
 * The secret of an item, NULL if it has none.  In the current memory context.
 */
const char *
inval_store_secret(Oid server)
{
	HeapTuple	tuple = SearchSysCache2(USERMAPPINGUSERSERVER,
										ObjectIdGetDatum(InvalidOid),
										ObjectIdGetDatum(server));
	const char *secret = NULL;
	Datum		options;
	bool		isnull;

	if (!HeapTupleIsValid(tuple))
		return NULL;
	options = SysCacheGetAttr(USERMAPPINGUSERSERVER, tuple,
							  Anum_pg_user_mapping_umoptions, &isnull);
	if (!isnull)
	{
		ListCell   *lc;

		foreach(lc, untransformRelOptions(options))
		{
			DefElem    *option = lfirst(lc);

			if (strcmp(option->defname, INVAL_STORE_SECRET) == 0)
				secret = pstrdup(defGetString(option));
		}
	}
	ReleaseSysCache(tuple);
	return secret;
}

/*
 * Makes the mapping go with its server, without CASCADE.
 */
void
inval_store_adopt_secret(Oid server)
{
	Oid			mapping = secret_mapping(server);
	ObjectAddress depender;
	ObjectAddress referenced;

	if (!OidIsValid(mapping) ||
		deleteDependencyRecordsForClass(UserMappingRelationId, mapping,
										ForeignServerRelationId,
										DEPENDENCY_NORMAL) == 0)
		return;
	ObjectAddressSet(depender, UserMappingRelationId, mapping);
	ObjectAddressSet(referenced, ForeignServerRelationId, server);
	recordDependencyOn(&depender, &referenced, DEPENDENCY_AUTO);
	CommandCounterIncrement();
}

static Oid
secret_mapping(Oid server)
{
	return GetSysCacheOid2(USERMAPPINGUSERSERVER, Anum_pg_user_mapping_oid,
						   ObjectIdGetDatum(InvalidOid), ObjectIdGetDatum(server));
}
