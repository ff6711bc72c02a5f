/*
 * status_view.c
 *		inval_target_status: how each target is doing.
 */
#include "postgres.h"

#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#include "functions/depth.h"
#include "rule/carrier.h"
#include "target/targets.h"

#define STATUS_COLUMNS	24

static void status_put_target(ReturnSetInfo *result, const InvalDepth *depth);
static bool status_needs_functions(const InvalTarget *target);

PG_FUNCTION_INFO_V1(inval_target_status_rows);

/*
 * Rows of inval_target_status.
 */
Datum
inval_target_status_rows(PG_FUNCTION_ARGS)
{
	InvalDepths depths;
	int			i;

	InitMaterializedSRF(fcinfo, 0);
	inval_depths_measure(&depths, 0);
	for (i = 0; i < depths.count; i++)
		status_put_target((ReturnSetInfo *) fcinfo->resultinfo, &depths.depths[i]);
	return (Datum) 0;
}

static void
status_put_target(ReturnSetInfo *result, const InvalDepth *depth)
{
	InvalTarget *target = depth->target;
	Datum		values[STATUS_COLUMNS] = {0};
	bool		nulls[STATUS_COLUMNS] = {0};
	InvalTargetHealth health;
	char		address[INVAL_ADDRESS_LEN];
	TimestampTz now = GetCurrentTimestamp();
	bool		down;
	Interval   *age = palloc0(sizeof(Interval));
	int			i;

	SpinLockAcquire(&target->health->mutex);
	memcpy(&health, target->health, sizeof(health));
	SpinLockRelease(&target->health->mutex);
	down = pg_atomic_read_u32(&health.down) != 0;

	inval_url_address(&target->url, address, sizeof(address));
	values[0] = CStringGetTextDatum(target->name);
	values[1] = CStringGetTextDatum(pg_atomic_read_u32(&health.paused) ? "paused" :
									down ? "down" : "up");
	values[2] = CStringGetTextDatum(health.address[0] ? health.address : address);
	values[3] = Float8GetDatum(health.round_trip_us / 1000.0);
	nulls[3] = health.round_trip_us == 0;
	values[4] = Int64GetDatum(depth->entries);
	age->time = now - depth->oldest;
	values[5] = IntervalPGetDatum(age);
	nulls[5] = depth->entries == 0;
	/* The second that is being counted is over if nothing came since. */
	values[6] = Float8GetDatum((double) (health.window_second < now / USECS_PER_SEC ?
										 health.window_keys : health.rate));
	values[7] = Int32GetDatum((int32) health.worker_pid);
	nulls[7] = health.worker_pid == 0;
	values[8] = Int32GetDatum((int32) health.breaker.attempts);
	values[9] = TimestampTzGetDatum(health.breaker.next_try);
	nulls[9] = !down;
	if (health.last_error[0] == '\0' && pg_atomic_read_u32(&health.no_unlink) != 0)
		strlcpy(health.last_error, "the server does not know UNLINK, so DEL is used",
				sizeof(health.last_error));
	else if (health.last_error[0] == '\0' && health.library_missing[0] != '\0' &&
			 status_needs_functions(target))
		snprintf(health.last_error, sizeof(health.last_error),
				 "no functions for readers: %.120s", health.library_missing);
	values[10] = CStringGetTextDatum(health.last_error);
	nulls[10] = health.last_error[0] == '\0';
	values[11] = target->region ? CStringGetTextDatum(target->region) : (Datum) 0;
	nulls[11] = target->region == NULL;
	values[12] = target->namespace ? CStringGetTextDatum(target->namespace) : (Datum) 0;
	nulls[12] = target->namespace == NULL;
	values[13] = Int32GetDatum(target->max_rate);
	nulls[13] = target->max_rate == 0;
	values[14] = CStringGetTextDatum(psprintf("%s%s%s", health.progress,
											  health.progress[0] && health.purge[0] ? "; " : "",
											  health.purge));
	nulls[14] = health.progress[0] == '\0' && health.purge[0] == '\0';
	values[15] = TimestampTzGetDatum(health.collapsed_at);
	values[16] = Int64GetDatum(health.collapsed_keys);
	nulls[15] = nulls[16] = health.collapsed_at == 0;
	values[17] = Int64GetDatum((int64) pg_atomic_read_u32(&health.fences_lost));
	for (i = 0; i < INVAL_VITALS; i++)
	{
		values[18 + i] = Int64GetDatum(health.vitals[i]);
		nulls[18 + i] = down || !health.vitals_known || health.vitals[i] < 0;
	}
	values[22] = Int32GetDatum((int32) pg_atomic_read_u32(&health.sessions));
	values[23] = Int64GetDatum((int64) pg_atomic_read_u64(&health.turned_away));
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/*
 * Whether a rule is for readers with leases at a target, or needs functions itself.
 */
static bool
status_needs_functions(const InvalTarget *target)
{
	ListCell   *rule;
	ListCell   *name;

	foreach(rule, inval_carriers_all())
	{
		if (strcmp(inval_definition_get(lfirst(rule), RULE_FENCE), "true") != 0 &&
			strcmp(inval_definition_get(lfirst(rule), RULE_ACTION), "members") != 0 &&
			inval_definition_get(lfirst(rule), RULE_STREAM) == NULL)
			continue;
		foreach(name, inval_definition_list(lfirst(rule), RULE_TARGETS))
		{
			if (strcmp(lfirst(name), target->name) == 0)
				return true;
		}
	}
	return false;
}
