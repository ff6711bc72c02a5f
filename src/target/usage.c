/*
 * usage.c
 *		Who may have keys of a target invalidated.
 *
 * A rule removes keys that its template names, and its owner is free in what
 * the template says.  So it takes a right to the target itself: USAGE on the
 * foreign server that keeps it.  CREATE EXTENSION grants that of "default" to
 * PUBLIC, as all may use what was set up as the default; that of another target
 * has who has made it, and those whom he grants it.
 *
 * Both have it to have who makes a rule and who owns the tracked table: the
 * one decides now, the other whenever he wants to.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_foreign_server.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/parsenodes.h"
#include "utils/acl.h"
#include "utils/builtins.h"

#include "base/catalog.h"
#include "store/store.h"
#include "target/usage.h"
#include "version/server.h"

static bool usage_has(Oid role, const char *target);

/*
 * Whether a role has USAGE on a target; false if there is no such target.
 * Changes of that change inval_store_generation(), those of who is a member of
 * what do not.
 */
static bool
usage_has(Oid role, const char *target)
{
	InvalStored *stored = inval_store_get(INVAL_STORE_TARGET, target, true);

	if (stored == NULL)
		return false;
	return inval_server_may_use(stored->oid, role);
}

/*
 * An error if a role has none.  That there is the target was seen before.
 */
void
inval_target_check_usage(Oid role, const char *target)
{
	const char *server;
	const char *name;

	if (usage_has(role, target))
		return;
	server = quote_identifier(inval_store_server_name(INVAL_STORE_TARGET, target));
	name = GetUserNameFromId(role, false);
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied for target \"%s\"", target),
			 errdetail("Role \"%s\" has no USAGE on the foreign server %s.", name, server),
			 errhint("Have it granted: GRANT USAGE ON FOREIGN SERVER %s TO %s.",
					 server, quote_identifier(name))));
}

/*
 * An error if a key that somebody has named may not be sent to a target.
 */
void
inval_target_check_key(const InvalTarget *target, const InvalEntry *entry)
{
	Size		length = (Size) entry->key_length + entry->field_length;

	if (entry->key_length == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("key must not be empty")));
	if (length > INVAL_MAX_KEY_LENGTH)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("key is too long"),
				 errdetail("It has %zu bytes with its field, and can have %d.",
						   length, INVAL_MAX_KEY_LENGTH),
				 errhint("Use a hash of it as the key.")));
	if (!inval_target_may_have(target, entry))
		ereport(ERROR,
				(errcode(ERRCODE_WITH_CHECK_OPTION_VIOLATION),
				 errmsg("key is outside the namespace of target \"%s\"", target->name),
				 errdetail("Keys of this target must start with \"%s\".",
						   target->namespace)));
}

/*
 * Grants USAGE on a target, and that it may be passed on, to a role that has
 * none.
 */
void
inval_target_grant_usage(Oid role, const char *target)
{
	GrantStmt  *statement;
	AccessPriv *usage;
	RoleSpec   *grantee;
	Oid			user;
	int			security;

	if (usage_has(role, target))
		return;
	usage = makeNode(AccessPriv);
	usage->priv_name = pstrdup("usage");
	grantee = makeNode(RoleSpec);
	grantee->roletype = ROLESPEC_CSTRING;
	grantee->rolename = GetUserNameFromId(role, false);
	grantee->location = -1;
	statement = makeNode(GrantStmt);
	statement->is_grant = true;
	statement->targtype = ACL_TARGET_OBJECT;
	statement->objtype = OBJECT_FOREIGN_SERVER;
	statement->objects = list_make1(makeString(inval_store_server_name(INVAL_STORE_TARGET,
																	   target)));
	statement->privileges = list_make1(usage);
	statement->grantees = list_make1(grantee);
	statement->grant_option = true;
	statement->behavior = DROP_RESTRICT;

	GetUserIdAndSecContext(&user, &security);
	SetUserIdAndSecContext(inval_catalog(false)->owner,
						   security | SECURITY_LOCAL_USERID_CHANGE);
	ExecuteGrantStmt(statement);
	SetUserIdAndSecContext(user, security);
	CommandCounterIncrement();
}
