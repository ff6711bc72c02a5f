/*
 * removal.c
 *		Prefix entries of the outbox: the removal of all keys that look alike.
 *
 * It takes as long as the target is large, so it goes on in steps (target/wipe.c),
 * between which deletes are delivered.  How far it is, is known to this process
 * only: after whatever interrupts it (a lost connection, another worker), it starts
 * anew.
 *
 * One search may do for many entries: those of one rule, which a statement over many
 * rows leaves, and those whose prefix another one covers.  They are collected until
 * the search begins, and so are committed before it does: every key that was there
 * when one of them was queued is met.  What is met later, or cannot share the search,
 * waits for the next one.  The entries are confirmed when all that was found is gone.
 *
 * The entry of a purge has a glob pattern as its field, and a row in the purge log,
 * which is completed in the same transaction.
 */
#include "postgres.h"

#include <limits.h>

#include "access/relation.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "base/catalog.h"
#include "base/transaction.h"
#include "outbox/purge_log.h"
#include "outbox/read.h"
#include "stats/ring.h"
#include "stats/stats.h"
#include "store/pauses.h"
#include "target/trust.h"
#include "worker/refusal.h"
#include "worker/removal.h"
#include "worker/requeue.h"

/* Most entries of one removal, and bytes of their prefixes */
#define MAX_ENTRIES		10000
#define MAX_BYTES		(1024 * 1024)

/* Rows of entries, wherever they have been moved to */
typedef struct RemovalRows
{
	const InvalRemoval *removal;
	InvalOutboxRow *rows;
	int			count;
	int			max;
} RemovalRows;

static const char *removal_problem(const InvalRemoval *removal, const InvalEntry *entry);
static bool removal_collect(InvalRemoval *removal, const InvalOutboxRow *row,
							const InvalEntry *entry);
static bool removal_can_share(const InvalRemoval *removal, const InvalEntry *entry);
static void removal_begin(InvalRemoval *removal);
static int	removal_compare(const void *a, const void *b);
static bool removal_has(const InvalRemoval *removal, const InvalOutboxRow *row);
static bool removal_is_allowed(const InvalRemoval *removal);
static void removal_refused(InvalRemoval *removal, const char *error);
static void removal_show(const InvalRemoval *removal);
static bool removal_confirm(InvalRemoval *removal);
static bool removal_visit_row(InvalOutboxRow *row, void *arg);
static bool removal_delete_rows(InvalRemoval *removal, RemovalRows *found);
static bool removal_note_purge(const InvalRemoval *removal, const InvalOutboxRow *row);
static void removal_count(InvalRemoval *removal, const InvalOutboxRow *row);
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
	inval_wipe_init(&removal->wipe, target);
	return removal;
}

/*
 * Whether a row that is owed, due and readable is an entry of this kind.  If so,
 * it becomes part of the next removal, if it can.  "removal" may be NULL: then it
 * only tells.
 */
bool
inval_removal_meet(InvalRemoval *removal, const InvalOutboxRow *row)
{
	InvalEntry	entry;
	const char *problem;

	if (row->entries != 1 ||
		inval_entry_read(row->pack, row->pack + row->pack_length, &entry) == NULL ||
		entry.action != INVAL_ACTION_PREFIX)
		return false;
	if (removal == NULL)
		return true;
	problem = removal_problem(removal, &entry);
	if (problem != NULL)
		inval_refusal_note(inval_outbox_entry_id(row->xid, row->first), problem);
	else if (!removal_collect(removal, row, &entry))
		removal->waiting = true;
	return true;
}

/*
 * Why an entry cannot be delivered; NULL if it can.
 */
static const char *
removal_problem(const InvalRemoval *removal, const InvalEntry *entry)
{
	if (entry->key_length == 0)
		return "a prefix must not be empty";
	if (!inval_target_may_have(removal->target, entry))
		return "outside the namespace of the target";
	return NULL;
}

/*
 * Makes an entry part of the removal; false if it needs another one.
 */
