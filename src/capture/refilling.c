/*
 * refilling.c
 *		Finding the values that are to be put back at keys.
 *
 * When the worker comes the row may feed other keys, and what a path or a query of
 * via reads may lead elsewhere.  So keys are looked up once more, in the snapshot in
 * which the value is found, and what does not feed the key any more is left out.
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/rel.h"

#include "capture/derive.h"
#include "capture/looking.h"
#include "capture/refill.h"
#include "capture/refilling.h"
#include "commit/commit.h"

/* A key being looked for among those that a row feeds */
typedef struct RefillingMatch
{
	const InvalEntry *refill;
	bool		found;
} RefillingMatch;

static void refilling_find(InvalLooking *looking, const InvalEntry *refill,
						   InvalRefillFound *found, MemoryContext context);
static bool refilling_is_fed(InvalLooking *looking, const InvalEntry *refill,
							 TupleTableSlot **given);
static void refilling_match_entry(const InvalEntry *entry, void *arg);
static void refilling_match_key(StringInfo key, void *arg);

/*
 * Finds what is to be put back at the key of an entry, as it is now: takes a snapshot
 * that is newer than the call.  No value (NULL) and no problem: none is there, or none
 * is the key's any more.  May raise any error.
 */
InvalRefillFound
inval_refill_find(const InvalEntry *refill)
{
	MemoryContext context = CurrentMemoryContext;
	InvalLooking looking = {.only_now = true};
	InvalRefillFound found = {{NULL, 0}, 0, NULL};
	InvalEntry	look;

	if (!inval_refill_look(refill, &look))
		return found;
	inval_commit_begin();
	inval_looking_begin(&looking);
	if (inval_looking_open(&looking, &look))
	{
		MemoryContextSwitchTo(looking.context);
		refilling_find(&looking, refill, &found, context);
		MemoryContextSwitchTo(context);
	}
	inval_looking_close(&looking);
	inval_looking_end(&looking);
	return found;
}

static void
refilling_find(InvalLooking *looking, const InvalEntry *refill, InvalRefillFound *found,
			   MemoryContext context)
{
	InvalRule  *rule = looking->rule;
	TupleTableSlot *given = NULL;
	InvalRefillValue value;

	if (rule->refill == NULL)
	{
		if (rule->refill_problem != NULL)
			found->problem = MemoryContextStrdup(context, rule->refill_problem);
		return;
	}
	if (rule->looks && !refilling_is_fed(looking, refill, &given))
		return;
	value = inval_refill_value(rule->refill, looking->row, given);

	/* After that, so that it holds for the query's snapshot, too. */
	if (value.bytes == NULL || !inval_refill_is_in_place(rule, looking->relation, refill))
		return;
	found->ttl_ms = rule->ttl_ms;
	found->value.length = value.length;
	found->value.bytes = MemoryContextAlloc(context, value.length + 1);
	memcpy(unconstify(char *, found->value.bytes), value.bytes, value.length);
}

/*
 * Whether what was noted of the row still leads to the key; and to which row of the
 * rule's query of via.
 */
static bool
refilling_is_fed(InvalLooking *looking, const InvalEntry *refill, TupleTableSlot **given)
{
	RefillingMatch match = {refill, false};
	InvalRule  *rule = looking->rule;
	InvalViaRows *rows;
	StringInfoData key;

	if (rule->via == NULL)
	{
		(void) inval_derive_each(rule, looking->row, INVAL_STATE_NOW, refilling_match_entry,
								 &match);
		return match.found;
	}
	rows = inval_via_rows(rule->via, looking->row, INVAL_STATE_NOW);
	while (!match.found && (*given = inval_via_next(rows)) != NULL)
	{
		initStringInfo(&key);
		(void) inval_render_each(&key, rule->templates[INVAL_RULE_KEY], *given, INVAL_STATE_NOW, refilling_match_key,
								 &match);
	}
	return match.found;
}

static void
refilling_match_entry(const InvalEntry *entry, void *arg)
{
	RefillingMatch *match = arg;

	match->found |= entry->key_length == match->refill->key_length &&
		memcmp(entry->key, match->refill->key, entry->key_length) == 0;
}

static void
refilling_match_key(StringInfo key, void *arg)
{
	InvalEntry	entry = {.key = key->data,.key_length = (uint32) key->len};

	refilling_match_entry(&entry, arg);
}
