/*
 * key_right.c
 *		SQL functions about who sees keys.
 *
 * Keys are made of rows and may hold personal data.  EXECUTE on inval_key_right is the
 * right to see them where they are not the caller's own: a right that can be granted,
 * is in dumps, and can be asked for.  Who has none sees NULLs in their place.
 */
#include "postgres.h"

#include "fmgr.h"

#include "base/rights.h"

PG_FUNCTION_INFO_V1(inval_key_right);
PG_FUNCTION_INFO_V1(inval_sees_keys);

/*
 * inval_key_right() RETURNS void: there is nothing to be done but to be allowed to.
 */
Datum
inval_key_right(PG_FUNCTION_ARGS)
{
	(void) fcinfo;
	PG_RETURN_VOID();
}

/*
 * inval_sees_keys() RETURNS boolean
 */
Datum
inval_sees_keys(PG_FUNCTION_ARGS)
{
	(void) fcinfo;
	PG_RETURN_BOOL(inval_rights_see_keys());
}
