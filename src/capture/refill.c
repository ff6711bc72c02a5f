/*
 * refill.c
 *		Values that are to be put back at keys.
 *
 * Beside an invalidation goes, in a lane of its own, an entry that the worker makes
 * a value of after that (worker/refills.c).  It has the key, and as its field what the
 * query is asked by:
 *
 *		place		1 byte: 1 if the row must still have these inputs, then 6: where it is
 *		inputs		as look.c has them
 *
 * Of the old row's keys those are left out for which the row would have to be there.
 * refilling.c finds the value.
 */
#include "postgres.h"

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
#define PLACE_SIZE			sizeof(ItemPointerData)

static StringInfoData buffer;

static bool refill_write(InvalRule *rule, Oid relid, TupleTableSlot *row);
static uint32 refill_inputs_offset(const InvalEntry *refill);
static bool refill_has_inputs(const InvalRule *rule, Oid relid, TupleTableSlot *row,
							  const InvalEntry *refill);

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
	if (rule->refill->vague)
	{
		if (!ItemPointerIsValid(&row->tts_tid))
			return false;
		appendBinaryStringInfo(&buffer, (const char *) &row->tts_tid, PLACE_SIZE);
	}
	inval_look_write(&buffer, rule, relid, row);
	return true;
}

static uint32
refill_inputs_offset(const InvalEntry *refill)
{
	return 1 + (refill->field[0] == REFILL_IN_PLACE ? PLACE_SIZE : 0);
}

/*
 * What an entry has as look.c reads it; false if these bytes are nothing of ours.
 */
bool
inval_refill_look(const InvalEntry *refill, InvalEntry *look)
{
	uint32		skip;

	if (refill->field == NULL || refill->field_length < 1)
		return false;
	skip = refill_inputs_offset(refill);
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
 * Whether a row that stands where the noted one stood has what was noted of that, so
 * that it feeds the key and the query is its, where that matters.  Which row it is does
 * not: tables are rewritten, and truncated by who has just filled them.  Nor does since
 * when: who has put it there since our lease has invalidated the key.
 */
bool
inval_refill_is_in_place(const InvalRule *rule, Relation relation, const InvalEntry *refill)
{
	ItemPointerData tid;
	TupleTableSlot *slot;
	Snapshot	snapshot;
	bool		there;

	if (refill->field[0] != REFILL_IN_PLACE)
		return !rule->refill->vague;	/* as it was then, too */
	memcpy(&tid, refill->field + 1, PLACE_SIZE);
	slot = table_slot_create(relation, NULL);
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	there = ItemPointerGetBlockNumber(&tid) < RelationGetNumberOfBlocks(relation) &&
		table_tuple_fetch_row_version(relation, &tid, snapshot, slot) &&
		refill_has_inputs(rule, RelationGetRelid(relation), slot, refill);
	UnregisterSnapshot(snapshot);
	ExecDropSingleTupleTableSlot(slot);
	return there;
}

static bool
refill_has_inputs(const InvalRule *rule, Oid relid, TupleTableSlot *row,
				  const InvalEntry *refill)
{
	uint32		offset = refill_inputs_offset(refill);
	StringInfoData inputs;

	initStringInfo(&inputs);
	inval_look_write(&inputs, rule, relid, row);
	return (uint32) inputs.len == refill->field_length - offset &&
		memcmp(inputs.data, refill->field + offset, inputs.len) == 0;
}
