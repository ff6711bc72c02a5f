/*
 * commit.c
 *		What happens when a transaction ends.
 *
 * Before the commit record (PRE_COMMIT) everything that can fail: the pending
 * set becomes outbox rows, the connection is made, the commands are formatted.
 * After it (COMMIT): send, wait until the deadline, note the outcome in shared
 * memory.  At that point the change is visible to everybody, so no reader can
 * fetch the old value from the database any more; interrupts are held; and an
 * error would be a PANIC, so nothing here can raise one.  We send when COMMIT
 * is called, with the transaction's locks still held, and wait when they have
 * been released, so that nobody waits for us but our client.
 *
 * Whatever goes wrong means "the worker will".
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "catalog.h"
#include "commit.h"
#include "ddl_frame.h"
#include "deferred.h"
#include "delivery.h"
#include "ledger.h"
#include "lookup.h"
#include "outbox.h"
#include "pending.h"
#include "settings.h"
#include "shared.h"
#include "stats.h"
#include "target.h"

/* Bytes of entries delivered at commit; commands take about twice as much. */
#define COMMIT_MAX_BYTES	(32 * 1024 * 1024)

/* Without a worker, the outbox is emptied after that many commits. */
#define SWEEP_COMMITS		256

/* What PRE_COMMIT leaves for COMMIT */
typedef struct CommitPlan
{
	bool		made;			/* PRE_COMMIT was here */
	bool		has_commit_lane;	/* some of them in the commit lane */
	bool		has_worker_lane;	/* some for the worker, from the start */
	bool		ready;			/* the shipment can be sent */
	bool		on_its_way;		/* it is being sent */
	uint64		committed_at;	/* as inval_clock_us gives it */
	FullTransactionId xid;
	uint64		budget_us;		/* what is left of the commit timeout */
	InvalTarget *target;
	InvalShipment shipment;
	InvalDatabase *database;
} CommitPlan;

static CommitPlan plan;

/* This transaction met a rule. */
static bool in_use = false;
static MemoryContext commit_context = NULL;

static void commit_queue_late(void);
static void commit_xact_callback(XactEvent event, void *arg);
static void commit_subxact_callback(SubXactEvent event, SubTransactionId mySubid,
									SubTransactionId parentSubid, void *arg);
static void commit_prepare(void);
static void commit_prepare_shipment(const char *entries, Size length);
static bool commit_extension_is_gone(void);
static void commit_sweep(void);
static Size commit_split(const char *entries, Size length);
static void commit_prepare_two_phase(void);
static void commit_log_shadow(const char *entries, Size length);
static void commit_release_callback(ResourceReleasePhase phase, bool isCommit,
									bool isTopLevel, void *arg);
static void commit_send(void);
static void commit_finish(void);
static void commit_end(void);

/*
 * Called by _PG_init.  The callbacks are there from the start, since one that
 * is registered while others are being called would be too late.
 */
void
inval_commit_init(void)
{
	RegisterXactCallback(commit_xact_callback, NULL);
	RegisterSubXactCallback(commit_subxact_callback, NULL);
	RegisterResourceReleaseCallback(commit_release_callback, NULL);
}

/*
 * Says that the current transaction met a rule, so that its end matters to us.
 */
void
inval_commit_begin(void)
{
	if (unlikely(commit_context == NULL))
		commit_context = AllocSetContextCreate(TopMemoryContext, "inval commit",
											   ALLOCSET_DEFAULT_SIZES);
	in_use = true;
}

/*
 * Adds an invalidation to what the current transaction owes.  Returns false
 * if it owes that one already.
 */
bool
inval_commit_queue(InvalLane lane, const InvalEntry *entry)
{
	bool		added;

	inval_commit_begin();
	added = inval_pending_add(lane, entry);
	if (unlikely(inval_pending_is_flushed()))
		commit_queue_late();
	return added;
}