static bool
removal_collect(InvalRemoval *removal, const InvalOutboxRow *row, const InvalEntry *entry)
{
	MemoryContext old;

	if (removal->searching)
		return removal_has(removal, row);
	if (removal->running && !removal_can_share(removal, entry))
		return false;
	old = MemoryContextSwitchTo(removal->wipe.context);
	if (!removal->running)
	{
		removal->running = true;
		removal->count = 0;
		removal->size = 0;
		removal->rule = entry->rule;
		removal->fence = false;
		removal->quiet = entry->rule != 0 ||
			entry->key_length != removal->target->namespace_length;
		removal->glob = NULL;
		removal->entries = palloc(MAX_ENTRIES * sizeof(InvalRemovalEntry));
		removal->prefixes = palloc(MAX_ENTRIES * sizeof(InvalPrefix));
	}
	removal->entries[removal->count].xid = row->xid;
	removal->entries[removal->count].first = row->first;
	removal->entries[removal->count].rule = entry->rule;
	removal->entries[removal->count].shared = entry->shared;
	removal->prefixes[removal->count].bytes = pnstrdup(entry->key, entry->key_length);
	removal->prefixes[removal->count].length = entry->key_length;
	removal->count++;
	removal->size += entry->key_length;
	removal->fence |= entry->fence;
	if (entry->field != NULL)
	{
		removal->glob = pnstrdup(entry->field, entry->field_length);
		removal->glob_length = entry->field_length;
	}
	MemoryContextSwitchTo(old);
	return true;
}

/*
 * Whether an entry can share the search of those that are collected: it is of the
 * same rule, so they start alike, or the first one covers it.
 */
static bool
removal_can_share(const InvalRemoval *removal, const InvalEntry *entry)
{
	const InvalPrefix *first = &removal->prefixes[0];

	if (removal->count == MAX_ENTRIES || removal->size > MAX_BYTES ||
		removal->glob != NULL || entry->field != NULL)
		return false;
	if (entry->rule != 0 && entry->rule == removal->rule &&
		entry->key[0] == first->bytes[0])
		return true;
	return entry->key_length >= first->length &&
		memcmp(entry->key, first->bytes, first->length) == 0;
}

/*
 * Begins the search, for what is collected.
 */
static void
removal_begin(InvalRemoval *removal)
{
	MemoryContext old = MemoryContextSwitchTo(removal->wipe.context);

	/* See drain_send. */
	if (!removal->own_transactions && inval_trust_is_limited(removal->target))
		(void) GetTopFullTransactionId();
	if (removal->glob != NULL)
		inval_pattern_of_glob(&removal->wipe.pattern, removal->prefixes[0].bytes,
							  removal->prefixes[0].length, removal->glob,
							  removal->glob_length);
	else
		inval_pattern_of_prefixes(&removal->wipe.pattern, removal->prefixes,
								  removal->count);
	qsort(removal->entries, removal->count, sizeof(InvalRemovalEntry), removal_compare);
	inval_wipe_begin(&removal->wipe, removal->fence);
	removal->searching = true;
	removal->progress = inval_progress_begin(removal->glob != NULL ? "purge" : "prefix",
											 removal->target->name, -1);
	MemoryContextSwitchTo(old);
}

static int
removal_compare(const void *a, const void *b)
{
	const InvalRemovalEntry *first = a;
	const InvalRemovalEntry *second = b;

	if (!FullTransactionIdEquals(first->xid, second->xid))
		return FullTransactionIdPrecedes(first->xid, second->xid) ? -1 : 1;
	return first->first < second->first ? -1 : first->first > second->first;
}

static bool
removal_has(const InvalRemoval *removal, const InvalOutboxRow *row)
{
	InvalRemovalEntry entry = {.xid = row->xid,.first = row->first};

	return bsearch(&entry, removal->entries, removal->count, sizeof(InvalRemovalEntry),
				   removal_compare) != NULL;
}

/*
 * Forgets the removal.  Entries that are still there are met again.
 */
