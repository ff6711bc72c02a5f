/*
 * audits.c
 *		Audits that a worker makes by itself.
 *
 * Every inval.audit_interval the worker of a target audits the next of the rules that
 * have a query for that and name the target, by their numbers.  Which was the last one
 * is in shared memory, as workers that take turns come and go.  An audit is made in
 * steps of a few rows, each in a transaction of its own, between which the worker
 * delivers; a step has no more time than a value that is put back.  Nothing is repaired:
 * what is stale is counted, for somebody to be told.
 *
 * A query that fails ends the audit of its rule, and nothing else.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "audit/audit.h"
#include "audit/holding.h"
#include "base/attempt.h"
#include "base/settings.h"
#include "base/skips.h"
#include "base/transaction.h"
#include "outbox/read.h"
#include "rule/carrier.h"
#include "stats/stats.h"
#include "target/pace.h"
#include "worker/audits.h"
#include "worker/query_limit.h"
#include "worker/refusal.h"
#include "worker/told.h"

/* Rows of a step */
#define AUDITS_STEP_ROWS	10

/* While the outbox is larger, in blocks, there are no audits. */
#define AUDITS_MAX_BLOCKS	2048

/* What a query has cost a process is noted under a number that no entry has. */
#define AUDITS_LIMIT_ID(rule)	(-(int64) (rule) - 1)

static int32 current = 0;		/* the rule that is being audited; 0: none */
static int	rows_left;			/* of its sample */
static List *told = NIL;		/* see told.h */

static void audits_choose(InvalTarget *target);
static bool audits_is_for(const InvalDefinition *definition, const InvalTarget *target);
static int	audits_step_rows(const InvalTarget *target);
static void audits_step(InvalTarget *target);
static void audits_step_in(InvalTarget *target, InvalAudit *audit, int rows);
static bool audits_has_much_queued(void);
static void audits_failed(const InvalTarget *target, int32 rule, const char *why);

/*
 * When there is something to be audited, and the target's rate allows it; 0: never.
 */
TimestampTz
inval_audits_next(const InvalTarget *target)
{
	InvalTargetHealth *health = target->health;
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz next;

	if (inval_audit_interval == 0)
		return 0;
	SpinLockAcquire(&health->mutex);
	next = health->audit_at;
	SpinLockRelease(&health->mutex);
	/* It may have been made shorter since. */
	next = Min(next, TimestampTzPlusMilliseconds(now, inval_audit_interval));
	return Max(current != 0 || next == 0 ? now : next,
			   TimestampTzPlusMilliseconds(now, inval_pace_wait_ms(target)));
}

/*
 * Goes a step on, if it is time for one.  Returns whether there is another at once.
 * For a worker, which is in no transaction; raises no error for the sake of a rule, or
 * of the target.
 */
bool
inval_audits_run(InvalTarget *target)
{
	TimestampTz next = inval_audits_next(target);

	if (next == 0)
		current = 0;
	if (next == 0 || next > GetCurrentTimestamp())
		return false;
	if (current == 0)
		audits_choose(target);
	if (current != 0)
		audits_step(target);
	return current != 0;
}

/*
 * Chooses the next rule; none, if no rule is to be audited.
 */
static void
audits_choose(InvalTarget *target)
{
	InvalTargetHealth *health = target->health;
	int32		last = (int32) health->audit_rule;
	int32		next = 0;
	int32		first = 0;
	ListCell   *lc;

	inval_transaction_begin();
	foreach(lc, inval_carriers_all())
	{
		const InvalDefinition *definition = lfirst(lc);
		int32		id = inval_definition_id(definition);

		if (!audits_is_for(definition, target))
			continue;
		if (first == 0 || id < first)
			first = id;
		if (id > last && (next == 0 || id < next))
			next = id;
	}
	inval_transaction_commit();
	current = next != 0 ? next : first;
	rows_left = inval_audit_sample;
	SpinLockAcquire(&health->mutex);
	health->audit_rule = (uint32) current;
	health->audit_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), inval_audit_interval);
	SpinLockRelease(&health->mutex);
	if (current != 0 && inval_limit_was_overrun(AUDITS_LIMIT_ID(current)))
	{
		audits_failed(target, current, INVAL_LIMIT_OVERRUN);
		current = 0;
	}
}

