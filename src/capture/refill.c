/*
 * refill.c
 *		Values that are to be put back at keys.
 *
 * Beside an invalidation goes, in a lane of its own, an entry that the worker makes
 * a value of after that (worker/refills.c).  It has the key, and as its field what the
 * query is asked by:
 *
 *		place		1 byte: 1 if the row must still be as it was, then 6 and 4: where it
 *					is, and which transaction has written it there
 *		inputs		as look.c has them
 *
 * Of the old row's keys those are left out for which the row would have to be there.
 * refilling.c finds the value.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/tableam.h"
#include "storage/bufmgr.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/shared.h"
#include "capture/look.h"
#include "capture/owed.h"
#include "capture/refill.h"
#include "commit/commit.h"
#include "target/targets.h"

/* The field of an entry */
#define REFILL_ANYWHERE		0
#define REFILL_IN_PLACE		1
#define PLACE_SIZE			(sizeof(ItemPointerData) + sizeof(TransactionId))

static StringInfoData buffer;

static bool refill_write(InvalRule *rule, Oid relid, TupleTableSlot *row);
static bool refill_write_place(TupleTableSlot *row);

/*
 * Queues that a value is put back at the key of an invalidation, if the rule has a
 * query for it; only a worker does so.  "old": it is the row as it was.  Leaks into
 * the current memory context.
 */
void
inval_refill_owe(InvalRule *rule, const InvalEntry *entry, Oid relid,
				 TupleTableSlot *row, bool old)
{
	InvalEntry	refill = {
		.action = INVAL_ACTION_REFILL,
		.rule = rule->id,
		.key = entry->key,
		.key_length = entry->key_length
	};
	int			i;

	if (likely(rule->refill == NULL && rule->refill_problem == NULL) ||
		rule->lane == INVAL_LANE_SHADOW || !inval_shared_is_preloaded())
		return;
	if (rule->refill == NULL)
	{
		inval_owed_not_refilled(rule, rule->refill_problem);
		return;
	}
	if (rule->refill->vague && old)
		return;
	if (!refill_write(rule, relid, row))
		return;
	if (entry->key_length + (Size) buffer.len > INVAL_MAX_KEY_LENGTH)
	{
		inval_owed_not_refilled(rule, "what its query is asked by is too long");
		return;
	}
	refill.field = buffer.data;
	refill.field_length = (uint32) buffer.len;
	for (i = 0; i < rule->ntargets; i++)
		if (inval_target_may_have(rule->targets[i], entry))
			(void) inval_commit_queue(INVAL_LANE_REFILL, rule->targets[i]->number, &refill);
}

/*
 * Fills the buffer; false if the row cannot be found again, which it would have to.
 */
static bool
refill_write(InvalRule *rule, Oid relid, TupleTableSlot *row)
{
	if (unlikely(buffer.data == NULL))
	{
		MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

		initStringInfo(&buffer);
		MemoryContextSwitchTo(old);
	}
	resetStringInfo(&buffer);
	appendStringInfoChar(&buffer, rule->refill->vague ? REFILL_IN_PLACE : REFILL_ANYWHERE);
	if (rule->refill->vague && !refill_write_place(row))
		return false;
	inval_look_write(&buffer, rule, relid, row);
	return true;
}

static bool
refill_write_place(TupleTableSlot *row)
{
	TransactionId xmin;

	if (!ItemPointerIsValid(&row->tts_tid) ||
		(!TTS_IS_HEAPTUPLE(row) && !TTS_IS_BUFFERTUPLE(row)))
		return false;
	xmin = HeapTupleHeaderGetRawXmin(ExecFetchSlotHeapTuple(row, false, NULL)->t_data);
	appendBinaryStringInfo(&buffer, (const char *) &row->tts_tid, sizeof(ItemPointerData));
	appendBinaryStringInfo(&buffer, (const char *) &xmin, sizeof(xmin));
	return true;
}

/*
 * What an entry has as look.c reads it; false if these bytes are nothing of ours.
 */
bool
inval_refill_look(const InvalEntry *refill, InvalEntry *look)
{
	uint32		skip = 1;

	if (refill->field == NULL || refill->field_length < 1)
		return false;
	if (refill->field[0] == REFILL_IN_PLACE)
		skip += PLACE_SIZE;
	if (refill->field_length < skip)
		return false;
	*look = *refill;
	look->action = INVAL_ACTION_LOOK;
	look->key = refill->field + skip;
	look->key_length = refill->field_length - skip;
	look->field = NULL;
	look->field_length = 0;
	return true;
}

/*
 * Whether the row is still the one that was noted, where that matters: it holds for
 * every snapshot that was taken before the call, since the note.
 */
bool
inval_refill_is_in_place(Relation relation, const InvalEntry *refill)
{
	ItemPointerData tid;
	TransactionId xmin;
	TupleTableSlot *slot;
	Snapshot	snapshot;
	bool		there;

	if (refill->field[0] != REFILL_IN_PLACE)
		return true;
	memcpy(&tid, refill->field + 1, sizeof(tid));
	memcpy(&xmin, refill->field + 1 + sizeof(tid), sizeof(xmin));
	slot = table_slot_create(relation, NULL);
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	there = ItemPointerGetBlockNumber(&tid) < RelationGetNumberOfBlocks(relation) &&
		table_tuple_fetch_row_version(relation, &tid, snapshot, slot) &&
		(TTS_IS_HEAPTUPLE(slot) || TTS_IS_BUFFERTUPLE(slot)) &&
		TransactionIdEquals(HeapTupleHeaderGetRawXmin(ExecFetchSlotHeapTuple(slot, false, NULL)->t_data),
							xmin);
	UnregisterSnapshot(snapshot);
	ExecDropSingleTupleTableSlot(slot);
	return there;
}
