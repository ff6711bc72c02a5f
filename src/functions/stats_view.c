/*
 * stats_view.c
 *		SQL functions that show counters and targets.
 */
#include "postgres.h"

#include <math.h>

#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#include "outbox/kept.h"
#include "outbox/ledger.h"
#include "outbox/outbox.h"
#include "outbox/read.h"
#include "rule/carrier.h"
#include "stats/stats.h"
#include "target/targets.h"

#define STATS_COLUMNS	24
#define STATUS_COLUMNS	18

typedef struct QueueDepth
{
	InvalTarget *target;
	bool		kept;			/* what is kept for it is counted already */
	int64		entries;
	TimestampTz oldest;
} QueueDepth;

typedef struct QueueDepths
{
	int			count;
	QueueDepth *depths;			/* of each target */
} QueueDepths;

static void stats_audits(InvalStatsSlot *slot, Datum *values);
static void stats_put_slot(ReturnSetInfo *result, InvalStatsSlot *slot);
static void status_measure(QueueDepths *depths);
static void status_put_target(ReturnSetInfo *result, const QueueDepth *depth);
static bool status_needs_functions(const InvalTarget *target);
static bool status_visit_row(InvalOutboxRow *row, void *arg);

PG_FUNCTION_INFO_V1(inval_stats_rows);
PG_FUNCTION_INFO_V1(inval_stats_reset);
PG_FUNCTION_INFO_V1(inval_target_status_rows);

Datum
inval_stats_rows(PG_FUNCTION_ARGS)
{
	uint32		count;
	InvalStatsSlot *slots = inval_stats_slots(&count);
	uint32		i;

	InitMaterializedSRF(fcinfo, 0);
	for (i = 0; i < count; i++)
		if (slots[i].database == MyDatabaseId)
			stats_put_slot((ReturnSetInfo *) fcinfo->resultinfo, &slots[i]);
	return (Datum) 0;
}