static bool
audits_is_for(const InvalDefinition *definition, const InvalTarget *target)
{
	ListCell   *lc;

	if ((definition->options[RULE_AUDIT] == NULL && definition->options[RULE_REFILL] == NULL) ||
		strcmp(inval_definition_get(definition, RULE_STATE), "on") != 0)
		return false;
	foreach(lc, inval_definition_list(definition, RULE_TARGETS))
	{
		if (strcmp(lfirst(lc), target->name) == 0)
			return true;
	}
	return false;
}

/*
 * Of a target that has a rate no more is asked at a time than it is sent at a time.
 */
static int
audits_step_rows(const InvalTarget *target)
{
	int			rows = Min(rows_left, AUDITS_STEP_ROWS);

	return Max(Min(rows, inval_pace_batch(target) / INVAL_HOLDING_COMMANDS), 1);
}

/*
 * Audits the keys of some rows.
 */
static void
audits_step(InvalTarget *target)
{
	MemoryContext context = CurrentMemoryContext;
	bool		muted = inval_skips_mute(true);
	InvalAudit	audit;

	PG_TRY();
	{
		inval_transaction_begin();
		audits_step_in(target, &audit, audits_step_rows(target));
		inval_transaction_commit();
		if (rows_left <= 0)
			current = 0;
	}
	PG_CATCH();
	{
		ErrorData  *error = inval_limit_caught(context);

		audits_failed(target, current, error->message);
		FreeErrorData(error);
		current = 0;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	(void) inval_skips_mute(muted);
	inval_limit_forget_locks();
}

/*
 * The same, in its transaction.  Of a small table no more is looked at than there is.
 * The rule's queries have a limited time before the target is asked, and after that.
 */
static void
audits_step_in(InvalTarget *target, InvalAudit *audit, int rows)
{
	bool		any;

	if (audits_has_much_queued() || inval_carrier_find(current) == NULL)
	{
		rows_left = 0;			/* not now; or it has gone meanwhile */
		return;
	}
	inval_limit_begin(AUDITS_LIMIT_ID(current), inval_refill_timeout);
	inval_audit_begin(audit, current, target);
	any = inval_audit_read(audit, rows);
	inval_limit_end();
	if (any)
	{
		inval_audit_ask(audit, false);
		inval_limit_begin(AUDITS_LIMIT_ID(current), inval_refill_timeout);
		inval_audit_judge(audit);
		inval_limit_end();
	}
	if (audit->refused != NULL)
		audits_failed(target, current, audit->refused);
	if (audit->sample.all > 0 && audit->sample.all < (uint64) rows_left)
		rows_left = (int) audit->sample.all;
	rows_left -= audit->sample.count == 0 ? rows_left : rows;
	inval_audit_end(audit);
}

/*
 * Whether so much is queued, for whatever target, that to read it twice in each step
 * would keep us from delivering it.
 */
static bool
audits_has_much_queued(void)
{
	uint64		blocks = 0;
	int			table;

	for (table = 0; table < INVAL_OUTBOX_TABLES; table++)
	{
		BlockNumber found = inval_outbox_blocks(table);

		blocks += BlockNumberIsValid(found) ? found : 0;
	}
	return blocks > AUDITS_MAX_BLOCKS;
}

/*
 * Counts an audit that came to nothing, and says why in the log, if it was not said last.
 */
static void
audits_failed(const InvalTarget *target, int32 rule, const char *why)
{
	InvalStatsSlot *slot = inval_stats_slot((uint32) rule, target->name);

	if (slot != NULL)
		pg_atomic_fetch_add_u64(&slot->counts[INVAL_STATS_AUDIT_FAILED], 1);
	if (inval_told_is_news(&told, (uint32) rule, why))
		ereport(LOG,
				(errmsg("inval rule %d could not be audited: %s", rule, why),
				 errdetail("This is said once, until it is for another reason."),
				 errhint("inval_stats.audit_failed counts them.")));
}
