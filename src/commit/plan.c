/*
 * plan.c
 *		What a transaction owes, on its way through the commit.
 *
 * PRE_COMMIT makes the plan: rows in the outbox, and for each target that is open
 * a connection and a shipment.  COMMIT sends the shipments, all before it waits
 * for the first, and notes what became of them.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"

#include "base/catalog.h"
#include "base/settings.h"
#include "commit/fence.h"
#include "commit/load.h"
#include "commit/pending.h"
#include "commit/plan.h"
#include "commit/portion.h"
#include "outbox/ledger.h"
#include "outbox/outbox.h"
#include "outbox/replay.h"
#include "redis/await.h"
#include "stats/ring.h"
#include "stats/stats.h"
#include "target/address.h"
#include "target/breaker.h"
#include "target/delivery.h"
#include "target/health.h"
#include "target/reach.h"
#include "target/target.h"
#include "target/targets.h"
#include "target/trust.h"

/* What PRE_COMMIT leaves for COMMIT: for one target, */
typedef struct PlanLeg
{
	InvalTarget *target;
	bool		to_worker;		/* some of it is the worker's from the start */
	bool		again;			/* it is repeated when standbys have replayed it */
	bool		at_commit;		/* some of it is to be sent now, */
	bool		ready;			/* and can be, */
	bool		delivered;		/* and was, and confirmed */
	InvalShipment shipment;
} PlanLeg;

/* and for all of them */
typedef struct Plan
{
	bool		made;			/* PRE_COMMIT was here */
	bool		has_commit_lane;	/* some leg has */
	bool		tell_all;		/* every worker may have something to do */
	FullTransactionId xid;
	FullTransactionId shadow_xid;	/* of one that owes something in shadow */
	InvalOrigin origin;			/* for the history */
	const Size *at_commit;		/* how much of each set is sent now */
	uint64		budget_us;		/* what is left of the commit timeout */
	uint64		connect_us;		/* what of that connecting may take */
	uint64		made_at;		/* as inval_clock_us gives it, */
	uint64		committed_at;	/* and so this */
	int			nlegs;
	PlanLeg    *legs;			/* one for each set that is owed anything */
} Plan;

static Plan plan;

static void plan_write_set(const InvalOwed *owed, Size now, const Size *at_commit,
						   InvalOutboxUse use);
static PlanLeg *plan_leg(InvalTarget *target);
static void plan_prepare_leg(PlanLeg *leg, const Size *at_commit);
static bool plan_connect(InvalTarget *target, uint64 deadline);
static void plan_fill_shipment(PlanLeg *leg, const Size *at_commit, uint64 deadline);
static bool plan_extension_is_gone(void);
static void plan_list_shadow(void);
static void plan_note_history(const PlanLeg *leg, uint64 lag_us);
static void plan_await(uint64 deadline);
static void plan_tell_workers(void);

/*
 * Another extension's callback has changed rows after our PRE_COMMIT: the
 * outbox has them, see that the workers come for them.
 */
void
inval_plan_late(void)
{
	inval_ledger_attach();
	plan.made = true;
	plan.tell_all = true;
}

/*
 * PRE_COMMIT: the last place where an error may be raised, and the first
 * where the set is complete.
 */
void
inval_plan_prepare(void)
{
	InvalTarget *target;
	InvalOutboxUse use;
	Size	   *at_commit;
	int			i;

	if (plan_extension_is_gone())
		return;
	inval_ledger_attach();
	plan.made = true;
	plan.made_at = inval_clock_us();
	plan.tell_all = inval_pending_did_spill();
	plan.budget_us = (uint64) inval_commit_timeout * 1000;
	plan.connect_us = plan.budget_us / 4 * 3;
	target = inval_target_default();
	for (; target != NULL; target = target->next)
		inval_target_log_change(target);

	plan.legs = palloc0(Max(inval_pending_sets(), 1) * sizeof(PlanLeg));
	at_commit = palloc0(Max(inval_pending_sets(), 1) * sizeof(Size));
	use = inval_portion_split(at_commit) ? INVAL_OUTBOX_ALL : INVAL_OUTBOX_MORE;
	for (i = 0; i < inval_pending_sets(); i++)
	{
		InvalOwed	owed = inval_pending_set(i);

		if (owed.length > 0)
			plan_write_set(&owed, at_commit[i], at_commit, use);
	}
	inval_fence_take();
	for (i = 0; i < plan.nlegs; i++)
		if (plan.legs[i].at_commit)
			plan_prepare_leg(&plan.legs[i], at_commit);
	inval_stats_prepare();
	inval_pending_flushed(true);
	plan.at_commit = at_commit;
	inval_origin_of_transaction(&plan.origin);
	if (plan.origin.commands != 0)
		inval_ring_attach(&inval_history);
}

