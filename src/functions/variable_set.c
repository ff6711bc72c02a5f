/*
 * variable_set.c
 *		inval_set_var: changes a variable of key templates.
 */
#include "postgres.h"

#include <ctype.h>

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "base/catalog.h"
#include "base/encoding.h"
#include "key/variable.h"
#include "store/store.h"

#define MAX_VALUES			64
#define MAX_VALUE_LENGTH	1024

/* How long others may have to wait behind us, in milliseconds */
#define LOCK_MS				100

static bool variable_name_is_valid(const char *name);
static char *variable_check_name(FunctionCallInfo fcinfo);
static ArrayType *variable_check_values(FunctionCallInfo fcinfo);
static void variable_check_value(Datum *values, bool *nulls, int which);
static void variable_lock_out(void);
static bool variable_lock_quickly(Oid view);
static void variable_check_unused(const char *name);
static bool variable_is_in(const char *template, const char *name);

PG_FUNCTION_INFO_V1(inval_set_var);

/*
 * inval_set_var(name text, VARIADIC "values" text[]) RETURNS void
 *
 * A call that changes nothing waits for nobody.
 */
Datum
inval_set_var(PG_FUNCTION_ARGS)
{
	char	   *name = variable_check_name(fcinfo);
	ArrayType  *values = variable_check_values(fcinfo);
	InvalStored *old;
	char	   *literal;

	PreventCommandIfReadOnly("inval_set_var()");
	PreventCommandDuringRecovery("inval_set_var()");
	literal = OidOutputFunctionCall(F_ARRAY_OUT, PointerGetDatum(values));

	(void) inval_store_lock();
	old = inval_store_get(INVAL_STORE_VARIABLE, name, true);
	if (ARR_NDIM(values) == 0)
	{
		if (old == NULL)
			PG_RETURN_VOID();
		variable_lock_out();
		variable_check_unused(name);
		(void) inval_store_remove(INVAL_STORE_VARIABLE, name);
	}
	else
	{
		const char *now = old ? inval_store_option(old, INVAL_VARIABLE_OPTION) : NULL;

		if (now != NULL && strcmp(now, literal) == 0)
			PG_RETURN_VOID();
		variable_lock_out();
		(void) inval_store_put(INVAL_STORE_VARIABLE, name,
							   inval_store_add_option(NIL, INVAL_VARIABLE_OPTION, literal));
	}
	PG_RETURN_VOID();
}

/*
 * Whether a variable can have such a name.
 */
static bool
variable_name_is_valid(const char *name)
{
	const char *c;

	for (c = name; *c != '\0'; c++)
		if (IS_HIGHBIT_SET(*c) ||
			(!isalnum((unsigned char) *c) && *c != '_' && *c != '-'))
			return false;
	return c > name && c - name <= INVAL_VARIABLE_NAME_LENGTH;
}

static char *
variable_check_name(FunctionCallInfo fcinfo)
{
	char	   *name;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("name must not be null")));
	name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	if (!variable_name_is_valid(name))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("\"%s\" cannot be the name of a variable", name),
				 errdetail("A name is made of 1 to %d of the characters A to Z, a to z, 0 to 9, \"_\" and \"-\".",
						   INVAL_VARIABLE_NAME_LENGTH),
				 errhint("Give the name without \"$\" and braces.")));
	return name;
}

static ArrayType *
variable_check_values(FunctionCallInfo fcinfo)
{
	ArrayType  *array;
	Datum	   *values;
	bool	   *nulls;
	int			count;
	int			i;

	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("list of values must not be null"),
				 errhint("Write VARIADIC '{}' to remove the variable.")));
	array = PG_GETARG_ARRAYTYPE_P(1);
	if (ARR_NDIM(array) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("list of values must have one dimension")));
	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &values, &nulls, &count);
	if (count > MAX_VALUES)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("list of values is too long"),
				 errdetail("It has %d values, and a variable can have %d.",
						   count, MAX_VALUES),
				 errhint("Leave out the values of releases that no longer run.")));
	for (i = 0; i < count; i++)
		variable_check_value(values, nulls, i);
	if (count == 0)
		return construct_empty_array(TEXTOID);
	return construct_array(values, count, TEXTOID, -1, false, TYPALIGN_INT);
}

/*
 * Checks one value, also against those before it.
 */
