/*
 * renewal.c
 *		Fences of transactions that take long, or have left them.
 *
 * A commit may wait for a standby for longer than its fences stand by themselves.  So
 * the worker takes them once more, for what the transaction has written to the
 * outbox, although nobody else can see that yet.  A fence must stand when the
 * transaction becomes visible; whether it did all the time before does not matter.
 * But one that was renewed as the transaction ended would have nobody to end it: so
 * the worker looks once more behind each renewal.
 *
 * The fences of a transaction that was rolled back and could not end them are ended
 * here, too.
 */
#include "postgres.h"

#include "access/transam.h"
#include "miscadmin.h"

#include "base/fencers.h"
#include "base/settings.h"
#include "base/transaction.h"
#include "outbox/read.h"
#include "target/delivery.h"
#include "utils/memutils.h"
#include "worker/renewal.h"

/* A fence is renewed when so much of its life is over. */
#define RENEW_AFTER		3

/* When this process has last seen to a transaction's fences */
typedef struct RenewalNote
{
	FullTransactionId xid;
	TimestampTz at;
	bool		ended;			/* for good */
} RenewalNote;

/* What is sent for a transaction */
typedef enum RenewalPurpose
{
	RENEWAL_FENCE,				/* its fences, once more */
	RENEWAL_END,				/* their end */
	RENEWAL_DELIVER				/* all that its entries ask for */
} RenewalPurpose;

/* The entries of one transaction */
typedef struct Renewal
{
	InvalTarget *target;
	InvalFencer fencer;
	RenewalPurpose purpose;
	InvalShipment shipment;
} Renewal;

static RenewalNote *notes = NULL;	/* one for each place */

static void renewal_log_lost(const InvalTarget *target);
static bool renewal_is_due(const InvalFencer *fencer, const RenewalNote *note,
						   TimestampTz now);
static bool renewal_see_to(Renewal *renewal);
static bool renewal_send(Renewal *renewal, RenewalPurpose purpose);
static bool renewal_visit(InvalOutboxRow *row, void *arg);

/*
 * Sees to the fences of a target that is open.  Returns false if the target failed
 * on the way.
 */
bool
inval_renewal_look(InvalTarget *target)
{
	uint32		count = inval_fencers_count();
	Renewal		renewal = {.target = target};
	bool		alive = true;
	uint32		i;

	renewal_log_lost(target);
	if (likely(count == 0))
		return true;
	if (notes == NULL)
		notes = MemoryContextAllocZero(TopMemoryContext, count * sizeof(RenewalNote));
	for (i = 0; i < count && alive; i++)
	{
		TimestampTz now = GetCurrentTimestamp();

		if (!inval_fencers_read(i, &renewal.fencer) ||
			renewal.fencer.database != MyDatabaseId)
			continue;
		if (!FullTransactionIdEquals(notes[i].xid, renewal.fencer.xid))
		{
			notes[i].xid = renewal.fencer.xid;
			notes[i].at = renewal.fencer.since;
			notes[i].ended = false;
		}
		if (!renewal_is_due(&renewal.fencer, &notes[i], now))
			continue;
		notes[i].at = now;
		alive = renewal_see_to(&renewal);
		notes[i].ended = alive && renewal.fencer.left;
		if (renewal.fencer.left &&
			TimestampDifferenceExceeds(renewal.fencer.since, now, inval_fence_life))
			inval_fencers_forget(i, renewal.fencer.xid);
	}
	return alive;
}

/*
 * Says that a fence was gone before it was ended: readers may have been given what
 * was superseded by then.
 */
static void
renewal_log_lost(const InvalTarget *target)
{
	static uint32 logged = 0;
	uint32		lost = pg_atomic_read_u32(&target->health->fences_lost);

	if (likely(lost == logged))
		return;
	logged = lost;
	ereport(LOG,
			(errmsg("inval target \"%s\" has lost %u fences of strict rules since the server started",
					target->name, lost),
			 errdetail("For a moment readers of those keys may have been given old values."),
			 errhint("Redis has lost data, or evicted it, or a commit took longer than inval.fence_life while no worker could renew its fences.")));
}