/*
 * Writes what one target is owed by one lane to the outbox; so many bytes of it are
 * sent at commit, and of each set so many as "at_commit" has.
 */
static void
plan_write_set(const InvalOwed *owed, Size now, const Size *at_commit, InvalOutboxUse use)
{
	InvalTarget *target = inval_target_by_number(owed->target);
	PlanLeg    *leg;

	if (owed->lane == INVAL_LANE_SHADOW)
	{
		inval_stats_count_queued(owed->target, owed->entries, owed->length, false);
		inval_ring_attach(&inval_shadow);
		plan.shadow_xid = GetTopFullTransactionIdIfAny();
		return;
	}
	/* It was dropped, perhaps by this transaction: nobody is owed anything. */
	if (target == NULL)
		return;

	plan.xid = GetTopFullTransactionId();
	if (owed->lane == INVAL_LANE_REPEAT)
	{
		/* It stays for longer than what else a commit writes. */
		inval_outbox_write(owed->entries, owed->length, owed->lane, owed->target,
						   owed->after_ms, INVAL_OUTBOX_STAYING);
		plan_leg(target)->to_worker = true;
		return;
	}
	if (owed->lane == INVAL_LANE_REFILL)
	{
		inval_outbox_write(owed->entries, owed->length, owed->lane, owed->target, 0,
						   inval_portion_is_all(owed->target, at_commit) ?
						   INVAL_OUTBOX_AT_COMMIT : INVAL_OUTBOX_MORE);
		plan_leg(target)->to_worker = true;
		return;
	}
	inval_outbox_write(owed->entries, now, INVAL_LANE_COMMIT, owed->target, 0, use);
	inval_outbox_write(owed->entries + now, owed->length - now, INVAL_LANE_WORKER,
					   owed->target, 0, use);
	inval_stats_count_queued(owed->target, owed->entries, now, true);
	inval_stats_count_queued(owed->target, owed->entries + now, owed->length - now, false);

	leg = plan_leg(target);
	leg->to_worker |= now < owed->length;
	leg->again = inval_replay_is_wanted();
	leg->at_commit |= now > 0;
	plan.has_commit_lane |= now > 0;
}

/*
 * The leg of a target, made on first use.
 */
static PlanLeg *
plan_leg(InvalTarget *target)
{
	int			i;

	for (i = 0; i < plan.nlegs; i++)
		if (plan.legs[i].target == target)
			return &plan.legs[i];
	plan.legs[plan.nlegs].target = target;
	return &plan.legs[plan.nlegs++];
}

/*
 * Whether this transaction has dropped the extension, and with it the queue:
 * then there is nowhere to put what it owes.
 */
static bool
plan_extension_is_gone(void)
{
	bool		owes = false;
	int			i;

	if (inval_catalog(true) != NULL)
		return false;
	for (i = 0; i < inval_pending_sets(); i++)
	{
		InvalOwed	owed = inval_pending_set(i);

		owes |= owed.lane != INVAL_LANE_SHADOW && owed.length > 0;
	}
	if (owes)
		ereport(WARNING,
				(errmsg("invalidations of this transaction are dropped with extension \"inval\""),
				 errhint("Remove the keys of the rows it changed by hand.")));
	inval_pending_flushed(true);
	return true;
}

/*
 * Prepares what is sent to a target at commit: of each set so many bytes.  What
 * connecting takes is no longer there to wait for replies.
 */
