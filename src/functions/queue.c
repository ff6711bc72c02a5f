/*
 * queue.c
 *		SQL functions to see and to fill the outbox.
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/extension.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"
#include "utils/xid8.h"

#include "base/catalog.h"
#include "base/encoding.h"
#include "base/origin.h"
#include "base/rights.h"
#include "commit/commit.h"
#include "outbox/ledger.h"
#include "outbox/outbox.h"
#include "outbox/read.h"
#include "stats/stats.h"
#include "store/pauses.h"
#include "target/target.h"
#include "target/targets.h"
#include "target/usage.h"
#include "worker/refusal.h"

#define QUEUE_COLUMNS	11

typedef struct QueueScan
{
	ReturnSetInfo *result;
	const InvalTarget *target;	/* what the fields below are about */
	bool		keys;			/* the caller may see them */
	bool		down;			/* the target is, hence: */
	uint32		attempts;
	TimestampTz next_try;
	char		error[INVAL_ERROR_LEN];
} QueueScan;

static void queue_look_at(QueueScan *scan, const InvalTarget *target);
static bool queue_visit_row(InvalOutboxRow *row, void *arg);
static void queue_put_entry(QueueScan *scan, const InvalOutboxRow *row,
							int64 number, const InvalEntry *entry);

static void touch_check_action(const char *name, InvalEntry *entry);

PG_FUNCTION_INFO_V1(inval_queue_rows);
PG_FUNCTION_INFO_V1(inval_outbox_source);
PG_FUNCTION_INFO_V1(inval_touch);

/*
 * Rows of inval_queue: what is committed now and not confirmed now, whatever
 * the caller's snapshot is.
 */
Datum
inval_queue_rows(PG_FUNCTION_ARGS)
{
	QueueScan	scan = {0};

	InitMaterializedSRF(fcinfo, 0);
	scan.result = (ReturnSetInfo *) fcinfo->resultinfo;
	inval_ledger_attach();
	inval_targets_refresh();
	inval_pauses_refresh();
	scan.keys = inval_rights_see_keys();
	inval_outbox_scan_all(INVAL_OUTBOX_TABLES, queue_visit_row, &scan);
	return (Datum) 0;
}

/*
 * Looks at the health of a target, once for rows in a row.
 */
static void
queue_look_at(QueueScan *scan, const InvalTarget *target)
{
	InvalTargetHealth *health = target->health;

	if (scan->target == target)
		return;
	scan->target = target;
	SpinLockAcquire(&health->mutex);
	scan->down = pg_atomic_read_u32(&health->down) != 0;
	scan->attempts = health->breaker.attempts;
	scan->next_try = health->breaker.next_try;
	strlcpy(scan->error, health->last_error, sizeof(scan->error));
	SpinLockRelease(&health->mutex);
}

static bool
queue_visit_row(InvalOutboxRow *row, void *arg)
{
	const char *place = row->pack;
	int			i;

	InvalTarget *target = inval_target_by_number(row->target);

	CHECK_FOR_INTERRUPTS();
	if (target == NULL || row->lane == INVAL_LANE_REFILL || !inval_outbox_is_owed(row))
		return true;
	queue_look_at(arg, target);
	if (!inval_outbox_is_readable(row))
	{
		queue_put_entry(arg, row, row->first, NULL);
		return true;
	}
	for (i = 0; i < row->entries; i++)
	{
		InvalEntry	entry;

		place = inval_entry_read(place, row->pack + row->pack_length, &entry);
		queue_put_entry(arg, row, row->first + i, &entry);
	}
	return true;
}

/*
 * Shows one entry; NULL for a row that cannot be read.
 */