/*
 * Another extension's callback has changed rows after our PRE_COMMIT: the
 * outbox has them, see that the worker comes for them.
 */
static void
commit_queue_late(void)
{
	inval_ledger_attach();
	plan.made = true;
	plan.has_worker_lane = true;
	plan.database = inval_shared_database();
}

static void
commit_xact_callback(XactEvent event, void *arg)
{
	(void) arg;
	if (event != XACT_EVENT_PRE_COMMIT && event != XACT_EVENT_PRE_PREPARE)
	{
		inval_ddl_forget();
	}
	if (!in_use)
	{
		/* Most transactions.  What comes after PRE_COMMIT is late. */
		if (event == XACT_EVENT_PRE_COMMIT || event == XACT_EVENT_PRE_PREPARE)
			inval_pending_flushed(true);
		else
			inval_pending_flushed(false);
		return;
	}
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			inval_deferred_run();
			commit_prepare();
			break;
		case XACT_EVENT_COMMIT:
			if (plan.made)
				commit_send();
			if (!plan.on_its_way)
				commit_end();
			break;
		case XACT_EVENT_PRE_PREPARE:
			inval_deferred_run();
			commit_prepare_two_phase();
			break;
		case XACT_EVENT_PREPARE:

			/*
			 * The rows belong to the prepared transaction now.  The worker
			 * finds them when it is committed, in whatever session that is.
			 */
			inval_stats_commit(false, false, 0);
			commit_end();
			break;
		case XACT_EVENT_ABORT:
			commit_end();
			break;
		case XACT_EVENT_PARALLEL_PRE_COMMIT:
		case XACT_EVENT_PARALLEL_COMMIT:
		case XACT_EVENT_PARALLEL_ABORT:
			/* Parallel workers change no rows: their leader has the set. */
			break;
	}
}

static void
commit_subxact_callback(SubXactEvent event, SubTransactionId mySubid,
						SubTransactionId parentSubid, void *arg)
{
	(void) mySubid;
	(void) parentSubid;
	(void) arg;
	switch (event)
	{
		case SUBXACT_EVENT_COMMIT_SUB:
			inval_pending_subcommit();
			inval_deferred_subcommit();
			inval_stats_subcommit();
			break;
		case SUBXACT_EVENT_ABORT_SUB:
			inval_pending_subabort();
			inval_deferred_subabort();
			inval_lookup_subabort();
			inval_ddl_subabort();
			inval_stats_subabort();
			break;
		case SUBXACT_EVENT_START_SUB:
		case SUBXACT_EVENT_PRE_COMMIT_SUB:
			break;
	}
}

/*
 * PRE_COMMIT: the last place where an error may be raised, and the first
 * where the set is complete.
 */
static void
commit_prepare(void)
{
	MemoryContext old = MemoryContextSwitchTo(commit_context);
	Size		length;
	Size		worker_length;
	Size		shadow_length;
	Size		now_length = 0;
	InvalOutboxUse use = INVAL_OUTBOX_MORE;
	const char *entries = inval_pending_entries(INVAL_LANE_COMMIT, &length);
	const char *worker = inval_pending_entries(INVAL_LANE_WORKER, &worker_length);
	const char *shadow = inval_pending_entries(INVAL_LANE_SHADOW, &shadow_length);

	if (commit_extension_is_gone())
	{
		MemoryContextSwitchTo(old);
		return;
	}
	inval_ledger_attach();
	plan.made = true;
	plan.has_worker_lane = inval_pending_did_spill();
	plan.database = inval_shared_database();
	if (plan.database->worker_pid == 0)
		commit_sweep();
	plan.target = inval_target_default();
	inval_target_log_change(plan.target);

	if (length > 0 || worker_length > 0)
	{
		plan.xid = GetTopFullTransactionId();
		if (inval_commit_timeout > 0)
			now_length = commit_split(entries, length);
		/* All that is owed, if it goes by one lane and none went before. */
		if (!inval_pending_did_spill() &&
			(now_length > 0) + (now_length < length) + (worker_length > 0) == 1)
			use = INVAL_OUTBOX_ALL;
		inval_outbox_write(entries, now_length, INVAL_LANE_COMMIT, use);
		inval_outbox_write(entries + now_length, length - now_length,
						   INVAL_LANE_WORKER, use);
		inval_outbox_write(worker, worker_length, INVAL_LANE_WORKER, use);
		plan.has_commit_lane = now_length > 0;
		plan.has_worker_lane |= worker_length > 0 || now_length < length;
	}
	inval_stats_count_queued(entries, now_length, true);
	inval_stats_count_queued(entries + now_length, length - now_length, false);
	inval_stats_count_queued(worker, worker_length, false);
	inval_stats_count_queued(shadow, shadow_length, false);
	inval_stats_prepare();
	commit_log_shadow(shadow, shadow_length);

	if (plan.has_commit_lane)
		commit_prepare_shipment(entries, now_length);
	inval_pending_flushed(true);
	MemoryContextSwitchTo(old);
}