static bool
renewal_is_due(const InvalFencer *fencer, const RenewalNote *note, TimestampTz now)
{
	if (fencer->left)
		return !note->ended ||
			TimestampDifferenceExceeds(fencer->since, now, inval_fence_life);
	return TimestampDifferenceExceeds(note->at, now, inval_fence_life / RENEW_AFTER);
}

/*
 * After how long somebody's fences may have to be seen to, in ms.
 */
long
inval_renewal_wait_ms(void)
{
	return inval_fence_life / RENEW_AFTER;
}

/*
 * Renews a transaction's fences, or ends them.  If it ended while they were renewed,
 * what it asks for is sent, as there may be nobody who sends it later; it does no
 * harm twice.
 */
static bool
renewal_see_to(Renewal *renewal)
{
	TransactionId xid = XidFromFullTransactionId(renewal->fencer.xid);
	InvalFencer now;
	uint32		i;

	if (renewal->fencer.left)
		return renewal_send(renewal, RENEWAL_END);
	if (!renewal_send(renewal, RENEWAL_FENCE))
		return false;
	pg_memory_barrier();
	for (i = 0; i < inval_fencers_count(); i++)
		if (inval_fencers_read(i, &now) && !now.left &&
			FullTransactionIdEquals(now.xid, renewal->fencer.xid))
			return true;
	return renewal_send(renewal, TransactionIdDidCommit(xid) ? RENEWAL_DELIVER :
						RENEWAL_END);
}

/*
 * Sends something for each of the transaction's entries.  Returns false if the target
 * failed.
 */
static bool
renewal_send(Renewal *renewal, RenewalPurpose purpose)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "inval renewal",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	InvalTargetHealth *health = renewal->target->health;
	InvalShipment *shipment = &renewal->shipment;
	bool		done;
	int			table;

	renewal->purpose = purpose;
	inval_shipment_init(shipment, renewal->target, false);
	inval_transaction_begin();
	MemoryContextSwitchTo(context);
	for (table = 0; table < INVAL_OUTBOX_TABLES; table++)
		if (BlockNumberIsValid(renewal->fencer.blocks[table]))
			(void) inval_outbox_scan_any(table, renewal->fencer.blocks[table],
										 renewal_visit, renewal);
	inval_transaction_commit();
	MemoryContextSwitchTo(context);
	inval_shipment_seal(shipment);

	done = shipment->entries == 0 ||
		inval_shipment_send(shipment,
							inval_clock_us() + (uint64) inval_reply_timeout * 1000);
	pg_atomic_fetch_add_u32(&health->fences_lost,
							purpose == RENEWAL_FENCE ? shipment->fences_lost : 0);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return done || !shipment->lost;
}

static bool
renewal_visit(InvalOutboxRow *row, void *arg)
{
	Renewal    *renewal = arg;
	const char *place;
	char	   *pack;
	int			i;

	if (!FullTransactionIdEquals(row->xid, renewal->fencer.xid) ||
		row->target != renewal->target->number || !inval_outbox_is_readable(row))
		return true;
	/* Keys wait for others to share their command. */
	place = pack = palloc(row->pack_length);
	memcpy(pack, row->pack, row->pack_length);
	for (i = 0; i < row->entries; i++)
	{
		InvalEntry	entry;

		place = inval_entry_read(place, pack + row->pack_length, &entry);
		if (!entry.strict)
			continue;
		entry.xid = row->xid;
		entry.queued_at = row->queued_at;
		if (renewal->purpose == RENEWAL_FENCE)
			inval_shipment_add_fence(&renewal->shipment, &entry, inval_fence_life);
		else if (renewal->purpose == RENEWAL_END)
			inval_shipment_add_end(&renewal->shipment, &entry);
		else
			inval_shipment_add(&renewal->shipment, &entry);
	}
	return true;
}
