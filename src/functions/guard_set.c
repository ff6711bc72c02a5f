/*
 * guard_set.c
 *		inval_guard: sets a guard.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/tuplestore.h"

#include "ddl/guard.h"
#include "store/store.h"
#include "store/wrapper.h"

/* Hexadecimal digits of a hash that stands for a column: no two will meet. */
#define HASH_LENGTH		32

#define MAX_EXEMPT			64
#define MAX_EXEMPT_LENGTH	(2 * NAMEDATALEN)

static char *guard_check_mode(FunctionCallInfo fcinfo);
static char *guard_check_column(FunctionCallInfo fcinfo);
static char *guard_check_exempt(FunctionCallInfo fcinfo);
static char *guard_item_name(const char *column);

PG_FUNCTION_INFO_V1(inval_guard);
PG_FUNCTION_INFO_V1(inval_guard_rows);

/*
 * inval_guard(mode text, column_name text, exempt text[]) RETURNS void
 */
Datum
inval_guard(PG_FUNCTION_ARGS)
{
	char	   *mode = guard_check_mode(fcinfo);
	char	   *column = guard_check_column(fcinfo);
	char	   *exempt = guard_check_exempt(fcinfo);
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
	if (exempt != NULL)
		options = inval_store_add_option(options, INVAL_GUARD_EXEMPT, exempt);
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
		const char *exempt = inval_store_option(lfirst(lc), INVAL_GUARD_EXEMPT);
		Datum		values[3] = {0};
		bool		nulls[3];

		nulls[0] = column == NULL;
		nulls[1] = mode == NULL;
		nulls[2] = exempt == NULL;
		if (column != NULL)
			values[0] = CStringGetTextDatum(column);
		if (mode != NULL)
			values[1] = CStringGetTextDatum(mode);
		if (exempt != NULL)
			values[2] = PointerGetDatum(inval_store_array(exempt));
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
 * The patterns of what is exempt as the literal of their array, NULL for none.
 */
static char *
guard_check_exempt(FunctionCallInfo fcinfo)
{
	ArrayType  *array;
	Datum	   *patterns;
	bool	   *nulls;
	int			count;
	int			i;

	if (PG_ARGISNULL(2))
		return NULL;
	array = PG_GETARG_ARRAYTYPE_P(2);
	if (ARR_NDIM(array) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("exempt must have one dimension")));
	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &patterns, &nulls, &count);
	if (count > MAX_EXEMPT)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("exempt has more than %d elements", MAX_EXEMPT)));
	for (i = 0; i < count; i++)
	{
		Size		length;

		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("exempt must not contain nulls")));
		length = VARSIZE_ANY_EXHDR(DatumGetPointer(patterns[i]));
		if (length == 0 || length > MAX_EXEMPT_LENGTH)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_NAME),
					 errmsg("element %d of exempt has %zu bytes", i + 1, length),
					 errdetail("A pattern has 1 to %d bytes.", MAX_EXEMPT_LENGTH),
					 errhint("Write a schema, the name of a table or schema.table; \"*\" stands for any characters.")));
	}
	return count == 0 ? NULL : OidOutputFunctionCall(F_ARRAY_OUT, PointerGetDatum(array));
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
