/*
 * audit.c
 *		Compares what targets hold at keys of a rule with what they should.
 *
 * Keys of rows that were chosen at random; what should be there is what the rule's query
 * of audit, or else of refill, gives.  The steps, in their order:
 *
 *		begin	from here on nothing that is queued goes unnoticed (traffic.c)
 *		read	rows, their keys, and the expected values; then what is owed
 *		ask		what the targets hold
 *		judge	the expected values once more, in a younger snapshot; then what was
 *				invalidated since the beginning
 *
 * A value counts as stale if it is not the expected one, and that was the same before
 * and after it was read, no invalidation of the key was owed before it was read, and
 * none came in since the beginning.  Suppose that a commit had changed what is expected.
 * If it was visible when the expected value was first found, then it is either owed, or
 * what it removes was gone before we asked.  If it became visible later, then it wrote
 * the key to the outbox before that, where we look for it at the end; if no rule does
 * that for it, the two expected values differ.  So what is left is a value that nobody
 * is going to remove: a reader has written it back, or somebody by hand, or the change
 * is none that any rule sees.
 *
 * The rest is skipped, and so is what is fenced or being filled.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "utils/memutils.h"

#include "audit/audit.h"
#include "audit/fed.h"
#include "audit/holding.h"
#include "base/progress.h"
#include "base/settings.h"
#include "commit/commit.h"
#include "key/lookup.h"
#include "rule/family.h"
#include "stats/stats.h"
#include "store/pauses.h"
#include "target/address.h"
#include "target/breaker.h"
#include "target/pace.h"
#include "target/reach.h"
#include "target/usage.h"

/* The most bytes that expected values may have together; others are skipped. */
#define AUDIT_VALUES_MAX		((Size) 64 * 1024 * 1024)

static void audit_bind(InvalAudit *audit);
static void audit_take_targets(InvalAudit *audit, InvalTarget *target);
static void audit_check_untouched(const InvalAudit *audit);
static void audit_expect(InvalAudit *audit);
static InvalRefillValue audit_value(InvalAudit *audit, const InvalAuditKey *key);
static void audit_list_findings(InvalAudit *audit);
static void audit_ask_target(InvalAudit *audit, int target, bool wait);
static const char *audit_obstacle(InvalTarget *target);
static void audit_pace(InvalTarget *target, bool wait);
static void audit_ask_key(InvalAudit *audit, InvalAuditFinding *finding, char *error);
static void audit_count(const InvalAudit *audit, const InvalAuditFinding *finding);
static void audit_skip(InvalAuditFinding *finding, const char *why);

/*
 * Begins an audit of a rule, at all of its targets or one of them.  A rule that cannot
 * be audited is an error.  What this takes is given back by inval_audit_end, or by an
 * error.
 */
void
inval_audit_begin(InvalAudit *audit, int32 rule, InvalTarget *target)
{
	MemoryContext old;

	memset(audit, 0, sizeof(*audit));
	audit->context = AllocSetContextCreate(CurrentMemoryContext, "inval audit",
										   ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(audit->context);
	inval_subject_open(&audit->subject, rule, audit->context);
	audit->id = rule;
	audit->tracked = audit->subject.tracked;
	audit->rule = audit->subject.rule;
	inval_sample_check(audit->tracked);
	audit_bind(audit);
	audit_take_targets(audit, target);
	audit_check_untouched(audit);
	audit->row = MakeSingleTupleTableSlot(RelationGetDescr(audit->tracked), &TTSOpsHeapTuple);
	if (audit->rule->via != NULL)
		audit->given = MakeSingleTupleTableSlot(audit->rule->via->lookup->descriptor,
												&TTSOpsHeapTuple);
	MemoryContextSwitchTo(old);
}

/*
 * The query that says what should be at the keys.
 */
static void
audit_bind(InvalAudit *audit)
{
	audit->query = inval_rule_bind_audit(audit->rule, audit->subject.definition, audit->tracked,
										 audit->context);
	if (audit->query == NULL)
		audit->query = audit->rule->refill;
	if (audit->query != NULL)
		return;
	if (audit->rule->refill_problem != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("refill query of rule %d cannot be used: %s", audit->id,
						audit->rule->refill_problem)));
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("rule %d has neither audit nor refill", audit->id),
			 errdetail("So nobody knows what should be at its keys."),
			 errhint("Give it a query for the value, as in inval_track(..., audit => 'SELECT ...').")));
}

