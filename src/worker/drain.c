/*
 * drain.c
 *		Delivers what is in the outbox, batch by batch.
 *
 * A batch is: read some rows that are owed, send their entries, remove the
 * rows that were confirmed.  The worker does each database step in a short
 * transaction of its own and has none open while it waits for the target;
 * inval_drain does the same within its caller's.  Two may work on the same
 * rows: a key is then deleted twice, and a row once.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "outbox/ledger.h"
#include "outbox/outbox.h"
#include "outbox/read.h"
#include "redis/waiting.h"
#include "stats/ring.h"
#include "stats/stats.h"
#include "store/pauses.h"
#include "target/delivery.h"
#include "target/pace.h"
#include "target/trust.h"
#include "worker/drain.h"
#include "worker/gather.h"
#include "worker/members.h"
#include "worker/refusal.h"
#include "worker/requeue.h"
#include "worker/split.h"

/* What became of the entries of a batch, or of what was sent for them */
typedef struct DrainAnswers
{
	InvalOutcome *outcomes;
	char	  **errors;
	uint64		unfinished;		/* sets for which there was no time */
} DrainAnswers;

static void drain_wait(const InvalTarget *target);
static bool drain_send(InvalPass *pass, const InvalBatch *batch, DrainAnswers *sent);
static bool drain_ship(InvalPass *pass, const InvalBatch *batch, DrainAnswers *sent,
					   bool members);
static bool drain_remove_members(InvalPass *pass, const InvalBatch *batch, DrainAnswers *sent);
static void drain_settle(InvalPass *pass, InvalBatch *batch, const DrainAnswers *sent);
static bool drain_note_row(InvalPass *pass, const InvalBatchRow *taken,
						   const InvalOutcome *outcomes, uint64 horizon);
static void drain_settle_rows(InvalPass *pass, InvalBatch *batch,
							  const DrainAnswers *answers);
static void drain_settle_row(InvalPass *pass, Relation relation,
							 const InvalBatchRow *taken,
							 const InvalOutcome *outcomes, char **errors);
static void drain_count(const InvalPass *pass, const InvalBatchRow *taken,
						const InvalOutcome *outcomes, TimestampTz now);
static void drain_note_history(const InvalPass *pass, const InvalOutboxRow *row,
							   const InvalOutcome *outcomes, uint64 lag_us);

/*
 * Delivers the next batch over the target's connection, which must be there.
 */
InvalDrainResult
inval_drain_batch(InvalPass *pass)
{
	MemoryContext old;
	InvalBatch	batch;
	DrainAnswers answers;
	bool		sent = true;
	int			i;

	drain_wait(pass->target);
	MemoryContextReset(pass->context);
	old = MemoryContextSwitchTo(pass->context);

	inval_batch_gather(&batch, pass);
	if (batch.nrows > 0)
	{
		sent = drain_send(pass, &batch, &answers);
		inval_pace_sent(pass->target, batch.nsent);
		drain_settle(pass, &batch, &answers);
		pass->found += batch.entries - batch.paused;
		pass->paused += batch.paused;
	}
	MemoryContextSwitchTo(old);

	if (!sent)
		return INVAL_DRAIN_FAILED;
	for (i = 0; i < INVAL_PASS_CURSORS; i++)
		if (pass->cursors[i].active)
			return INVAL_DRAIN_MORE;
	return INVAL_DRAIN_PASSED;
}

/*
 * Waits until the target's rate allows the next batch.
 */
static void
drain_wait(const InvalTarget *target)
{
	long		wait_ms;

	while ((wait_ms = inval_pace_wait_ms(target)) > 0)
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 wait_ms, inval_waiting(INVAL_WAITING_RATE));
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

/*
 * Sends a batch.  Returns false if the target failed on the way.  What is told of a
 * set is told when its members are gone.
 */
