/*
 * lookup_role.c
 *		As whom, and under which settings, a look-up runs.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "key/lookup_role.h"
#include "key/value.h"

/*
 * What the meaning of a query depends on, besides what the text of values does.
 */
static const struct
{
	const char *name;
	const char *value;
}			pinned_settings[] =
{
	{"standard_conforming_strings", "on"},
	{"transform_null_equals", "off"},
	{"row_security", "off"},	/* an error instead of rows that are left out */
};

static bool sessions = false;	/* as inval_role_take_sessions says */

static void role_take_session(Oid role);
static void role_pin_settings(void);
static void role_search_schema_of(Oid relid);
static void role_set(const char *name, const char *value);

/*
 * Takes on the rights and settings of a look-up, and sees to it that there is
 * a snapshot, until inval_role_leave.  What an error leaves is put right by
 * the end of the (sub)transaction.
 */
void
inval_role_enter(InvalRole *role, InvalLookupMode mode, Oid relid)
{
	Oid			owner;
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relid);
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);

	/*
	 * Restricted, also for a query of our own: index expressions and
	 * operators are the owner's code, and whoever drops a table comes here.
	 */
	GetUserIdAndSecContext(&role->user, &role->security);
	role->nest_level = NewGUCNestLevel();

	/*
	 * A function that writes would change what is being looked up, and what
	 * is noted for it.
	 */
	role->read_only = XactReadOnly;
	XactReadOnly = true;
	if (sessions)
		role_take_session(owner);
	if (mode == INVAL_LOOKUP_KEY)
	{
		SetUserIdAndSecContext(owner, role->security | SECURITY_LOCAL_USERID_CHANGE |
							   SECURITY_RESTRICTED_OPERATION | SECURITY_NOFORCE_RLS);
	}
	else
	{
		/* In a cascade we are called where row security is not forced. */
		SetUserIdAndSecContext(owner, (role->security & ~SECURITY_NOFORCE_RLS) |
							   SECURITY_LOCAL_USERID_CHANGE |
							   SECURITY_RESTRICTED_OPERATION);
		role_pin_settings();
	}
	if (mode == INVAL_LOOKUP_WRITTEN)
		role_search_schema_of(relid);
	else
		role_set("search_path", "pg_catalog, pg_temp");

	/* Parse analysis may run functions, and in an apply worker there is none. */
	role->pushed = !ActiveSnapshotSet();
	if (role->pushed)
		PushActiveSnapshot(GetTransactionSnapshot());
}

/*
 * The end of what inval_role_enter began.
 */
void
inval_role_leave(const InvalRole *role)
{
	if (role->pushed)
		PopActiveSnapshot();
	AtEOXact_GUC(false, role->nest_level);
	XactReadOnly = role->read_only;
	SetUserIdAndSecContext(role->user, role->security);
}

/*
 * Says that look-ups of this process are made in the session of their role, too.
 * For a worker, whose session is the bootstrap superuser's and nobody's: functions
 * that ask whose it is would trust it.
 */
void
inval_role_take_sessions(void)
{
	sessions = true;
}

/*
 * It stays that role's until the next look-up.  All else in a worker asks for the
 * current user only.
 */
static void
role_take_session(Oid role)
{
	SetUserIdAndSecContext(GetUserId(), 0);
	SetSessionAuthorization(role, superuser_arg(role));
}

static void
role_pin_settings(void)
{
	Size		i;

	inval_value_pin_settings();
	for (i = 0; i < lengthof(pinned_settings); i++)
		role_set(pinned_settings[i].name, pinned_settings[i].value);
}

static void
role_search_schema_of(Oid relid)
{
	char	   *schema = get_namespace_name(get_rel_namespace(relid));

	role_set("search_path", psprintf("%s, pg_temp", quote_identifier(schema)));
}

static void
role_set(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}
