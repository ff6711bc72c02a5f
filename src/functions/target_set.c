/*
 * target_set.c
 *		SQL functions that make, change, drop, pause and resume targets.
 */
#include "postgres.h"

#include <ctype.h>

#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"

#include "base/catalog.h"
#include "base/encoding.h"
#include "store/secret.h"
#include "store/store.h"
#include "target/health.h"
#include "target/targets.h"
#include "target/usage.h"

/* With the prefix of its kind it is the name of a server. */
#define MAX_NAME_LENGTH			40
#define MAX_NAMESPACE_LENGTH	1024
#define MAX_REGION_LENGTH		64

/* The arguments of inval_add_target */
enum
{
	ADD_NAME,
	ADD_URL,
	ADD_MAX_RATE,
	ADD_REGION,
	ADD_NAMESPACE
};

static Datum target_set_add(FunctionCallInfo fcinfo);
static void target_set_hide_statement(void *arg);
static char *target_set_name(FunctionCallInfo fcinfo, bool may_be_default);
static char *target_set_url(FunctionCallInfo fcinfo);
static char *target_set_text(FunctionCallInfo fcinfo, int argument, const char *what,
							 int max);
static void target_set_check_number(const char *name);
static void target_set_check_unused(const char *name);
static void target_set_paused(FunctionCallInfo fcinfo, bool paused);

PG_FUNCTION_INFO_V1(inval_add_target);
PG_FUNCTION_INFO_V1(inval_drop_target);
PG_FUNCTION_INFO_V1(inval_pause);
PG_FUNCTION_INFO_V1(inval_resume);

/*
 * inval_add_target(name text, url text, max_rate integer, region text,
 * namespace text) RETURNS void
 *
 * For a name that is there already, all of its options are replaced.
 */
Datum
inval_add_target(PG_FUNCTION_ARGS)
{
	ErrorContextCallback hide = {0};
	Datum		result;

	hide.callback = target_set_hide_statement;
	hide.previous = error_context_stack;
	error_context_stack = &hide;
	result = target_set_add(fcinfo);
	error_context_stack = hide.previous;
	return result;
}

/*
 * The server logs the statement that has failed, and with it the password.
 */
static void
target_set_hide_statement(void *arg)
{
	(void) arg;
	(void) errhidestmt(true);
	(void) errhidecontext(true);
}

static Datum
target_set_add(FunctionCallInfo fcinfo)
{
	char	   *name = target_set_name(fcinfo, false);
	char	   *url = target_set_url(fcinfo);
	char	   *region = target_set_text(fcinfo, ADD_REGION, "region", MAX_REGION_LENGTH);
	char	   *namespace = target_set_text(fcinfo, ADD_NAMESPACE, "namespace",
											MAX_NAMESPACE_LENGTH);
	List	   *options = NIL;
	bool		is_new;
	Oid			server;

	PreventCommandIfReadOnly("inval_add_target()");
	PreventCommandDuringRecovery("inval_add_target()");
	if (!PG_ARGISNULL(ADD_MAX_RATE))
	{
		if (PG_GETARG_INT32(ADD_MAX_RATE) <= 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("max_rate must be positive"),
					 errhint("It is a number of keys per second. Leave it out for no limit.")));
		options = inval_store_add_option(options, "max_rate",
										 psprintf("%d", PG_GETARG_INT32(ADD_MAX_RATE)));
	}
	if (region != NULL)
		options = inval_store_add_option(options, "region", region);
	if (namespace != NULL)
	{
		(void) inval_encode_key_or_fail(namespace, "namespace");
		options = inval_store_add_option(options, "namespace", namespace);
	}

	(void) inval_store_lock();
	target_set_check_number(name);
	is_new = inval_store_get(INVAL_STORE_TARGET, name, true) == NULL;
	server = inval_store_put(INVAL_STORE_TARGET, name, options);
	inval_store_put_secret(server, url);
	if (is_new)
		inval_target_grant_usage(GetUserId(), name);
	if (!inval_target_has_place(inval_target_by_name(name, false)->health))
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("too many targets"),
				 errdetail("All databases of this server together can have inval.max_targets of them."),
				 errhint("Raise inval.max_targets and restart the server, or drop targets that are not needed.")));
	PG_RETURN_VOID();
}

/*
 * inval_drop_target(name text) RETURNS boolean
 *
 * Whether there was one.  What is queued for it is forgotten.
 */
Datum
inval_drop_target(PG_FUNCTION_ARGS)
{
	char	   *name = target_set_name(fcinfo, false);

	PreventCommandIfReadOnly("inval_drop_target()");
	PreventCommandDuringRecovery("inval_drop_target()");
	(void) inval_store_lock();
	target_set_check_unused(name);
	(void) inval_store_remove(INVAL_STORE_PAUSE, name);
	PG_RETURN_BOOL(inval_store_remove(INVAL_STORE_TARGET, name));
}

/*
 * inval_pause(target text) RETURNS void
 */
Datum
inval_pause(PG_FUNCTION_ARGS)
{
	target_set_paused(fcinfo, true);
	PG_RETURN_VOID();
}

/*
 * inval_resume(target text) RETURNS void
 */
Datum
inval_resume(PG_FUNCTION_ARGS)
{
	target_set_paused(fcinfo, false);
	PG_RETURN_VOID();
}

