/*
 * removal.c
 *		The removal of all keys of a target that start with some bytes.
 *
 * What an entry with the action "prefix" asks for.  It takes as long as the
 * server is large, so it goes on in steps, each a bounded question for keys
 * (redis/prefix.c) and a bounded batch of UNLINK, between which deletes are
 * delivered.  How far it is, is known to this process only: after whatever
 * interrupts it (a lost connection, another worker), it starts anew.
 *
 * The search starts after the entry is committed, so every key that was there
 * when the entry was queued is met.  The entry is confirmed when all that was
 * found is gone.  Keys that the target refuses to remove, for an ACL, are
 * counted, logged and left: to try for ever would remove the others for ever.
 */
#include "postgres.h"

#include <limits.h>

#include "access/relation.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "base/settings.h"
#include "base/transaction.h"
#include "outbox/read.h"
#include "target/breaker.h"
#include "target/delivery.h"
#include "target/pace.h"
#include "target/trust.h"
#include "worker/refusal.h"
#include "worker/removal.h"
#include "worker/requeue.h"

/* The row of an entry, wherever it has been moved to */
typedef struct RemovalRow
{
	const InvalRemoval *removal;
	InvalOutboxRow row;
	bool		found;
} RemovalRow;

static void removal_start(InvalRemoval *removal, const InvalOutboxRow *row,
						  const InvalEntry *entry);
static bool removal_is_allowed(const InvalRemoval *removal);
static void removal_rewind(InvalRemoval *removal);
static bool removal_search(InvalRemoval *removal);
static void removal_take(InvalRemoval *removal, const InvalReply *keys);
static bool removal_unlink(InvalRemoval *removal);
static void removal_settle(InvalRemoval *removal, const InvalShipment *shipment);
static void removal_show(const InvalRemoval *removal);
static bool removal_confirm(InvalRemoval *removal);
static bool removal_visit_row(InvalOutboxRow *row, void *arg);
static void removal_log(const InvalRemoval *removal);

/*
 * Makes one that does not run yet, in the current memory context.
 */
InvalRemoval *
inval_removal_create(InvalTarget *target, bool own_transactions)
{
	InvalRemoval *removal = palloc0(sizeof(InvalRemoval));

	removal->target = target;
	removal->own_transactions = own_transactions;
	removal->context = AllocSetContextCreate(CurrentMemoryContext, "inval removal",
											 ALLOCSET_SMALL_SIZES);
	removal->found_context = AllocSetContextCreate(removal->context, "inval found keys",
												   ALLOCSET_DEFAULT_SIZES);
	return removal;
}

/*
 * Whether a row that is owed, due and readable is an entry of this kind.  If so,
 * and none runs, starts its removal.  "removal" may be NULL: then it only tells.
 */
bool
inval_removal_meet(InvalRemoval *removal, const InvalOutboxRow *row)
{
	InvalEntry	entry;

	if (row->entries != 1 ||
		inval_entry_read(row->pack, row->pack + row->pack_length, &entry) == NULL ||
		entry.action != INVAL_ACTION_PREFIX)
		return false;
	if (removal == NULL || removal->running)
		return true;
	if (entry.key_length == 0)
		inval_refusal_note(inval_outbox_entry_id(row->xid, row->first),
						   "a prefix must not be empty");
	else if (inval_url_is_cluster(&removal->target->url))
		inval_refusal_note(inval_outbox_entry_id(row->xid, row->first),
						   "a Redis Cluster cannot be searched for keys");
	else if (!inval_target_may_have(removal->target, &entry))
		inval_refusal_note(inval_outbox_entry_id(row->xid, row->first),
						   "outside the namespace of the target");
	else
		removal_start(removal, row, &entry);
	return true;
}

static void
removal_start(InvalRemoval *removal, const InvalOutboxRow *row, const InvalEntry *entry)
{
	MemoryContext old = MemoryContextSwitchTo(removal->context);

	/* See drain_send. */
	if (!removal->own_transactions && inval_trust_is_limited(removal->target))
		(void) GetTopFullTransactionId();
	inval_prefix_init(&removal->search, entry->key, entry->key_length, entry->fence);
	MemoryContextSwitchTo(old);
	removal->xid = row->xid;
	removal->first = row->first;
	removal->removed = 0;
	removal->running = true;
	removal_rewind(removal);
}

/*
 * Forgets the removal.  If its entry is still there, it is met again.
 */