static void
audit_take_targets(InvalAudit *audit, InvalTarget *target)
{
	int			i;

	audit->targets = palloc(audit->rule->ntargets * sizeof(InvalTarget *));
	for (i = 0; i < audit->rule->ntargets; i++)
		if (target == NULL || audit->rule->targets[i] == target)
			audit->targets[audit->ntargets++] = audit->rule->targets[i];
}

/*
 * An error if this transaction has changed what is audited: others do not see that.
 */
static void
audit_check_untouched(const InvalAudit *audit)
{
	List	   *relids;
	ListCell   *lc;
	bool		touched;

	if (!TransactionIdIsValid(GetTopTransactionIdIfAny()))
		return;
	touched = inval_lookup_is_touched(audit->query->lookup) || inval_rule_is_touched(audit->rule);
	relids = inval_family_leaves(RelationGetRelid(audit->tracked), AccessShareLock);
	foreach(lc, lappend_oid(relids, RelationGetRelid(audit->tracked)))
	{
		Relation	relation = relation_open(lfirst_oid(lc), NoLock);

		touched |= CheckRelationLockedByMe(relation, RowExclusiveLock, true);
		relation_close(relation, NoLock);
	}
	if (touched)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot audit rule %d in this transaction", audit->id),
				 errdetail("It may have changed what the rule's query reads, which others do not see yet."),
				 errhint("Commit it first.")));
}

/*
 * Finds the keys of so many rows and what should be there.  Returns false if there is
 * nothing to go on with: no row feeds a key, or the outbox is locked by somebody.
 */
bool
inval_audit_read(InvalAudit *audit, int rows)
{
	MemoryContext old = MemoryContextSwitchTo(audit->context);
	bool		begun = inval_traffic_begin(&audit->traffic);

	if (begun)
	{
		audit->sample = inval_sample(audit->tracked, rows, audit->traffic.since);
		inval_lookup_begin();
		inval_audit_find_keys(audit, rows);
		audit_expect(audit);
		inval_lookup_end();
		audit_list_findings(audit);
		inval_traffic_look(&audit->traffic);
	}
	MemoryContextSwitchTo(old);
	return audit->nkeys > 0;
}

/*
 * Asks the query for all keys.
 */
static void
audit_expect(InvalAudit *audit)
{
	Size		size = 0;
	int			i;

	for (i = 0; i < audit->nkeys && size <= AUDIT_VALUES_MAX; i++)
	{
		CHECK_FOR_INTERRUPTS();
		audit->keys[i].expected = audit_value(audit, &audit->keys[i]);
		audit->keys[i].read = true;
		size += audit->keys[i].expected.length;
	}
}

static InvalRefillValue
audit_value(InvalAudit *audit, const InvalAuditKey *key)
{
	ErrorContextCallback callback;
	InvalRefillValue value;

	callback.callback = inval_rule_error_context;
	callback.arg = audit->rule;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	ExecStoreHeapTuple(audit->sample.rows[key->row], audit->row, false);
	if (key->given != NULL)
		ExecStoreHeapTuple(key->given, audit->given, false);
	value = inval_refill_value(audit->query, audit->row, audit->given);
	error_context_stack = callback.previous;
	return value;
}

static void
audit_list_findings(InvalAudit *audit)
{
	int			i;
	int			j;

	audit->traffic.targets = audit->targets;
	audit->traffic.ntargets = audit->ntargets;
	audit->traffic.nkeys = audit->nkeys;
	audit->traffic.keys = palloc(Max(audit->nkeys, 1) * sizeof(InvalPrefix));
	audit->findings = palloc0(Max(audit->nkeys * audit->ntargets, 1) * sizeof(InvalAuditFinding));
	for (i = 0; i < audit->nkeys; i++)
	{
		audit->traffic.keys[i] = audit->keys[i].name;
		for (j = 0; j < audit->ntargets; j++)
		{
			InvalAuditFinding *finding = &audit->findings[i * audit->ntargets + j];

			finding->key = &audit->keys[i];
			finding->target = audit->targets[j];
		}
	}
}