static void
queue_put_entry(QueueScan *scan, const InvalOutboxRow *row, int64 number,
				const InvalEntry *entry)
{
	Datum		values[QUEUE_COLUMNS] = {0};
	bool		nulls[QUEUE_COLUMNS] = {0};
	int64		id = inval_outbox_entry_id(row->xid, number);
	InvalRefusal refusal;

	values[0] = Int64GetDatum(id);
	values[1] = TimestampTzGetDatum(row->queued_at);
	values[2] = FullTransactionIdGetDatum(row->xid);
	nulls[3] = entry == NULL || entry->rule == 0;
	values[4] = CStringGetTextDatum(scan->target->name);
	nulls[5] = entry == NULL;
	nulls[6] = entry == NULL || !scan->keys;
	nulls[7] = entry == NULL || entry->field == NULL || !scan->keys;
	if (!nulls[3])
		values[3] = Int32GetDatum((int32) entry->rule);
	if (!nulls[5])
		values[5] = CStringGetTextDatum(inval_action_name(entry->action));
	if (!nulls[6])
		values[6] = PointerGetDatum(inval_show_key(entry->key, (int) entry->key_length));
	if (!nulls[7])
		values[7] = PointerGetDatum(inval_show_key(entry->field,
												   (int) entry->field_length));

	nulls[9] = nulls[10] = true;
	values[8] = Int32GetDatum(0);
	if (inval_refusal_find(id, &refusal))
	{
		values[8] = Int32GetDatum((int32) refusal.attempts);
		values[9] = TimestampTzGetDatum(refusal.next_try);
		values[10] = CStringGetTextDatum(refusal.error);
		nulls[9] = nulls[10] = false;
	}
	else if (entry == NULL)
	{
		values[10] = CStringGetTextDatum(INVAL_OUTBOX_UNREADABLE);
		nulls[10] = false;
	}
	else if (inval_pauses_hold(entry))
	{
		values[10] = CStringGetTextDatum("the rule is paused");
		nulls[10] = false;
	}
	else if (scan->down)
	{
		values[8] = Int32GetDatum((int32) scan->attempts);
		values[9] = TimestampTzGetDatum(scan->next_try);
		values[10] = CStringGetTextDatum(scan->error);
		nulls[9] = nulls[10] = false;
	}
	tuplestore_putvalues(scan->result->setResult, scan->result->setDesc, values, nulls);
}

/*
 * The query of the outbox's materialized views: no rows when they are made,
 * and later a refusal to replace what they hold.
 */
Datum
inval_outbox_source(PG_FUNCTION_ARGS)
{
	if (!creating_extension)
		inval_catalog_refuse_refresh();
	InitMaterializedSRF(fcinfo, 0);
	return (Datum) 0;
}

/*
 * inval_touch(key, action, delivery, field, target) RETURNS void
 */
Datum
inval_touch(PG_FUNCTION_ARGS)
{
	InvalEntry	entry = {0};
	InvalLane	lane = INVAL_LANE_COMMIT;
	char	   *words[5] = {NULL};
	InvalTarget *target;
	InvalTally *tally;
	int			i;

	PreventCommandIfReadOnly("inval_touch()");
	PreventCommandIfParallelMode("inval_touch()");
	PreventCommandDuringRecovery("inval_touch()");
	(void) inval_catalog(false);

	for (i = 0; i < 5; i++)
	{
		static const char *const names[] = {"key", "action", "delivery", "field", "target"};

		if (!PG_ARGISNULL(i))
			words[i] = text_to_cstring(PG_GETARG_TEXT_PP(i));
		else if (i != 3)
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("%s must not be null", names[i])));
	}
	touch_check_action(words[1], &entry);
	if (strcmp(words[2], "background") == 0)
		lane = INVAL_LANE_WORKER;
	else if (strcmp(words[2], "strict") == 0 && entry.action == INVAL_ACTION_DELETE &&
			 words[3] == NULL)
	{
		lane = INVAL_LANE_STRICT;
		entry.strict = entry.fence = true;
	}
	else if (strcmp(words[2], "commit") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("delivery \"%s\" does not exist or is not for what is to be done",
						words[2]),
				 errhint("It is one of \"commit\", \"background\", and for whole keys that are deleted \"strict\".")));
	if (entry.action == INVAL_ACTION_PREFIX)
		lane = INVAL_LANE_WORKER;
	if (words[3] != NULL && entry.action != INVAL_ACTION_DELETE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("field and action \"%s\" are both given", words[1]),
				 errdetail("Only \"delete\" is done to a field of a hash."),
				 errhint("Leave one of them out.")));
	target = inval_target_by_name(words[4], false);
	inval_target_check_usage(GetUserId(), target->name);
	words[0] = inval_encode_key_or_fail(words[0], "key");
	if (words[3] != NULL)
		words[3] = inval_encode_key_or_fail(words[3], "field");
	entry.key = words[0];
	entry.key_length = (uint32) strlen(words[0]);
	entry.field = words[3];
	entry.field_length = words[3] ? (uint32) strlen(words[3]) : 0;
	inval_target_check_key(target, &entry);
	tally = inval_stats_tally(0, target->number);
	inval_origin_saw(INVAL_BY_TOUCH);
	if (!inval_commit_queue(lane, target->number, &entry))
		tally->counts.coalesced++;
	PG_RETURN_VOID();
}

/*
 * Those that need no more than a key
 */
static void
touch_check_action(const char *name, InvalEntry *entry)
{
	if (!inval_action_from_name(name, &entry->action) ||
		(entry->action != INVAL_ACTION_DELETE && entry->action != INVAL_ACTION_VERSION &&
		 entry->action != INVAL_ACTION_MEMBERS && entry->action != INVAL_ACTION_PREFIX))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("action \"%s\" does not exist or cannot be done by hand", name),
				 errhint("It is one of \"delete\", \"version\", \"members\", \"prefix\".")));
}
