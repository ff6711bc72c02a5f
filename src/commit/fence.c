/*
 * fence.c
 *		Fences of a transaction with strict rules.
 *
 * While a key has a fence, readers that use the library's functions are given
 * nothing from the cache.  So that none of them sees the old value when others see
 * the new one, the fences of a transaction stand before its commit record is
 * written; if one cannot be had in time, the transaction fails, and nothing has
 * happened.  They end with the removal of their keys (target/action.c), which is
 * delivered as any, at commit or by the worker.  If the transaction is rolled back,
 * only the fences go.
 *
 * Who has a fence is known by the transaction's id, so transactions that commit the
 * same key at the same time need not wait for each other, and whoever ends the
 * fences of one leaves those of the others.  A fence that nobody ends, because we
 * crashed or Redis was out of reach, ends by itself after inval.fence_life, and
 * takes the value with it: the transaction may have been committed.
 */
#include "postgres.h"

#include "access/xact.h"

#include "base/fencers.h"
#include "base/settings.h"
#include "commit/fence.h"
#include "commit/pending.h"
#include "outbox/outbox.h"
#include "target/address.h"
#include "target/breaker.h"
#include "target/confirm.h"
#include "target/delivery.h"
#include "target/reach.h"
#include "target/targets.h"
#include "version/server.h"

/* What a transaction has of one target */
typedef struct Fence
{
	InvalTarget *target;
	InvalShipment fences;
	InvalShipment ends;			/* of those, should it be rolled back */
} Fence;

/* In the memory context of the commit; good while the transaction is a fencer */
static Fence *fences = NULL;
static int	nfences = 0;

static void fence_check_target(InvalTarget *target);
static void fence_prepare(Fence *fence, const InvalOwed *owed, uint64 deadline);
static void fence_enter(void);
static void fence_send(Fence *fence, uint64 deadline);
static void fence_check_place(const InvalTarget *target);
static int	fence_wait_ms(void);
pg_noreturn static void fence_refuse(const InvalTarget *target, const char *error);

/*
 * Takes the fences of what is owed under strict rules, whose rows are in the outbox.
 * An error if one is not to be had until inval.strict_timeout.  Interruptible.
 */
void
inval_fence_take(void)
{
	uint64		deadline = 0;
	int			i;

	nfences = 0;
	for (i = 0; i < inval_pending_sets(); i++)
	{
		InvalOwed	owed = inval_pending_set(i);

		if (owed.lane != INVAL_LANE_STRICT || owed.length == 0 ||
			inval_target_by_number(owed.target) == NULL)
			continue;
		if (nfences == 0)
		{
			fences = palloc0(inval_pending_sets() * sizeof(Fence));
			deadline = inval_clock_us() + (uint64) fence_wait_ms() * 1000;
		}
		fence_prepare(&fences[nfences], &owed, deadline);
		nfences++;
	}
	if (nfences == 0)
		return;
	fence_enter();
	for (i = 0; i < nfences; i++)
		inval_shipment_start(&fences[i].fences);
	for (i = 0; i < nfences; i++)
		fence_send(&fences[i], deadline);
	for (i = 0; i < nfences; i++)
		fence_check_place(fences[i].target);
}

/*
 * All of the fences must stand when the last is taken, and only workers renew them.
 */
static int
fence_wait_ms(void)
{
	return inval_target_has_worker() ? inval_strict_timeout :
		Min(inval_strict_timeout, inval_fence_life / 2);
}

/*
 * Connects, and formats the commands: those for the end first, as there is no way to
 * do that later.
 */
static void
fence_prepare(Fence *fence, const InvalOwed *owed, uint64 deadline)
{
	InvalTarget *target = inval_target_by_number(owed->target);
	const char *place = owed->entries;
	const char *end = owed->entries + owed->length;
	FullTransactionId xid = GetTopFullTransactionId();

	fence_check_target(target);
	inval_target_prepare(target);
	if (!inval_target_connect(target, deadline, false))
		fence_refuse(target, "it cannot be connected to");
	fence->target = target;
	inval_shipment_init(&fence->ends, target, false);
	inval_shipment_init(&fence->fences, target, false);
	while (place < end)
	{
		InvalEntry	entry;

		place = inval_entry_read(place, end, &entry);
		entry.xid = xid;
		inval_shipment_add_end(&fence->ends, &entry);
		inval_shipment_add_fence(&fence->fences, &entry, inval_fence_life);
	}
	inval_shipment_seal(&fence->ends);
	inval_shipment_seal(&fence->fences);
	if (!inval_shipment_reach(&fence->ends, deadline) ||
		!inval_shipment_reach(&fence->fences, deadline))
		fence_refuse(target, fence->fences.error[0] != '\0' ? fence->fences.error :
					 "it cannot be connected to");
}