/*
 * Asks the targets what they hold.  Keeps to a target's rate if it is to wait for that;
 * else only notes what it has sent, and whoever comes next waits.
 */
void
inval_audit_ask(InvalAudit *audit, bool wait)
{
	int			i;

	for (i = 0; i < audit->ntargets; i++)
		audit_ask_target(audit, i, wait);
}

static void
audit_ask_target(InvalAudit *audit, int number, bool wait)
{
	InvalTarget *target = audit->targets[number];
	const char *obstacle = audit_obstacle(target);
	InvalProgress *progress = inval_progress_begin("audit", target->name, audit->nkeys);
	char		error[INVAL_ERROR_TEXT_LEN] = "";
	int			i;

	for (i = 0; i < audit->nkeys; i++)
	{
		int			place = i * audit->ntargets + number;
		InvalAuditFinding *finding = &audit->findings[place];
		InvalEntry	entry = {.key = finding->key->name.bytes,
		.key_length = (uint32) finding->key->name.length};

		CHECK_FOR_INTERRUPTS();
		inval_progress_update(progress, i);
		if (!finding->key->read)
			audit_skip(finding, "the values are too large together");
		else if (!inval_target_may_have(target, &entry))
			audit_skip(finding, "not in the namespace");
		else if (audit->traffic.owed[place])
			audit_skip(finding, "queued");
		if (obstacle != NULL && finding->finding.detail == NULL)
			audit_skip(finding, obstacle);
		if (finding->finding.detail != NULL)
			continue;
		audit_pace(target, wait);
		audit_ask_key(audit, finding, error);
		if (error[0] != '\0')
		{
			obstacle = MemoryContextStrdup(audit->context,
										   psprintf("the target does not tell: %s", error));
			audit_skip(finding, obstacle);
			audit->refused = obstacle;
		}
	}
	inval_progress_end(progress);
}

/*
 * Why a target cannot be asked now; NULL: it can.
 */
static const char *
audit_obstacle(InvalTarget *target)
{
	uint64		deadline = inval_clock_us() + (uint64) inval_connect_timeout * 1000;

	if (pg_atomic_read_u32(&target->health->paused) != 0)
		return "the target is paused";
	if (!inval_target_is_open(target))
		return "the target is down";
	inval_target_prepare(target);
	return inval_target_connect(target, deadline, !inval_target_has_worker()) ? NULL :
		"the target cannot be reached";
}

/*
 * Keeps to the target's rate.
 */
static void
audit_pace(InvalTarget *target, bool wait)
{
	long		ms;

	while (wait && (ms = inval_pace_wait_ms(target)) > 0)
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, ms,
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	inval_pace_sent(target, INVAL_HOLDING_COMMANDS);
}