static void
plan_prepare_leg(PlanLeg *leg, const Size *at_commit)
{
	uint64		start = inval_clock_us();
	uint64		spent;

	inval_target_prepare(leg->target);
	if (plan_connect(leg->target, start + plan.connect_us))
		plan_fill_shipment(leg, at_commit, start + plan.connect_us);
	spent = inval_clock_us() - start;
	plan.budget_us -= Min(spent, plan.budget_us);
	plan.connect_us -= Min(spent, plan.connect_us);
}

/*
 * Connects, until the deadline.  Failing to is no error: the keys are left to the
 * worker.  Nor is it tried where enough others are connected, or in what another
 * target has left of the time, which would say nothing about this one.
 */
static bool
plan_connect(InvalTarget *target, uint64 deadline)
{
	if (!inval_target_is_open(target) &&
		!(!inval_target_has_worker() && inval_target_claim_probe(target)))
		return false;
	if (plan.connect_us < (uint64) inval_commit_timeout * 1000 / 4 &&
		target->connection == NULL)
		return false;
	return inval_reach_is_admitted(target) &&
		inval_target_connect(target, deadline, false);
}

/*
 * Formats the commands.
 */
static void
plan_fill_shipment(PlanLeg *leg, const Size *at_commit, uint64 deadline)
{
	int			i;

	inval_shipment_init(&leg->shipment, leg->target, false);
	for (i = 0; i < inval_pending_sets(); i++)
	{
		InvalOwed	owed = inval_pending_set(i);

		if (owed.target == leg->target->number)
			inval_load_set(&leg->shipment, &owed, at_commit[i], plan.xid);
	}
	inval_shipment_seal(&leg->shipment);
	leg->ready = inval_shipment_reach(&leg->shipment, deadline);
}

/*
 * PRE_PREPARE: everything is the worker's, in a table whose locks may last.
 */
void
inval_plan_prepare_two_phase(void)
{
	int			i;

	if (plan_extension_is_gone())
		return;
	inval_fence_refuse_two_phase();
	for (i = 0; i < inval_pending_sets(); i++)
	{
		InvalOwed	owed = inval_pending_set(i);

		if (owed.lane != INVAL_LANE_SHADOW)
			inval_outbox_write(owed.entries, owed.length,
							   inval_pending_worker_lane(owed.lane), owed.target, owed.after_ms,
							   INVAL_OUTBOX_LASTING);
		if (inval_pending_is_counted(owed.lane))
			inval_stats_count_queued(owed.target, owed.entries, owed.length, false);
	}
	inval_stats_prepare();
	inval_pending_flushed(true);
}

/*
 * Lists what rules in state "shadow" would have sent.  Cannot fail.
 */
static void
plan_list_shadow(void)
{
	int			i;

	for (i = 0; i < inval_pending_sets(); i++)
	{
		InvalOwed	owed = inval_pending_set(i);
		InvalTarget *target = inval_target_by_number(owed.target);
		InvalRingNote note = {.xid = plan.shadow_xid,.outcome = INVAL_RING_SHADOW};

		if (owed.lane != INVAL_LANE_SHADOW || owed.length == 0 || target == NULL)
			continue;
		note.target = target->name;
		inval_ring_note(&inval_shadow, &note, owed.entries, owed.length);
	}
}

/*
 * COMMIT: nothing here can fail.  Sends what can be sent without waiting.  Returns
 * whether anything was; then inval_plan_finish must follow.
 */
bool
inval_plan_send(void)
{
	bool		on_its_way = false;
	int			i;

	inval_fence_commit();
	if (!plan.made)
		return false;
	plan.committed_at = inval_clock_us();
	plan_list_shadow();
	for (i = 0; i < plan.nlegs; i++)
		if (plan.legs[i].ready)
		{
			inval_shipment_start(&plan.legs[i].shipment);
			on_its_way = true;
		}
	if (!on_its_way)
		inval_plan_finish();
	return on_its_way;
}

/*
 * Waits for all servers at once: one that does not answer must not take the time in
 * which another would take the rest of a large set.  There may be more of them than
 * can be waited for together; those are waited for in inval_shipment_finish.
 */