/*
 * Whether this transaction has dropped the extension, and with it the queue:
 * then there is nowhere to put what it owes.
 */
static bool
commit_extension_is_gone(void)
{
	Size		length;
	Size		worker_length;

	if (inval_catalog(true) != NULL)
		return false;
	(void) inval_pending_entries(INVAL_LANE_COMMIT, &length);
	(void) inval_pending_entries(INVAL_LANE_WORKER, &worker_length);
	if (length > 0 || worker_length > 0)
		ereport(WARNING,
				(errmsg("invalidations of this transaction are dropped with extension \"inval\""),
				 errhint("Remove the keys of the rows it changed by hand.")));
	inval_pending_flushed(true);
	return true;
}

/*
 * Where there is no worker, sessions empty the outbox: early enough that even
 * the smallest ledger still knows what was confirmed.
 */
static void
commit_sweep(void)
{
	InvalDatabase *database = plan.database;
	uint64		next = U64FromFullTransactionId(ReadNextFullTransactionId());
	uint64		swept = pg_atomic_read_u64(&database->swept_xid);
	uint32		commits = pg_atomic_add_fetch_u32(&database->unswept, 1);

	if (commits < SWEEP_COMMITS && next - swept < inval_ledger_range() / 4)
		return;
	if (!pg_atomic_compare_exchange_u64(&database->swept_xid, &swept, next))
		return;					/* somebody else does it */
	pg_atomic_write_u32(&database->unswept, 0);
	inval_outbox_sweep(true);
}

/*
 * How many bytes from the front are delivered at commit.
 */
static Size
commit_split(const char *entries, Size length)
{
	const char *place = entries;
	const char *end = entries + length;
	int			count = 0;

	while (place < end && count < inval_commit_max_keys)
	{
		InvalEntry	entry;
		const char *next = inval_entry_read(place, end, &entry);

		if (next - entries > COMMIT_MAX_BYTES)
			break;
		count++;
		place = next;
	}
	return (Size) (place - entries);
}

/*
 * Connects and formats the commands.  Failing to connect is no error: the
 * keys are left to the worker.
 */
static void
commit_prepare_shipment(const char *entries, Size length)
{
	InvalTarget *target = plan.target;
	uint64		start = inval_clock_us();
	uint64		budget = (uint64) inval_commit_timeout * 1000;
	const char *end = entries + length;

	if (!inval_target_is_open(target) &&
		!(plan.database->worker_pid == 0 && inval_target_claim_probe(target)))
		return;
	if (!inval_target_connect(target, start + budget, false))
		return;

	inval_shipment_init(&plan.shipment, false);
	while (entries < end)
	{
		InvalEntry	entry;

		entries = inval_entry_read(entries, end, &entry);
		inval_shipment_add(&plan.shipment, &entry);
	}
	inval_shipment_seal(&plan.shipment);

	/* What connecting took is no longer there to wait for replies. */
	plan.budget_us = budget - Min(budget, inval_clock_us() - start);
	plan.ready = true;
}