static void
stats_put_slot(ReturnSetInfo *result, InvalStatsSlot *slot)
{
	static const double shares[] = {0.50, 0.95, 0.99};
	Datum		values[STATS_COLUMNS] = {0};
	bool		nulls[STATS_COLUMNS] = {0};
	uint64		buckets[INVAL_LAG_BUCKETS];
	double		max_ms = (double) pg_atomic_read_u64(&slot->lag_max_us) / 1000.0;
	uint64		last = pg_atomic_read_u64(&slot->last_delivery);
	int			i;

	for (i = 0; i < INVAL_LAG_BUCKETS; i++)
		buckets[i] = pg_atomic_read_u32(&slot->lag[i]);

	values[0] = Int32GetDatum((int32) slot->rule);
	nulls[0] = slot->rule == 0;
	values[1] = CStringGetTextDatum(slot->target);
	values[2] = Int64GetDatum((int64) pg_atomic_read_u64(&slot->rows_seen));
	values[3] = Int64GetDatum((int64) pg_atomic_read_u64(&slot->keys_queued));
	values[4] = Int64GetDatum((int64) pg_atomic_read_u64(&slot->keys_coalesced));
	values[5] = Int64GetDatum((int64) pg_atomic_read_u64(&slot->delivered_at_commit));
	values[6] = Int64GetDatum((int64) pg_atomic_read_u64(&slot->delivered_by_worker));
	values[7] = Int64GetDatum((int64) pg_atomic_read_u64(&slot->failed_tries));
	values[8] = Int64GetDatum((int64) pg_atomic_read_u64(&slot->skipped));
	for (i = 0; i < (int) lengthof(shares); i++)
	{
		/* A bucket's edge may lie beyond the longest lag there was. */
		double		lag = inval_stats_lag_ms(buckets, shares[i]);

		nulls[9 + i] = isnan(lag);
		values[9 + i] = Float8GetDatum(Min(lag, max_ms));
	}
	nulls[12] = nulls[11];
	values[12] = Float8GetDatum(max_ms);
	nulls[13] = last == 0;
	values[13] = TimestampTzGetDatum((TimestampTz) last);
	values[14] = Int64GetDatum((int64) pg_atomic_read_u64(&slot->refilled));
	values[15] = Int64GetDatum((int64) pg_atomic_read_u64(&slot->refill_failed));
	stats_audits(slot, &values[16]);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/*
 * What audits, and searches for orphans, have found.
 */
static void
stats_audits(InvalStatsSlot *slot, Datum *values)
{
	Interval   *idle = palloc0(sizeof(Interval));

	values[0] = Int64GetDatum((int64) pg_atomic_read_u64(&slot->audited));
	values[1] = Int64GetDatum((int64) pg_atomic_read_u64(&slot->audit_fresh));
	values[2] = Int64GetDatum((int64) pg_atomic_read_u64(&slot->audit_missing));
	values[3] = Int64GetDatum((int64) pg_atomic_read_u64(&slot->audit_stale));
	values[4] = Int64GetDatum((int64) pg_atomic_read_u64(&slot->audit_unknown));
	values[5] = Int64GetDatum((int64) pg_atomic_read_u64(&slot->audit_failed));
	values[6] = Int64GetDatum((int64) pg_atomic_read_u64(&slot->orphans));
	idle->time = (TimeOffset) pg_atomic_read_u64(&slot->orphans_idle_s) * USECS_PER_SEC;
	values[7] = IntervalPGetDatum(idle);
}

Datum
inval_stats_reset(PG_FUNCTION_ARGS)
{
	(void) fcinfo;
	inval_stats_clear();
	PG_RETURN_VOID();
}

/*
 * Rows of inval_target_status.
 */
Datum
inval_target_status_rows(PG_FUNCTION_ARGS)
{
	QueueDepths depths;
	int			i;

	InitMaterializedSRF(fcinfo, 0);
	inval_ledger_attach();
	status_measure(&depths);
	for (i = 0; i < depths.count; i++)
		status_put_target((ReturnSetInfo *) fcinfo->resultinfo, &depths.depths[i]);
	return (Datum) 0;
}

/*
 * How much is queued for each target.  What is kept for those that are away is not
 * read again, if it has been counted.
 */
static void
status_measure(QueueDepths *depths)
{
	InvalTarget *target;
	int			tables = INVAL_OUTBOX_KEPT;
	int			count = 0;

	for (target = inval_target_default(); target != NULL; target = target->next)
		count++;
	depths->depths = palloc0(count * sizeof(QueueDepth));
	depths->count = 0;
	for (target = inval_target_default(); target != NULL; target = target->next)
	{
		QueueDepth *depth = &depths->depths[depths->count];

		if (target->dropped)
			continue;
		depth->target = target;
		depth->kept = inval_kept_is_known(target, &depth->entries, &depth->oldest);
		if (!depth->kept)
		{
			depth->entries = 0;
			tables = INVAL_OUTBOX_TABLES;
		}
		depths->count++;
	}
	inval_outbox_scan_all(tables, status_visit_row, depths);
}

static void
status_put_target(ReturnSetInfo *result, const QueueDepth *depth)
{
	InvalTarget *target = depth->target;
	Datum		values[STATUS_COLUMNS] = {0};
	bool		nulls[STATUS_COLUMNS] = {0};
	InvalTargetHealth health;
	char		address[INVAL_ADDRESS_LEN];
	TimestampTz now = GetCurrentTimestamp();
	bool		down;
	Interval   *age = palloc0(sizeof(Interval));

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

static bool
status_visit_row(InvalOutboxRow *row, void *arg)
{
	QueueDepths *depths = arg;
	QueueDepth *depth = depths->depths;

	CHECK_FOR_INTERRUPTS();
	while (depth < depths->depths + depths->count && depth->target->number != row->target)
		depth++;
	if (depth == depths->depths + depths->count ||
		row->lane == INVAL_LANE_REFILL || (depth->kept && row->table >= INVAL_OUTBOX_KEPT) || !inval_outbox_is_owed(row))
		return true;
	if (depth->entries == 0 || row->queued_at < depth->oldest)
		depth->oldest = row->queued_at;
	depth->entries += row->entries;
	return true;
}