static void
plan_await(uint64 deadline)
{
	InvalConnection *connections[INVAL_AWAIT_MAX];
	int			count = 0;
	int			i;

	for (i = 0; i < plan.nlegs; i++)
		if (plan.legs[i].ready)
			count += inval_shipment_connections(&plan.legs[i].shipment, connections + count,
												INVAL_AWAIT_MAX - count);
	inval_await(connections, count, deadline, INVAL_WAIT_HELD);
}

/*
 * Waits for the replies, if anything was sent, and notes what became of it.
 */
void
inval_plan_finish(void)
{
	uint64		deadline = plan.committed_at + plan.budget_us;
	bool		all = true;
	int			i;

	plan_await(deadline);
	for (i = 0; i < plan.nlegs; i++)
	{
		PlanLeg    *leg = &plan.legs[i];

		if (leg->ready)
		{
			bool		confirmed = inval_shipment_finish(&leg->shipment, deadline,
														  INVAL_WAIT_HELD);
			uint64		now = inval_clock_us();

			/* What counts is the server that the worker would deliver to. */
			leg->delivered = confirmed &&
				inval_target_shares_health(leg->target) &&
				!inval_address_has_changed(leg->target) &&
				inval_trust_is_prompt(leg->target, now - plan.made_at);
			pg_atomic_fetch_add_u32(&leg->target->health->fences_lost,
									Max(leg->shipment.fences_lost -
										inval_fence_doubles(leg->target), 0));
			inval_stats_commit_target(leg->target->number, leg->delivered,
									  now - plan.committed_at);
			inval_stats_commit_removed(&leg->shipment);
			if (leg->delivered && plan.origin.commands != 0)
				plan_note_history(leg, now - plan.committed_at);
		}
		if (leg->at_commit && !leg->delivered)
			all = false;
	}
	for (i = 0; i < plan.nlegs && !all; i++)
		if (plan.legs[i].delivered)
			inval_ledger_note_part(plan.xid, plan.legs[i].target->health);
	if (plan.has_commit_lane)
		inval_ledger_note(plan.xid, all ? INVAL_LEDGER_CONFIRMED : INVAL_LEDGER_LEFT);
	inval_stats_commit();
	plan_tell_workers();
}

/*
 * Notes what a target has confirmed.  Cannot fail.
 */
static void
plan_note_history(const PlanLeg *leg, uint64 lag_us)
{
	InvalRingNote note = {
		.target = leg->target->name,.xid = plan.xid,.outcome = INVAL_RING_COMMIT,
		.lag_us = lag_us,.origin = &plan.origin
	};
	int			i;

	for (i = 0; i < inval_pending_sets(); i++)
	{
		InvalOwed	owed = inval_pending_set(i);

		if (owed.target == leg->target->number && plan.at_commit[i] > 0)
			inval_ring_note(&inval_history, &note, owed.entries, plan.at_commit[i]);
	}
}

/*
 * Wakes the workers that have something to do.
 */
static void
plan_tell_workers(void)
{
	InvalTarget *target;
	int			i;

	for (i = 0; i < plan.nlegs && !plan.tell_all; i++)
	{
		PlanLeg    *leg = &plan.legs[i];
		bool		now = leg->to_worker || (leg->at_commit && !leg->delivered);

		if (!now && !leg->again)
			continue;
		inval_outbox_announce(leg->target->health);
		/* A worker that watches the standbys finds it when it looks again. */
		if (now || pg_atomic_read_u32(&leg->target->health->watching) == 0)
			inval_target_wake_worker(leg->target->health);
	}
	if (!plan.tell_all)
		return;
	inval_outbox_announce_looks();
	for (target = inval_targets(); target != NULL; target = target->next)
		if (!target->dropped)
		{
			inval_outbox_announce(target->health);
			inval_target_wake_worker(target->health);
		}
}

/*
 * The transaction has ended.  Cannot fail.
 */
void
inval_plan_forget(void)
{
	memset(&plan, 0, sizeof(plan));
}