static void
variable_check_value(Datum *values, bool *nulls, int which)
{
	char	   *value;
	int			i;

	if (nulls[which])
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("list of values must not contain nulls"),
				 errhint("Write VARIADIC '{}' to remove the variable.")));
	value = TextDatumGetCString(values[which]);
	(void) inval_encode_key_or_fail(value, "value of a variable");
	if (strlen(value) > MAX_VALUE_LENGTH)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("value %d is too long", which + 1),
				 errdetail("It has %zu bytes, and a value can have %d.",
						   strlen(value), MAX_VALUE_LENGTH),
				 errhint("Use a hash of it as the value.")));
	for (i = 0; i < which; i++)
		if (strcmp(TextDatumGetCString(values[i]), value) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("list of values contains \"%s\" more than once", value),
					 errhint("Give each value once; their order does not matter.")));
}

/*
 * Waits for all who have rendered, and keeps others from it.
 *
 * Who waits for a lock is a wall to those who come later.  So first wait,
 * without a lock, for those who hold one now: a report that runs for hours keeps
 * a deploy waiting, but no writer.  Then the lock has to wait for those only that
 * have begun meanwhile.  One of them may last, too: if the lock does not
 * come within moments, give up the place in its queue and begin again, with
 * those who hold it now.
 */
static void
variable_lock_out(void)
{
	Oid			view = inval_variable_lock_relation();
	LOCKTAG		tag;

	SET_LOCKTAG_RELATION(tag, MyDatabaseId, view);
	do
		WaitForLockers(tag, INVAL_VARIABLE_LOCK_SET, false);
	while (!variable_lock_quickly(view));
}

/*
 * Takes the lock, or returns false if that takes longer than LOCK_MS.  That ends
 * by an error, like any lock_timeout, hence the subtransaction; whatever the
 * error, it is rolled back here.
 */
static bool
variable_lock_quickly(Oid view)
{
	MemoryContext old_context = CurrentMemoryContext;
	ResourceOwner old_owner = CurrentResourceOwner;
	volatile bool locked = false;
	int			limit = LockTimeout > 0 ? Min(LockTimeout, LOCK_MS) : LOCK_MS;

	BeginInternalSubTransaction(NULL);
	PG_TRY();
	{
		int			nest_level = NewGUCNestLevel();

		(void) set_config_option("lock_timeout", psprintf("%d", limit), PGC_USERSET,
								 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
		LockRelationOid(view, INVAL_VARIABLE_LOCK_SET);
		AtEOXact_GUC(true, nest_level);
		ReleaseCurrentSubTransaction();
		locked = true;
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(old_context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		CurrentResourceOwner = old_owner;
		MemoryContextSwitchTo(old_context);
		if (error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE)
			ReThrowError(error);
		FreeErrorData(error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(old_context);
	CurrentResourceOwner = old_owner;
	return locked;
}

/*
 * A variable that a rule names cannot be removed: no row would feed a key.
 */
static void
variable_check_unused(const char *name)
{
	int			spi;
	uint64		row;

	spi = SPI_connect();
	if (spi != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed: %s", SPI_result_code_string(spi));
	(void) inval_catalog_execute(psprintf("SELECT id, relation, key, field, via,"
										  " publish, stream, refill, audit FROM %s ORDER BY id",
										  inval_catalog_name("inval_rule")),
								 0, NULL, NULL, NULL);
	for (row = 0; row < SPI_processed; row++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[row];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		int			column;

		for (column = 3; column <= desc->natts; column++)
		{
			char	   *template = SPI_getvalue(tuple, desc, column);

			if (template != NULL && variable_is_in(template, name))
				ereport(ERROR,
						(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
						 errmsg("cannot remove variable \"%s\" because a rule needs it", name),
						 errdetail("Rule %s of table %s has the %s \"%s\".",
								   SPI_getvalue(tuple, desc, 1),
								   SPI_getvalue(tuple, desc, 2),
								   SPI_fname(desc, column), template),
						 errhint("Drop the rule by inval_untrack first, or give the variable another value.")));
		}
	}
	SPI_finish();
}

/*
 * Whether a template has the placeholder of a variable, with or without filters.
 */
static bool
variable_is_in(const char *template, const char *name)
{
	Size		length = strlen(name);
	const char *c;

	for (c = template; *c != '\0'; c++)
	{
		if (c[0] != '{')
			continue;
		if (c[1] == '{')
			c++;				/* a literal brace */
		else if (c[1] == '$' && strncmp(c + 2, name, length) == 0 &&
				 (c[2 + length] == '}' || c[2 + length] == '|'))
			return true;
	}
	return false;
}