static bool
drain_send(InvalPass *pass, const InvalBatch *batch, DrainAnswers *sent)
{
	bool		alive;
	int			i;

	sent->outcomes = palloc0(batch->nsent * sizeof(InvalOutcome));
	sent->errors = palloc0(batch->nsent * sizeof(char *));
	sent->unfinished = 0;
	/* So our transaction is older than what the worker hears while we wait. */
	if (!pass->own_transactions && inval_trust_is_limited(pass->target))
		(void) GetTopFullTransactionId();
	alive = drain_ship(pass, batch, sent, false);
	if (alive && drain_remove_members(pass, batch, sent))
		alive = drain_ship(pass, batch, sent, true);
	if (!alive)
		return false;
	for (i = 0; i < batch->nsent; i++)
		pass->open += sent->outcomes[i] == INVAL_OUTCOME_OPEN;
	pass->open -= sent->unfinished;
	return true;
}

/*
 * Sends what is commands: of sets whose members are gone only what is told of them,
 * or all but such.
 */
static bool
drain_ship(InvalPass *pass, const InvalBatch *batch, DrainAnswers *sent, bool members)
{
	InvalEntry *entries = palloc(batch->nsent * sizeof(InvalEntry));
	int		   *numbers = palloc(batch->nsent * sizeof(int));
	InvalRanked *ranked = palloc(batch->nsent * sizeof(InvalRanked));
	InvalShipment shipment;
	bool		alive;
	int			k;
	int			i;

	for (i = 0; i < batch->nsent; i++)
		ranked[i] = (InvalRanked) {inval_shipment_rank(&batch->sent[i]), (Size) i};
	inval_shipment_sort(ranked, (Size) batch->nsent);
	inval_shipment_init(&shipment, pass->target, true);
	for (k = 0; k < batch->nsent; k++)
	{
		InvalEntry *entry = &entries[shipment.entries];

		i = (int) ranked[k].place;
		*entry = batch->sent[i];
		entry->only_told = members;
		if (inval_action_is_for_worker(pass->target, entry) != members ||
			(members && (!inval_entry_is_told(entry) ||
						 sent->outcomes[i] != INVAL_OUTCOME_CONFIRMED)))
			continue;
		numbers[shipment.entries] = i;
		inval_shipment_add(&shipment, entry);
	}
	inval_shipment_seal(&shipment);
	if (shipment.entries == 0)
		return true;
	alive = inval_shipment_send_singly(&shipment, entries, pass->target);
	inval_stats_removed(&shipment);
	for (i = 0; i < shipment.entries; i++)
	{
		sent->outcomes[numbers[i]] = shipment.outcomes[i];
		sent->errors[numbers[i]] = shipment.errors[i];
	}
	return alive;
}

/*
 * Removes the members of sets, where that is not a command.  Returns whether there
 * were any.  What there is no time for is met again at once.
 */
static bool
drain_remove_members(InvalPass *pass, const InvalBatch *batch, DrainAnswers *sent)
{
	InvalMembers members;
	bool		any = false;
	int			i;

	for (i = 0; i < batch->nsent; i++)
	{
		if (!inval_action_is_for_worker(pass->target, &batch->sent[i]))
			continue;
		if (!any)
			inval_members_begin(&members, pass->target, pass->own_transactions);
		any = true;
		sent->outcomes[i] = inval_members_remove(&members, &batch->sent[i], &sent->errors[i]);
	}
	if (!any)
		return false;
	inval_members_end(&members);
	sent->unfinished = members.unfinished;
	if (members.unfinished > 0)
		pass->next_due = GetCurrentTimestamp();
	return true;
}

/*
 * Sees that what was confirmed is owed no more, and counts.  Most transactions
 * have queued one row: for those a note in the ledger is enough, which writes
 * no WAL.  Only the worker does so, which empties the tables before the ledger
 * forgets; and not for what is older than the worker, which may be another
 * database's, copied from a template.
 */
