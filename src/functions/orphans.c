/*
 * orphans.c
 *		inval_orphans: keys that no row feeds any more.
 */
#include "postgres.h"

#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "audit/orphans.h"
#include "base/catalog.h"
#include "base/encoding.h"
#include "functions/moment.h"

#define ORPHANS_COLUMNS		5
#define ORPHANS_MAX_KEYS	1000000

static void orphans_put(ReturnSetInfo *result, const InvalOrphan *orphan);
static Datum orphans_interval(int64 us);

PG_FUNCTION_INFO_V1(inval_orphans);

/*
 * inval_orphans(rule integer, remove boolean, max_keys integer) RETURNS SETOF record
 *
 * A row for each key and target.
 */
Datum
inval_orphans(PG_FUNCTION_ARGS)
{
	int32		rule = PG_GETARG_INT32(0);
	bool		remove = PG_GETARG_BOOL(1);
	int32		max_keys = PG_GETARG_INT32(2);
	InvalOrphans orphans;
	int			i;

	PreventCommandDuringRecovery("inval_orphans()");
	if (remove)
	{
		PreventCommandIfReadOnly("inval_orphans()");
		PreventCommandIfParallelMode("inval_orphans()");
	}
	(void) inval_catalog(false);
	inval_moment_check("inval_orphans");
	if (max_keys < 1 || max_keys > ORPHANS_MAX_KEYS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_keys must be between 1 and %d", ORPHANS_MAX_KEYS)));
	inval_moment_check_rule(rule);
	InitMaterializedSRF(fcinfo, 0);
	inval_orphans_find(&orphans, rule, max_keys);
	for (i = 0; i < orphans.count; i++)
		orphans_put((ReturnSetInfo *) fcinfo->resultinfo, &orphans.found[i]);
	if (remove)
		inval_orphans_remove(&orphans);
	ereport(NOTICE,
			(errmsg("%d of " UINT64_FORMAT " keys are orphans", orphans.count, orphans.seen),
			 orphans.cut ? errdetail("There may be more: max_keys is reached.") : 0,
			 remove || orphans.count == 0 ? 0 :
			 errhint("To remove them: SELECT * FROM inval_orphans(%d, remove => true).", rule)));
	inval_orphans_end(&orphans);
	return (Datum) 0;
}

static void
orphans_put(ReturnSetInfo *result, const InvalOrphan *orphan)
{
	Datum		values[ORPHANS_COLUMNS] = {0};
	bool		nulls[ORPHANS_COLUMNS] = {0};

	values[0] = PointerGetDatum(inval_show_key(orphan->name.bytes, (int) orphan->name.length));
	values[1] = CStringGetTextDatum(orphan->target->name);
	values[2] = CStringGetTextDatum(orphan->variable == NULL ? "no row" :
									psprintf("not a value of {$%s}", orphan->variable));
	nulls[3] = orphan->idle_s < 0;
	values[3] = orphans_interval(orphan->idle_s * USECS_PER_SEC);
	nulls[4] = orphan->ttl_ms < 0;
	values[4] = orphans_interval(orphan->ttl_ms * 1000);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

static Datum
orphans_interval(int64 us)
{
	Interval   *interval = palloc0(sizeof(Interval));

	interval->time = us;
	return IntervalPGetDatum(interval);
}
