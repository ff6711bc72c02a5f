/*
 * noop.c
 *		A row trigger that does nothing.
 *
 * What a statement costs with it, over what it costs without, is what
 * PostgreSQL takes for queueing and firing AFTER ROW triggers: the floor below
 * which no row trigger can come.
 */
#include "postgres.h"

#include "commands/trigger.h"
#include "fmgr.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(bench_noop);

Datum
bench_noop(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				errmsg("function \"%s\" was not called as a trigger",
					   "bench_noop"));
	return PointerGetDatum(NULL);
}