static void
audit_ask_key(InvalAudit *audit, InvalAuditFinding *finding, char *error)
{
	MemoryContext context = AllocSetContextCreate(audit->context, "inval audited key",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	const InvalPrefix *name = &finding->key->name;
	InvalHolding holding;

	if (inval_holding_ask(finding->target, name->bytes, name->length, &holding, error,
						  INVAL_ERROR_TEXT_LEN))
	{
		error[0] = '\0';
		finding->finding = inval_compare(&finding->key->expected, audit->query->binary, &holding);
		if (finding->finding.detail != NULL)
			finding->finding.detail = MemoryContextStrdup(audit->context,
														  finding->finding.detail);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/*
 * Says what is not to be relied on, because something has changed meanwhile, and counts
 * the rest.
 */
void
inval_audit_judge(InvalAudit *audit)
{
	MemoryContext values = AllocSetContextCreate(audit->context, "inval audited values",
												 ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(values);
	int			i;

	inval_lookup_begin();
	for (i = 0; i < audit->nkeys; i++)
	{
		InvalAuditKey *key = &audit->keys[i];
		InvalRefillValue again;

		CHECK_FOR_INTERRUPTS();
		if (!key->read)
			continue;
		again = audit_value(audit, key);
		key->moved = !inval_value_is_same(&key->expected, &again);
		MemoryContextReset(values);
	}
	MemoryContextSwitchTo(audit->context);
	inval_lookup_end();
	inval_traffic_look_back(&audit->traffic);
	for (i = 0; i < audit->nkeys * audit->ntargets; i++)
	{
		InvalAuditFinding *finding = &audit->findings[i];

		if (finding->finding.verdict != INVAL_VERDICT_SKIPPED &&
			(finding->key->moved || audit->traffic.changed[i]))
			audit_skip(finding, "changed meanwhile");
		else if (finding->finding.verdict != INVAL_VERDICT_SKIPPED &&
				 inval_address_has_changed(finding->target))
			audit_skip(finding, "the target has moved");
		audit_count(audit, finding);
	}
	MemoryContextSwitchTo(old);
}

static void
audit_skip(InvalAuditFinding *finding, const char *why)
{
	finding->finding.verdict = INVAL_VERDICT_SKIPPED;
	finding->finding.detail = why;
}

static void
audit_count(const InvalAudit *audit, const InvalAuditFinding *finding)
{
	InvalStatsSlot *slot = inval_stats_slot((uint32) audit->id, finding->target->name);
	pg_atomic_uint64 *counter = NULL;

	if (slot == NULL)
		return;
	switch (finding->finding.verdict)
	{
		case INVAL_VERDICT_FRESH:
			counter = &slot->counts[INVAL_STATS_AUDIT_FRESH];
			break;
		case INVAL_VERDICT_MISSING:
			counter = &slot->counts[INVAL_STATS_AUDIT_MISSING];
			break;
		case INVAL_VERDICT_STALE:
			counter = &slot->counts[INVAL_STATS_AUDIT_STALE];
			break;
		case INVAL_VERDICT_UNKNOWN:
			counter = &slot->counts[INVAL_STATS_AUDIT_UNKNOWN];
			break;
		case INVAL_VERDICT_SKIPPED:
			return;
	}
	pg_atomic_fetch_add_u64(counter, 1);
	pg_atomic_fetch_add_u64(&slot->counts[INVAL_STATS_AUDITED], 1);
}

/*
 * Queues the removal of what is stale, as if the row had changed now: with the rule's
 * number and lane.  A strict rule's key is not fenced: what is there is old already.
 */
void
inval_audit_repair(InvalAudit *audit)
{
	const InvalRule *rule = audit->rule;
	InvalLane	lane = rule->lane == INVAL_LANE_STRICT ? INVAL_LANE_COMMIT : rule->lane;
	int			i;

	inval_pauses_refresh();
	if (inval_pauses_have(rule->id))
		lane = INVAL_LANE_WORKER;
	for (i = 0; i < audit->nkeys * audit->ntargets; i++)
	{
		InvalAuditFinding *finding = &audit->findings[i];
		InvalEntry	entry = {.action = rule->action,.fence = rule->fence,.rule = rule->id,
			.key = finding->key->name.bytes,
		.key_length = (uint32) finding->key->name.length};

		if (finding->finding.verdict != INVAL_VERDICT_STALE)
			continue;
		if (!inval_commit_queue(lane, finding->target->number, &entry))
			inval_stats_tally(rule->id, finding->target->number)->counts.coalesced++;
		finding->repaired = true;
	}
}

/*
 * Gives back what an audit has.
 */
void
inval_audit_end(InvalAudit *audit)
{
	inval_traffic_end(&audit->traffic);
	if (audit->given != NULL)
		ExecDropSingleTupleTableSlot(audit->given);
	ExecDropSingleTupleTableSlot(audit->row);
	relation_close(audit->tracked, AccessShareLock);
	audit->tracked = NULL;
	MemoryContextDelete(audit->context);
}
