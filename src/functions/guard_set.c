/*
 * guard_set.c
 *		inval_guard: sets a guard.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#include "ddl/guard.h"
#include "store/store.h"

/* Hexadecimal digits of a hash that stands for a column: no two will meet. */
#define HASH_LENGTH		32

static char *guard_check_mode(FunctionCallInfo fcinfo);
static char *guard_check_column(FunctionCallInfo fcinfo);
static char *guard_item_name(const char *column);

PG_FUNCTION_INFO_V1(inval_guard);
PG_FUNCTION_INFO_V1(inval_guard_rows);

/*
 * inval_guard(mode text, column_name text) RETURNS void
 */
Datum
inval_guard(PG_FUNCTION_ARGS)
{
	char	   *mode = guard_check_mode(fcinfo);
	char	   *column = guard_check_column(fcinfo);
	char	   *name = guard_item_name(column);
	List	   *options = NIL;

	PreventCommandIfReadOnly("inval_guard()");
	PreventCommandDuringRecovery("inval_guard()");
	if (strcmp(mode, INVAL_GUARD_OFF) == 0)
	{
		(void) inval_store_remove(INVAL_STORE_GUARD, name);
		PG_RETURN_VOID();
	}
	options = inval_store_add_option(options, INVAL_GUARD_COLUMN, column);
	options = inval_store_add_option(options, INVAL_GUARD_MODE, mode);
	(void) inval_store_put(INVAL_STORE_GUARD, name, options);
	PG_RETURN_VOID();
}

/*
 * inval_guard_rows() RETURNS SETOF record: the view inval_guards
 */
Datum
inval_guard_rows(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	List	   *guards;
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	guards = inval_store_list(INVAL_STORE_GUARD, CurrentMemoryContext);
	foreach(lc, guards)
	{
		const char *column = inval_store_option(lfirst(lc), INVAL_GUARD_COLUMN);
		const char *mode = inval_store_option(lfirst(lc), INVAL_GUARD_MODE);
		Datum		values[2] = {0};
		bool		nulls[2];

		nulls[0] = column == NULL;
		nulls[1] = mode == NULL;
		if (column != NULL)
			values[0] = CStringGetTextDatum(column);
		if (mode != NULL)
			values[1] = CStringGetTextDatum(mode);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}

static char *
guard_check_mode(FunctionCallInfo fcinfo)
{
	static const char *const modes[] = {INVAL_GUARD_OFF, INVAL_GUARD_WARN, INVAL_GUARD_ERROR, INVAL_GUARD_TRACK};
	char	   *mode = PG_ARGISNULL(0) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(0));
	Size		i;

	for (i = 0; i < lengthof(modes); i++)
		if (mode != NULL && strcmp(mode, modes[i]) == 0)
			return mode;
	ereport(ERROR,
			(errcode(mode == NULL ? ERRCODE_NULL_VALUE_NOT_ALLOWED :
					 ERRCODE_INVALID_PARAMETER_VALUE),
			 mode == NULL ? errmsg("mode must not be null") :
			 errmsg("mode \"%s\" does not exist", mode),
			 errhint("It is one of \"%s\", \"%s\", \"%s\", \"%s\".",
					 INVAL_GUARD_OFF, INVAL_GUARD_WARN, INVAL_GUARD_ERROR, INVAL_GUARD_TRACK)));
	return NULL;				/* keep the compiler quiet */
}

static char *
guard_check_column(FunctionCallInfo fcinfo)
{
	char	   *column;

	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("column_name must not be null"),
				 errhint("Name the column that tables are tracked by, as in 'team_id'.")));
	column = text_to_cstring(PG_GETARG_TEXT_PP(1));
	if (column[0] == '\0' || strlen(column) >= NAMEDATALEN)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("\"%s\" cannot be the name of a column", column),
				 errdetail("A name has 1 to %d bytes.", NAMEDATALEN - 1),
				 errhint("Name the column exactly as it is spelled in the catalog.")));
	return column;
}

/*
 * The store's name for the guard of a column: the column, or a hash of one that
 * is too long.
 */
static char *
guard_item_name(const char *column)
{
	Size		room = NAMEDATALEN - 1 - strlen(inval_store_prefix(INVAL_STORE_GUARD));
	Datum		hash;
	Datum		hex;

	if (strlen(column) <= room)
		return pstrdup(column);
	hash = DirectFunctionCall1(sha256_bytea, CStringGetTextDatum(column));
	hex = DirectFunctionCall2(binary_encode, hash, CStringGetTextDatum("hex"));
	return pnstrdup(TextDatumGetCString(hex), HASH_LENGTH);
}