/*
 * What is known to be down is not tried, but by one session now and then where no
 * worker does.
 */
static void
fence_check_target(InvalTarget *target)
{
	char		error[INVAL_ERROR_LEN];

	if (pg_atomic_read_u32(&target->health->paused) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot fence keys at target \"%s\", which is paused", target->name),
				 errdetail("A rule of this transaction is strict."),
				 errhint("Resume the target by inval_resume, or give the rule the delivery \"commit\".")));
	if (inval_target_is_open(target) ||
		(!inval_target_has_worker() && inval_target_claim_probe(target)))
		return;
	SpinLockAcquire(&target->health->mutex);
	strlcpy(error, target->health->last_error, sizeof(error));
	SpinLockRelease(&target->health->mutex);
	/* Others may have been served since it failed here. */
	fence_refuse(target, error[0] != '\0' ? error :
				 "this session has just failed to reach it");
}

/*
 * Makes the transaction known to the workers.
 */
static void
fence_enter(void)
{
	BlockNumber blocks[INVAL_OUTBOX_TABLES];
	int			i;

	for (i = 0; i < INVAL_OUTBOX_TABLES; i++)
		blocks[i] = inval_outbox_written(i);
	if (!inval_fencers_enter(GetTopFullTransactionId(), blocks))
		ereport(ERROR,
				(errcode(ERRCODE_TOO_MANY_CONNECTIONS),
				 errmsg("too many transactions with strict rules commit at the same time"),
				 errhint("Try again.")));
}

/*
 * Waits for the replies, and follows a cluster's slots to where they are.
 */
static void
fence_send(Fence *fence, uint64 deadline)
{
	InvalShipment *shipment = &fence->fences;

	if (inval_shipment_finish(shipment, deadline, INVAL_WAIT_INTERRUPTIBLE) ||
		(inval_confirm_is_redirected(shipment) && !shipment->lost &&
		 inval_shipment_send(shipment, deadline)))
		return;
	fence_refuse(fence->target, shipment->error[0] != '\0' ? shipment->error :
				 INVAL_NO_ANSWER);
}

/*
 * Readers are where the worker would deliver to: fences elsewhere keep nobody from
 * anything.
 */
static void
fence_check_place(const InvalTarget *target)
{
	if (!inval_target_shares_health(target))
		fence_refuse(target, "this session has another URL for it than the worker");
	if (inval_address_has_changed(target))
		fence_refuse(target, "it has moved");
}

static void
fence_refuse(const InvalTarget *target, const char *error)
{
	ereport(ERROR,
			(errcode(ERRCODE_CONNECTION_FAILURE),
			 errmsg("cannot fence keys at target \"%s\": %s", target->name, error),
			 errdetail("A rule of this transaction is strict, so it cannot be committed without."),
			 errhint("Try again when the target serves, or give the rule the delivery \"commit\".")));
}

/*
 * PREPARE TRANSACTION: nobody could say how long the fences would have to stand.
 */
void
inval_fence_refuse_two_phase(void)
{
	int			i;

	for (i = 0; i < inval_pending_sets(); i++)
		if (inval_pending_set(i).lane == INVAL_LANE_STRICT && inval_pending_set(i).length > 0)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot prepare a transaction that has changed rows under strict rules"),
					 errdetail("Readers would have to be kept from the cache until it is finished."),
					 errhint("Commit it at once, or give the rules the delivery \"commit\".")));
}

/*
 * How many of the fences that a target was asked for stood already: keys for which
 * the transaction has several entries, of which the first ends the fence.
 */
int
inval_fence_doubles(const InvalTarget *target)
{
	int			doubles = 0;
	int			i;

	for (i = 0; i < nfences; i++)
		if (fences[i].target == target)
			doubles += fences[i].fences.entries - fences[i].fences.fences_lost;
	return doubles;
}

/*
 * The transaction is visible: what ends its fences is in the outbox, and about to be
 * sent.
 */
void
inval_fence_commit(void)
{
	inval_fencers_leave(true);
}

/*
 * The transaction was rolled back: only its fences go, over the connections that are
 * still of use.  Waits as long as a commit would; what is left is the worker's.
 */
void
inval_fence_abort(void)
{
	uint64		deadline;
	bool		ended = true;
	int			i;

	if (!inval_fencers_roll_back())
		return;
	deadline = inval_clock_us() + (uint64) inval_commit_timeout * 1000;
	for (i = 0; i < nfences; i++)
	{
		inval_shipment_rejoin(&fences[i].ends);
		inval_shipment_start(&fences[i].ends);
	}
	for (i = 0; i < nfences; i++)
		ended &= inval_shipment_finish(&fences[i].ends, deadline, INVAL_WAIT_HELD);
	inval_fencers_leave(ended);
}