/*
 * PRE_PREPARE: everything is the worker's, in a table whose locks may last.
 */
static void
commit_prepare_two_phase(void)
{
	static const InvalLane lanes[] = {INVAL_LANE_COMMIT, INVAL_LANE_WORKER};
	Size		length;
	const char *entries;
	int			i;

	if (commit_extension_is_gone())
		return;
	for (i = 0; i < (int) lengthof(lanes); i++)
	{
		entries = inval_pending_entries(lanes[i], &length);
		inval_outbox_write(entries, length, INVAL_LANE_WORKER, INVAL_OUTBOX_LASTING);
		inval_stats_count_queued(entries, length, false);
	}
	entries = inval_pending_entries(INVAL_LANE_SHADOW, &length);
	inval_stats_count_queued(entries, length, false);
	inval_stats_prepare();
	inval_pending_flushed(true);
}

/*
 * What rules in state "shadow" would have sent.  The keys themselves are data
 * and appear only in a log of debugging level.
 */
static void
commit_log_shadow(const char *entries, Size length)
{
	const char *end = entries + length;
	uint64		count = 0;

	if (length == 0)
		return;
	while (entries < end)
	{
		InvalEntry	entry;

		entries = inval_entry_read(entries, end, &entry);
		ereport(DEBUG1,
				(errmsg_internal("inval rule %u in shadow: %.*s", entry.rule,
								 (int) entry.key_length, entry.key)));
		count++;
	}
	ereport(LOG,
			(errmsg("inval rules in state \"shadow\" would have invalidated " UINT64_FORMAT " keys",
					count)));
}

/*
 * COMMIT: nothing here can fail.  Sends what can be sent without waiting.
 */
static void
commit_send(void)
{
	plan.committed_at = inval_clock_us();
	if (!plan.ready)
	{
		commit_finish();
		return;
	}
	plan.on_its_way = true;
	inval_shipment_start(&plan.shipment, plan.target);
}

/*
 * The transaction's locks are released now: nobody else waits while we wait
 * for the replies.  Nothing here can fail either.
 */
static void
commit_release_callback(ResourceReleasePhase phase, bool isCommit,
						bool isTopLevel, void *arg)
{
	(void) isCommit;
	(void) isTopLevel;
	(void) arg;
	if (phase != RESOURCE_RELEASE_AFTER_LOCKS || !plan.on_its_way)
		return;
	plan.on_its_way = false;
	commit_finish();
	commit_end();
}

/*
 * Waits for the replies, if anything was sent, and notes what became of it.
 */
static void
commit_finish(void)
{
	bool		delivered = false;
	uint64		deadline = plan.committed_at + plan.budget_us;

	if (plan.ready)
		delivered = inval_shipment_finish(&plan.shipment, plan.target, deadline,
										  INVAL_WAIT_HELD);
	if (plan.has_commit_lane)
	{
		/* What counts is the server that the worker would deliver to. */
		delivered = delivered && inval_target_shares_health(plan.target);
		inval_ledger_note(plan.xid, delivered ? INVAL_LEDGER_CONFIRMED :
						  INVAL_LEDGER_LEFT);
	}
	inval_stats_commit(delivered, plan.ready, inval_clock_us() - plan.committed_at);
	if (plan.has_worker_lane || (plan.has_commit_lane && !delivered))
	{
		inval_outbox_announce();
		inval_shared_wake_worker(plan.database);
	}
}

/*
 * The end of any transaction.  Cannot fail.
 */
static void
commit_end(void)
{
	in_use = false;
	memset(&plan, 0, sizeof(plan));
	inval_pending_reset();
	inval_deferred_forget();
	inval_stats_forget();
	MemoryContextReset(commit_context);
}