void
inval_removal_stop(InvalRemoval *removal)
{
	removal->running = false;
	removal->found_count = removal->next = 0;
	MemoryContextReset(removal->found_context);
	inval_prefix_end(&removal->search);
	removal_show(removal);
}

/*
 * Starts anew.  What was refused is met again, what was removed is not.
 */
static void
removal_rewind(InvalRemoval *removal)
{
	removal->refused = 0;
	removal->error[0] = '\0';
	inval_prefix_rewind(&removal->search);
	removal->connection = removal->target->connections;
	removal->found_count = removal->next = 0;
	removal_show(removal);
}

/*
 * When the next step may be taken, in ms; LONG_MAX if there is none to take.
 */
long
inval_removal_wait_ms(const InvalRemoval *removal)
{
	return removal->running ? inval_pace_wait_ms(removal->target) : LONG_MAX;
}

/*
 * Goes a step on, over the target's connection, which must be there.
 */
InvalRemovalResult
inval_removal_step(InvalRemoval *removal)
{
	if (removal->running && !removal_is_allowed(removal))
		inval_removal_stop(removal);
	if (!removal->running)
		return INVAL_REMOVAL_NONE;
	if (inval_removal_wait_ms(removal) > 0)
		return INVAL_REMOVAL_LATER;
	if (removal->connection != removal->target->connections)
		removal_rewind(removal);

	if (removal->next == removal->found_count && !removal->search.through &&
		!removal_search(removal))
		return removal->running ? INVAL_REMOVAL_FAILED : INVAL_REMOVAL_NONE;
	if (removal->next < removal->found_count && !removal_unlink(removal))
		return INVAL_REMOVAL_FAILED;
	removal_show(removal);
	if (removal->next < removal->found_count || !removal->search.through ||
		!removal_confirm(removal))
		return INVAL_REMOVAL_MORE;
	removal_log(removal);
	inval_removal_stop(removal);
	return INVAL_REMOVAL_DONE;
}

/*
 * Whether the prefix is still within the target's namespace, which can be
 * changed at any time.
 */
static bool
removal_is_allowed(const InvalRemoval *removal)
{
	InvalEntry	entry = {.key = removal->search.prefix,
	.key_length = (uint32) removal->search.length};

	return !inval_url_is_cluster(&removal->target->url) &&
		inval_target_may_have(removal->target, &entry);
}

/*
 * Looks for the next keys.  Returns false if the connection has failed; or if the
 * server refuses to search, which ends the removal for a while.
 */
static bool
removal_search(InvalRemoval *removal)
{
	InvalTarget *target = removal->target;
	uint64		deadline = inval_clock_us() + (uint64) inval_reply_timeout * 1000;
	char		error[INVAL_ERROR_LEN];
	MemoryContext old;
	const InvalReply *keys;

	MemoryContextReset(removal->found_context);
	old = MemoryContextSwitchTo(removal->found_context);
	keys = inval_prefix_step(&removal->search, target->connection, deadline,
							 error, sizeof(error));
	if (keys != NULL)
		removal_take(removal, keys);
	MemoryContextSwitchTo(old);

	if (keys != NULL)
	{
		/* A look that finds nothing is work for the server too. */
		if (removal->found_count == 0)
			inval_pace_sent(target, 1);
		return true;
	}
	if (target->connection->state == INVAL_CONNECTION_READY)
	{
		inval_refusal_note(inval_outbox_entry_id(removal->xid, removal->first), error);
		inval_removal_stop(removal);
	}
	/* A connection that was of no use any more is no outage. */
	else if (target->connection->fault == INVAL_FAULT_NONE)
		inval_target_disconnect(target);
	else
		inval_target_failed(target, target->connection->fault, error);
	return false;
}

/*
 * Makes deletes of the keys that were found.
 */
static void
removal_take(InvalRemoval *removal, const InvalReply *keys)
{
	int			i;

	removal->found = palloc0(Max(keys->count, 1) * sizeof(InvalEntry));
	removal->found_count = removal->next = 0;
	for (i = 0; i < keys->count; i++)
	{
		const InvalReply *key = &keys->items[i];

		if (key->type != INVAL_REPLY_TEXT ||
			!inval_prefix_has(&removal->search, key->text, key->length))
			continue;
		removal->found[removal->found_count].action = INVAL_ACTION_DELETE;
		removal->found[removal->found_count].key = key->text;
		removal->found[removal->found_count].key_length = (uint32) key->length;
		removal->found_count++;
	}
}