static char *
target_set_name(FunctionCallInfo fcinfo, bool may_be_default)
{
	char	   *name;
	const char *c;

	if (PG_ARGISNULL(ADD_NAME))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("name must not be null")));
	name = text_to_cstring(PG_GETARG_TEXT_PP(ADD_NAME));
	for (c = name; *c != '\0'; c++)
		if (IS_HIGHBIT_SET(*c) ||
			(!isalnum((unsigned char) *c) && *c != '_' && *c != '-'))
			break;
	if (*c != '\0' || c == name || c - name > MAX_NAME_LENGTH)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("\"%s\" cannot be the name of a target", name),
				 errdetail("A name is made of 1 to %d of the characters A to Z, a to z, 0 to 9, \"_\" and \"-\".",
						   MAX_NAME_LENGTH)));
	if (!may_be_default && strcmp(name, INVAL_DEFAULT_TARGET) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_RESERVED_NAME),
				 errmsg("target \"%s\" is always there", name),
				 errhint("Set inval.redis_url to say where it is.")));
	return name;
}

static char *
target_set_url(FunctionCallInfo fcinfo)
{
	char		problem[INVAL_URL_PROBLEM_LEN];
	InvalUrl	parsed;
	char	   *url;

	if (PG_ARGISNULL(ADD_URL))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("url must not be null")));
	url = text_to_cstring(PG_GETARG_TEXT_PP(ADD_URL));
	/* The message has no part of the URL, which may contain a password. */
	if (!inval_url_parse(url, &parsed, problem))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid URL of a target"),
				 errdetail("%s", problem),
				 errhint("Write it as " INVAL_URL_FORMS ".")));
	if (inval_url_names_files(&parsed) &&
		!has_privs_of_role(GetUserId(), ROLE_PG_READ_SERVER_FILES))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to name files in a URL"),
				 errdetail("They are read as the user that runs the server."),
				 errhint("Ask for membership in pg_read_server_files.")));
	return url;
}

/*
 * An argument that may be left out; NULL then.
 */
static char *
target_set_text(FunctionCallInfo fcinfo, int argument, const char *what, int max)
{
	char	   *value;

	if (PG_ARGISNULL(argument))
		return NULL;
	value = text_to_cstring(PG_GETARG_TEXT_PP(argument));
	if (value[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must not be empty", what),
				 errhint("Leave it out for none.")));
	if (strlen(value) > (Size) max)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("%s is longer than %d bytes", what, max)));
	return value;
}

/*
 * Two names may have the same number, if rarely.
 */
static void
target_set_check_number(const char *name)
{
	InvalTarget *other;

	inval_targets_refresh();
	for (other = inval_targets(); other != NULL; other = other->next)
		if (!other->dropped && other->number == inval_target_number(name) &&
			strcmp(other->name, name) != 0)
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_OBJECT),
					 errmsg("target \"%s\" would have the same number as target \"%s\"",
							name, other->name),
					 errhint("Choose another name.")));
}

static void
target_set_check_unused(const char *name)
{
	Oid			types[] = {TEXTOID};
	Datum		values[] = {CStringGetTextDatum(name)};
	int			spi = SPI_connect();

	if (spi != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed: %s", SPI_result_code_string(spi));
	(void) inval_catalog_execute(psprintf("SELECT id, relation FROM %s"
										  " WHERE $1 OPERATOR(pg_catalog.=) ANY (targets)"
										  " ORDER BY id LIMIT 1",
										  inval_catalog_name("inval_rule")),
								 1, types, values, NULL);
	if (SPI_processed > 0)
		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("cannot drop target \"%s\" because a rule needs it", name),
				 errdetail("Rule %s of table %s names it.",
						   SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1),
						   SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2)),
				 errhint("Drop the rule by inval_untrack first, or give it other targets by inval_track.")));
	SPI_finish();
}

/*
 * Takes effect at once, in all sessions, whether or not the caller commits; and
 * once more when the server has been restarted, if it did.
 */
static void
target_set_paused(FunctionCallInfo fcinfo, bool paused)
{
	char	   *name = target_set_name(fcinfo, true);
	InvalTarget *target;

	PreventCommandIfReadOnly(paused ? "inval_pause()" : "inval_resume()");
	PreventCommandDuringRecovery(paused ? "inval_pause()" : "inval_resume()");
	(void) inval_store_lock();
	target = inval_target_by_name(name, true);
	if (target == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("target \"%s\" does not exist", name),
				 errhint("inval_target_status shows those that there are. A table's rules are named by its regclass, a single rule by its number.")));
	if (paused)
		(void) inval_store_put(INVAL_STORE_PAUSE, name, NIL);
	else
		(void) inval_store_remove(INVAL_STORE_PAUSE, name);

	target->health->pause_known = true;
	if (pg_atomic_exchange_u32(&target->health->paused, paused ? 1 : 0) != (paused ? 1 : 0))
		ereport(LOG,
				(errmsg("inval target \"%s\" is %s", name, paused ? "paused" : "resumed"),
				 errdetail("By \"%s\".", GetUserNameFromId(GetUserId(), false)),
				 errhidestmt(true)));
	if (!paused)
		inval_target_wake_worker(target->health);
}