void
inval_removal_stop(InvalRemoval *removal)
{
	removal->running = removal->searching = false;
	inval_wipe_end(&removal->wipe);
	inval_progress_end(removal->progress);
	removal->progress = NULL;
	removal_show(removal);
}

/*
 * When the next step may be taken, in ms; LONG_MAX if there is none to take.
 */
long
inval_removal_wait_ms(const InvalRemoval *removal)
{
	if (!removal->running)
		return LONG_MAX;
	return removal->searching ? inval_wipe_wait_ms(&removal->wipe) : 0;
}

/*
 * Goes a step on, over the target's connection, which must be there.
 */
InvalRemovalResult
inval_removal_step(InvalRemoval *removal)
{
	InvalWipeResult result;

	if (!removal->running)
		return INVAL_REMOVAL_NONE;
	if (!removal->searching)
		removal_begin(removal);
	if (!removal_is_allowed(removal))
	{
		/* Of others, some may have shared the search. */
		inval_removal_stop(removal);
		removal->waiting = true;
		return INVAL_REMOVAL_NONE;
	}
	result = inval_wipe_step(&removal->wipe);
	removal_show(removal);
	switch (result)
	{
		case INVAL_WIPE_LATER:
			return INVAL_REMOVAL_LATER;
		case INVAL_WIPE_FAILED:
			return INVAL_REMOVAL_FAILED;
		case INVAL_WIPE_REFUSED:
			removal_refused(removal, removal->wipe.search.error);
			return INVAL_REMOVAL_NONE;
		case INVAL_WIPE_OWED:
			removal_refused(removal, removal->wipe.doubt);
			return INVAL_REMOVAL_NONE;
		case INVAL_WIPE_MORE:
			return INVAL_REMOVAL_MORE;
		case INVAL_WIPE_DONE:
			break;
	}
	if (!removal_confirm(removal))
		return INVAL_REMOVAL_MORE;
	if (removal->glob == NULL)
		inval_stats_count_removed(removal->rule, removal->target->name,
								  removal->wipe.removed);
	removal_log(removal);
	inval_removal_stop(removal);
	return INVAL_REMOVAL_DONE;
}

/*
 * Whether the prefixes are still within the target's namespace, and none of the entries
 * is held back by now: both can be changed at any time.
 */
static bool
removal_is_allowed(const InvalRemoval *removal)
{
	InvalEntry	entry = {.key = removal->wipe.pattern.prefixes[0].bytes,
	.key_length = (uint32) removal->wipe.pattern.common};
	int			i;

	for (i = 0; i < removal->count && inval_pauses_any(); i++)
	{
		entry.rule = removal->entries[i].rule;
		entry.shared = removal->entries[i].shared;
		if (inval_pauses_hold(&entry))
			return false;
	}
	return inval_target_may_have(removal->target, &entry);
}

/*
 * The server refuses to search, or to remove what was found, which ends the removal
 * for a while.
 */
static void
removal_refused(InvalRemoval *removal, const char *error)
{
	int			i;

	for (i = 0; i < removal->count; i++)
		inval_refusal_note(inval_outbox_entry_id(removal->entries[i].xid,
												 removal->entries[i].first), error);
	inval_removal_stop(removal);
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

	if (removal->searching)
		inval_wipe_progress(&removal->wipe, removal->progress);
	if (!removal->own_transactions && health->worker_pid != 0)
		return;
	if (removal->searching)
		inval_wipe_describe(&removal->wipe, removal->glob != NULL ? "purge" : "prefix",
							progress, sizeof(progress));
	SpinLockAcquire(&health->mutex);
	strlcpy(health->progress, progress, sizeof(health->progress));
	SpinLockRelease(&health->mutex);
}

/*
 * Removes the entries from the outbox, unless somebody else has.  Returns false if
 * somebody is just moving one: try again.
 */