static void
drain_settle(InvalPass *pass, InvalBatch *batch, const DrainAnswers *sent)
{
	TimestampTz now = GetCurrentTimestamp();
	uint64		horizon = Max(pass->note_from, inval_ledger_horizon());
	DrainAnswers answers;
	int			left = 0;
	int			i;

	/* From what was sent to the entries of rows */
	answers.outcomes = palloc(batch->entries * sizeof(InvalOutcome));
	answers.errors = palloc(batch->entries * sizeof(char *));
	for (i = 0; i < batch->entries; i++)
	{
		bool		held = batch->sent_as[i] < 0;

		answers.outcomes[i] = held ? INVAL_OUTCOME_OPEN : sent->outcomes[batch->sent_as[i]];
		answers.errors[i] = held ? NULL : sent->errors[batch->sent_as[i]];
	}

	for (i = 0; i < batch->nrows; i++)
	{
		InvalBatchRow *row = &batch->rows[i];
		const InvalOutcome *outcomes = answers.outcomes + row->number;

		drain_count(pass, row, outcomes, now);
		row->settled = drain_note_row(pass, row, outcomes, horizon);
		left += !row->settled;
	}
	if (left > 0)
		drain_settle_rows(pass, batch, &answers);
}

/*
 * Notes a row as confirmed in the ledger, if that is where such is noted, it
 * is, and the ledger will remember.  Returns whether nothing needs to be done
 * for it in the outbox.
 */
static bool
drain_note_row(InvalPass *pass, const InvalBatchRow *taken,
			   const InvalOutcome *outcomes, uint64 horizon)
{
	const InvalOutboxRow *row = &taken->row;
	InvalLedgerState state = row->again && !inval_requeue_comes_again(row) ?
		INVAL_LEDGER_REPEATED : INVAL_LEDGER_CONFIRMED;
	int			i;

	for (i = 0; i < row->entries; i++)
		if (outcomes[i] != INVAL_OUTCOME_CONFIRMED)
			return false;
	/* A table for targets that are away may be there for longer than the ledger knows. */
	if (pass->note_from == 0 || row->table >= INVAL_OUTBOX_KEPT ||
		!inval_requeue_can_note(row, horizon))
		return false;
	if (inval_ledger_note(row->xid, state))
		pass->confirmed += row->entries;
	inval_refusal_forget(inval_outbox_entry_id(row->xid, row->first));
	return true;
}

/*
 * Removes the other rows from the outbox.
 */
static void
drain_settle_rows(InvalPass *pass, InvalBatch *batch, const DrainAnswers *answers)
{
	Relation	relation = NULL;
	int			table = -1;
	int			i;

	inval_pass_start_transaction(pass);
	for (i = 0; i < batch->nrows; i++)
	{
		InvalOutboxRow *row = &batch->rows[i].row;
		int			number = batch->rows[i].number;

		if (batch->rows[i].settled)
			continue;
		if (row->table != table)
		{
			if (relation != NULL)
				relation_close(relation, NoLock);
			table = row->table;
			relation = inval_outbox_open(table, RowExclusiveLock);
		}
		if (relation == NULL)
			continue;			/* it stays, and is delivered once more */
		drain_settle_row(pass, relation, &batch->rows[i], answers->outcomes + number,
						 answers->errors + number);
	}
	if (relation != NULL)
		relation_close(relation, NoLock);
	inval_pass_commit_transaction(pass);
}