/*
 * Removes the next of the keys that were found.  Returns false if the target
 * failed.
 */
static bool
removal_unlink(InvalRemoval *removal)
{
	InvalTarget *target = removal->target;
	int			count = Min(removal->found_count - removal->next,
							inval_pace_batch(target));
	MemoryContext old = MemoryContextSwitchTo(removal->found_context);
	InvalShipment shipment;
	int			i;

	inval_shipment_init(&shipment, target, true);
	for (i = 0; i < count; i++)
		inval_shipment_add(&shipment, &removal->found[removal->next + i]);
	inval_shipment_seal(&shipment);
	inval_pace_sent(target, count);
	(void) inval_shipment_send_singly(&shipment, removal->found + removal->next, target);
	removal_settle(removal, &shipment);
	MemoryContextSwitchTo(old);
	return target->connection != NULL;
}

/*
 * Counts what became of a batch; what is open stays to be removed.
 */
static void
removal_settle(InvalRemoval *removal, const InvalShipment *shipment)
{
	int			kept = removal->next + shipment->entries;
	int			i;

	for (i = shipment->entries - 1; i >= 0; i--)
	{
		if (shipment->outcomes[i] == INVAL_OUTCOME_CONFIRMED)
			removal->removed++;
		else if (shipment->outcomes[i] == INVAL_OUTCOME_OPEN)
			removal->found[--kept] = removal->found[removal->next + i];
		else
		{
			removal->refused++;
			if (removal->error[0] == '\0')
				strlcpy(removal->error, shipment->errors[i], sizeof(removal->error));
		}
	}
	removal->next = kept;
}

/*
 * Says in inval_target_status how far it is.  A session leaves that to the
 * worker, if there is one.
 */
static void
removal_show(const InvalRemoval *removal)
{
	InvalTargetHealth *health = removal->target->health;
	char		progress[INVAL_PROGRESS_LEN] = "";

	if (!removal->own_transactions && health->worker_pid != 0)
		return;
	if (removal->running)
		snprintf(progress, sizeof(progress),
				 "prefix: about %d %%, " UINT64_FORMAT " keys removed",
				 (int) (inval_prefix_share(&removal->search) * 100), removal->removed);
	SpinLockAcquire(&health->mutex);
	strlcpy(health->progress, progress, sizeof(health->progress));
	SpinLockRelease(&health->mutex);
}

/*
 * Removes the entry from the outbox, unless somebody else has.  Returns false if
 * somebody is just moving it: try again.
 */
static bool
removal_confirm(InvalRemoval *removal)
{
	RemovalRow	search = {.removal = removal};
	bool		gone = true;

	if (removal->own_transactions)
		inval_transaction_begin();
	inval_outbox_scan_all(INVAL_OUTBOX_TABLES, removal_visit_row, &search);
	if (search.found)
	{
		Relation	relation = inval_outbox_open(search.row.table, RowExclusiveLock);

		if (relation != NULL)
		{
			gone = inval_outbox_delete(relation, &search.row);
			if (gone)
				inval_requeue_confirmed(&search.row);
			relation_close(relation, NoLock);
		}
	}
	if (removal->own_transactions)
		inval_transaction_commit();
	else
		CommandCounterIncrement();
	return gone;
}

static bool
removal_visit_row(InvalOutboxRow *row, void *arg)
{
	RemovalRow *search = arg;

	if (row->target != search->removal->target->number ||
		row->first != search->removal->first ||
		!FullTransactionIdEquals(row->xid, search->removal->xid))
		return true;
	search->row = *row;
	search->row.pack = memcpy(palloc(row->pack_length), row->pack, row->pack_length);
	search->found = true;
	return false;
}

static void
removal_log(const InvalRemoval *removal)
{
	inval_refusal_forget(inval_outbox_entry_id(removal->xid, removal->first));
	ereport(LOG,
			(errmsg("inval target \"%s\": all keys that start with \"%s\" are removed",
					removal->target->name, removal->search.prefix),
			 errdetail("They were " UINT64_FORMAT ".", removal->removed)));
	if (removal->refused > 0)
		ereport(WARNING,
				(errmsg("inval target \"%s\" refuses to remove " UINT64_FORMAT " keys that start with \"%s\": %s",
						removal->target->name, removal->refused,
						removal->search.prefix, removal->error),
				 errdetail("They are left as they are, and may be out of date.")));
}