static bool
removal_confirm(InvalRemoval *removal)
{
	RemovalRows found = {.removal = removal};
	bool		gone;

	if (removal->own_transactions)
		inval_transaction_begin();
	removal->confirmed = 0;
	inval_outbox_scan_all(INVAL_OUTBOX_TABLES, removal_visit_row, &found);
	gone = removal_delete_rows(removal, &found);
	if (removal->own_transactions)
		inval_transaction_commit();
	else
		CommandCounterIncrement();
	return gone;
}

static bool
removal_visit_row(InvalOutboxRow *row, void *arg)
{
	RemovalRows *found = arg;
	InvalOutboxRow *copy;

	if (row->target != found->removal->target->number ||
		!removal_has(found->removal, row))
		return true;
	if (found->count == found->max)
	{
		found->max = Max(16, found->max * 2);
		found->rows = found->rows == NULL ?
			palloc(found->max * sizeof(InvalOutboxRow)) :
			repalloc(found->rows, found->max * sizeof(InvalOutboxRow));
	}
	copy = &found->rows[found->count++];
	*copy = *row;
	copy->pack = memcpy(palloc(row->pack_length), row->pack, row->pack_length);
	return true;
}

static bool
removal_delete_rows(InvalRemoval *removal, RemovalRows *found)
{
	bool		gone = true;
	int			i;

	for (i = 0; i < found->count; i++)
	{
		InvalOutboxRow *row = &found->rows[i];
		Relation	relation = inval_outbox_open(row->table, RowExclusiveLock);

		if (relation == NULL)
		{
			/* Somebody waits for it, or the extension is gone. */
			gone &= inval_catalog(true) == NULL;
			continue;
		}
		if (removal_note_purge(removal, row) && inval_outbox_delete(relation, row))
		{
			removal_count(removal, row);
			inval_requeue_confirmed(row);
		}
		else
			gone = false;
		relation_close(relation, NoLock);
	}
	return gone;
}

/*
 * Completes a purge's row in the log.  Returns false if that must be tried again.
 */
static bool
removal_note_purge(const InvalRemoval *removal, const InvalOutboxRow *row)
{
	return removal->glob == NULL ||
		inval_purge_log_finish(inval_outbox_entry_id(row->xid, row->first),
							   (int64) removal->wipe.removed);
}

/*
 * An entry is confirmed.  What waited for standbys was counted when it was delivered
 * first.
 */
static void
removal_count(InvalRemoval *removal, const InvalOutboxRow *row)
{
	int64		id = inval_outbox_entry_id(row->xid, row->first);
	uint64		lag_us = (uint64) Max(GetCurrentTimestamp() - row->queued_at, 0);
	InvalRingNote note = {
		.target = removal->target->name,.xid = row->xid,
		.outcome = inval_outbox_is_waiting(row) ? INVAL_RING_AGAIN : INVAL_RING_WORKER
	};
	InvalEntry	entry;

	removal->confirmed++;
	inval_refusal_forget(id);
	(void) inval_entry_read(row->pack, row->pack + row->pack_length, &entry);
	if (removal->glob == NULL && !inval_outbox_is_waiting(row))
		inval_stats_delivered(inval_stats_slot(entry.rule, removal->target->name), 1,
							  lag_us, true);
	if (inval_origin_is_wanted())
	{
		note.origin = &row->origin;
		note.lag_us = lag_us;
		inval_ring_attach(&inval_history);
		inval_ring_note(&inval_history, &note, row->pack, row->pack_length);
	}
}

/*
 * What rules have queued is data, and is not shown.
 */
static void
removal_log(const InvalRemoval *removal)
{
	const InvalWipe *wipe = &removal->wipe;

	if (removal->glob == NULL && !removal->quiet)
		ereport(LOG,
				(errmsg("inval target \"%s\": all keys that start with \"%s\" are removed",
						removal->target->name, removal->target->namespace),
				 errdetail("They were " UINT64_FORMAT ".", wipe->removed)));
	if (wipe->refused > 0)
		ereport(WARNING,
				(errmsg("inval target \"%s\" refuses to remove " UINT64_FORMAT " keys: %s",
						removal->target->name, wipe->refused, wipe->error),
				 errdetail("They are left as they are, and may be out of date.")));
}