static void
drain_settle_row(InvalPass *pass, Relation relation, const InvalBatchRow *taken,
				 const InvalOutcome *outcomes, char **errors)
{
	const InvalOutboxRow *row = &taken->row;
	int64		id = inval_outbox_entry_id(row->xid, row->first);
	int			done = 0;
	int			refused = 0;
	int			i;

	for (i = 0; i < row->entries; i++)
	{
		done += outcomes[i] == INVAL_OUTCOME_CONFIRMED;
		refused += outcomes[i] == INVAL_OUTCOME_REFUSED;
	}

	if (done == row->entries)
	{
		if (inval_outbox_delete(relation, row))
		{
			pass->confirmed += row->entries;
			inval_requeue_confirmed(row);
		}
		inval_refusal_forget(id);
	}
	else if (refused > 0 && row->entries == 1 && row->table >= INVAL_OUTBOX_GROUP)
		inval_refusal_note(id, errors[0]);
	else if (refused > 0)
	{
		/*
		 * One poisonous entry must hold up neither its neighbours nor the
		 * emptying of a table that is written at commit.
		 */
		if (inval_outbox_delete(relation, row))
		{
			inval_drain_split(row, outcomes, errors);
			pass->confirmed += done;
		}
	}
	else if (done > 0 && inval_outbox_delete(relation, row))
	{
		/* What a lost node has yet to take must not be sent to others again. */
		inval_drain_keep_rest(row, outcomes);
		pass->confirmed += done;
	}
	/* Else it stays as it is. */
}

/*
 * Adds a row's outcomes to the counters of its rules.  What waited for standbys
 * was counted when it was delivered first.
 */
static void
drain_count(const InvalPass *pass, const InvalBatchRow *taken,
			const InvalOutcome *outcomes, TimestampTz now)
{
	const InvalOutboxRow *row = &taken->row;
	uint64		lag_us = (uint64) Max(now - row->queued_at, 0);
	const char *place = row->pack;
	InvalStatsSlot *slot = NULL;
	uint32		rule = 0;
	uint64		run = 0;
	bool		counted = inval_outbox_is_waiting(row);
	int			i;

	for (i = 0; i < row->entries; i++)
	{
		InvalEntry	entry;

		place = inval_entry_read(place, row->pack + row->pack_length, &entry);
		if (i == 0 || entry.rule != rule)
		{
			inval_stats_delivered(slot, run, lag_us, true);
			run = 0;
			rule = entry.rule;
			slot = inval_stats_slot(rule, pass->target->name);
		}
		if (outcomes[i] == INVAL_OUTCOME_CONFIRMED)
			run += counted ? 0 : 1;
		else if (slot != NULL && !inval_pauses_hold(&entry))
			pg_atomic_fetch_add_u64(&slot->counts[INVAL_STATS_FAILED_TRIES], 1);
	}
	inval_stats_delivered(slot, run, lag_us, true);
	if (inval_origin_is_wanted())
		drain_note_history(pass, row, outcomes, lag_us);
}

/*
 * Of what is refused again and again only the first time is noted.
 */
static void
drain_note_history(const InvalPass *pass, const InvalOutboxRow *row,
				   const InvalOutcome *outcomes, uint64 lag_us)
{
	InvalRingNote note = {
		.target = pass->target->name,.xid = row->xid,.lag_us = lag_us,.origin = &row->origin
	};
	bool		again = row->lane == INVAL_LANE_REPEAT || row->lane == INVAL_LANE_HELD ||
		inval_outbox_is_waiting(row);
	const char *place = row->pack;
	InvalRefusal refusal;
	int			i;

	inval_ring_attach(&inval_history);
	for (i = 0; i < row->entries; i++)
	{
		const char *start = place;
		InvalEntry	entry;

		place = inval_entry_read(place, row->pack + row->pack_length, &entry);
		if (outcomes[i] == INVAL_OUTCOME_CONFIRMED)
			note.outcome = again ? INVAL_RING_AGAIN : INVAL_RING_WORKER;
		else if (outcomes[i] == INVAL_OUTCOME_REFUSED &&
				 !inval_refusal_find(inval_outbox_entry_id(row->xid, row->first + i), &refusal))
			note.outcome = INVAL_RING_REFUSED;
		else
			continue;
		inval_ring_note(&inval_history, &note, start, (Size) (place - start));
	}
}
