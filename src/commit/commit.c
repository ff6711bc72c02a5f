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
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "base/origin.h"
#include "commit/commit.h"
#include "commit/fence.h"
#include "commit/pending.h"
#include "commit/plan.h"
#include "stats/stats.h"
#include "target/action.h"
#include "target/targets.h"

/* This transaction met a rule. */
static bool in_use = false;
static bool on_its_way = false; /* sent, and not yet waited for */
static MemoryContext commit_context = NULL;

static bool commit_is_for_worker(int32 number, const InvalEntry *entry);
static void commit_xact_callback(XactEvent event, void *arg);
static void commit_subxact_callback(SubXactEvent event, SubTransactionId mySubid,
									SubTransactionId parentSubid, void *arg);
static void commit_in_context(void (*prepare) (void));
static void commit_release_callback(ResourceReleasePhase phase, bool isCommit,
									bool isTopLevel, void *arg);
static void commit_end(void);

/*
 * Called by _PG_init.  The callbacks are there from the start, since one that
 * is registered while others are being called would be too late.  Those that
 * are registered later are called before ours, and may still queue something
 * before the commit.
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
	if (!in_use)
		inval_targets_refresh();
	in_use = true;
}

/*
 * Adds an invalidation to what the current transaction owes to a target, by its
 * number.  Returns false if it owes that one already.
 */
bool
inval_commit_queue(InvalLane lane, int32 target, const InvalEntry *entry)
{
	bool		added;

	inval_commit_begin();
	if (entry->action == INVAL_ACTION_MEMBERS && lane == INVAL_LANE_COMMIT &&
		commit_is_for_worker(target, entry))
		lane = INVAL_LANE_WORKER;
	added = inval_pending_add(lane, target, 0, entry);
	if (unlikely(inval_pending_is_flushed()))
		inval_plan_late();
	return added;
}

static bool
commit_is_for_worker(int32 number, const InvalEntry *entry)
{
	const InvalTarget *target = inval_target_by_number(number);

	return target != NULL && inval_action_is_for_worker(target, entry);
}

/*
 * The same for an invalidation that is to be repeated, so much later.
 */
void
inval_commit_queue_repeat(int32 target, int after_ms, const InvalEntry *entry)
{
	(void) inval_pending_add(INVAL_LANE_REPEAT, target, after_ms, entry);
}

/*
 * Says that something of the current transaction was written to the outbox in
 * another way: its end is to be announced to the workers.
 */
void
inval_commit_wrote(void)
{
	inval_commit_begin();
	inval_pending_spilled();
}

static void
commit_xact_callback(XactEvent event, void *arg)
{
	(void) arg;
	if (!in_use)
	{
		/* Most transactions.  What comes after PRE_COMMIT is late. */
		if (event == XACT_EVENT_PRE_COMMIT || event == XACT_EVENT_PRE_PREPARE)
			inval_pending_flushed(true);
		else
		{
			inval_pending_flushed(false);
			inval_origin_end();
		}
		return;
	}
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			commit_in_context(inval_plan_prepare);
			break;
		case XACT_EVENT_COMMIT:
			on_its_way = inval_plan_send();
			if (!on_its_way)
				commit_end();
			break;
		case XACT_EVENT_PRE_PREPARE:
			commit_in_context(inval_plan_prepare_two_phase);
			break;
		case XACT_EVENT_PREPARE:

			/*
			 * The rows belong to the prepared transaction now.  The worker
			 * finds them when it is committed, in whatever session that is.
			 */
			inval_stats_commit();
			commit_end();
			break;
		case XACT_EVENT_ABORT:
			inval_fence_abort();
			commit_end();
			break;
		case XACT_EVENT_PARALLEL_PRE_COMMIT:
		case XACT_EVENT_PARALLEL_COMMIT:
		case XACT_EVENT_PARALLEL_ABORT:
			/* Parallel workers change no rows: their leader has the set. */
			break;
	}
}

/*
 * What is prepared lives until commit_end.
 */
static void
commit_in_context(void (*prepare) (void))
{
	MemoryContext old = MemoryContextSwitchTo(commit_context);

	prepare();
	MemoryContextSwitchTo(old);
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
			inval_stats_subcommit();
			break;
		case SUBXACT_EVENT_ABORT_SUB:
			inval_pending_subabort();
			inval_stats_subabort();
			inval_origin_adopt(NULL);
			break;
		case SUBXACT_EVENT_START_SUB:
		case SUBXACT_EVENT_PRE_COMMIT_SUB:
			break;
	}
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
	if (phase != RESOURCE_RELEASE_AFTER_LOCKS || !on_its_way)
		return;
	on_its_way = false;
	inval_plan_finish();
	commit_end();
}

/*
 * The end of any transaction.  Cannot fail.
 */
static void
commit_end(void)
{
	in_use = false;
	inval_plan_forget();
	inval_pending_reset();
	inval_stats_forget();
	inval_origin_end();
	MemoryContextReset(commit_context);
}
