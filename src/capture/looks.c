/*
 * looks.c
 *		Rows whose keys have to be looked up, until the transaction ends.
 *
 * Others see a transaction as one step: what rows fed before it, and what they
 * feed after it.  So keys that have to be looked up in other tables are looked
 * up when all has been done, before the commit record: in the state without
 * anything of this transaction, where it has written to what is read, and in
 * the state with all of it, both as of the newest that others have committed.
 * Until then what the look-ups need of the rows (look.c) is in the pending set,
 * each once; it follows savepoints, and a foreign key may be deferred.
 *
 * What others commit between that and the moment in which we become visible is
 * not seen yet: somebody may have cached the old value under a key that
 * leads to our row only since.  So the same look-ups go to the outbox, and the
 * worker makes them once more (inval_looks_again), with a digest of what was
 * found, so that nothing is invalidated twice for it.
 *
 * The first state cannot be asked for any more when what is read was truncated
 * or rewritten; before that, whoever does it calls inval_looks_run.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "base/catalog.h"
#include "base/settings.h"
#include "base/skips.h"
#include "capture/look.h"
#include "capture/looking.h"
#include "capture/looks.h"
#include "commit/commit.h"
#include "commit/pending.h"
#include "key/lookup.h"
#include "outbox/outbox.h"

/*
 * What stands in place of a digest as long as there is none: whether others have
 * seen the row.
 */
#define LOOKS_NEW	UINT64CONST(0)
#define LOOKS_OLD	UINT64CONST(1)

/* Or that it has found something before, which may not be there any more */
#define LOOKS_FOUND	UINT64CONST(2)

static StringInfoData buffer;

static void looks_xact_callback(XactEvent event, void *arg);
static InvalEntry looks_entry_of(const StringInfo bytes, const InvalRule *rule,
								 uint64 *digest);
static void looks_run_noted(InvalLooking *looks, InvalOutboxUse use);
static void looks_remember(const InvalEntry *look, uint64 what);
static void looks_write(InvalLooking *looks, InvalEntry *look);
static void looks_show_each(InvalLooking *looks, const char *entries, Size length,
							InvalLooksFilter may);

/*
 * Called by _PG_init, after inval_commit_init: what is registered later is
 * called first, so that what we queue before the commit is delivered with it.
 */
void
inval_looks_init(void)
{
	RegisterXactCallback(looks_xact_callback, NULL);
}

static void
looks_xact_callback(XactEvent event, void *arg)
{
	(void) arg;
	if (event == XACT_EVENT_PRE_COMMIT || event == XACT_EVENT_PRE_PREPARE)
	{
		InvalLooking looks = {.last = true,.tell = true};

		looks_run_noted(&looks, event == XACT_EVENT_PRE_COMMIT ? INVAL_OUTBOX_MORE :
						INVAL_OUTBOX_LASTING);
	}
	else
		inval_looking_forget();
}

/*
 * Notes a row of a relation, whose keys under this rule have to be looked up;
 * "old" if others have seen it.  Leaks into the current memory context.
 */
void
inval_looks_add(InvalRule *rule, Oid relid, TupleTableSlot *row, bool old)
{
	uint64		digest = old ? LOOKS_OLD : LOOKS_NEW;
	InvalEntry	look;

	if (unlikely(buffer.data == NULL))
	{
		MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

		initStringInfo(&buffer);
		MemoryContextSwitchTo(old);
	}
	resetStringInfo(&buffer);
	inval_look_write(&buffer, rule, relid, row);
	look = looks_entry_of(&buffer, rule, &digest);

	/*
	 * What there is no more memory for goes to the outbox, for the worker;
	 * which cannot see what was before.
	 */
	if (inval_pending_is_full(INVAL_LANE_LOOK, INVAL_LOOK_TARGET, &look))
	{
		InvalLooking looks = {.spilling = true};

		looks_run_noted(&looks, INVAL_OUTBOX_MORE);
	}
	(void) inval_pending_add(INVAL_LANE_LOOK, INVAL_LOOK_TARGET, 0, &look);
	if (unlikely(inval_pending_is_flushed()))
	{
		InvalLooking looks = {.rule = rule,.row = row};

		inval_looking_begin(&looks);
		inval_looking_make(&looks);
		inval_looking_end(&looks);
	}
}

static InvalEntry
looks_entry_of(const StringInfo bytes, const InvalRule *rule, uint64 *digest)
{
	InvalEntry	look = {
		.action = INVAL_ACTION_LOOK,
		.rule = rule->id,
		.key = bytes->data,
		.key_length = (uint32) bytes->len,
		.field = (const char *) digest,
		.field_length = INVAL_LOOK_DIGEST
	};

	return look;
}

/*
 * InvalLooking up all that is noted, as far as things are now, because it is about to
 * become impossible; it stays noted.  May raise any error.
 */
void
inval_looks_run(void)
{
	InvalLooking looks = {.last = false};

	looks_run_noted(&looks, INVAL_OUTBOX_MORE);
}

/*
 * InvalLooking up what is noted of the rows of a relation, because the rules that are
 * in use, or what they read, may be gone soon.  It stays noted.
 */
void
inval_looks_run_for(InvalRelationRules *rules)
{
	InvalLooking looks = {.tell = true,.only = rules->relid};

	looks_run_noted(&looks, INVAL_OUTBOX_MORE);
}

/*
 * Makes a look-up again that the outbox has kept, after its transaction has
 * committed, and queues what it finds, if it is something else.  Returns how many
 * invalidations.  May raise any error but one of a rule's query.
 */
uint64
inval_looks_again(const InvalEntry *look)
{
	InvalLooking looks = {.only_now = true,.counting = true};
	uint64		digest = 0;

	if (look->field_length == INVAL_LOOK_DIGEST)
		memcpy(&digest, look->field, INVAL_LOOK_DIGEST);
	inval_commit_begin();
	inval_looking_begin(&looks);
	if (inval_looking_open(&looks, look))
	{
		inval_looking_make(&looks);
		looks.counting = false;
		if (!looks.failed && looks.digest != digest)
			inval_looking_make(&looks);
	}
	inval_looking_close(&looks);
	inval_looking_end(&looks);
	return looks.queued;
}

static void
looks_run_noted(InvalLooking *looks, InvalOutboxUse use)
{
	InvalOwed	set = inval_pending_find_set(INVAL_LANE_LOOK, INVAL_LOOK_TARGET);
	Size		position = 0;

	/* Without the extension there is nowhere to put what they owe. */
	if (set.length == 0 || inval_catalog(true) == NULL)
		return;
	initStringInfo(&looks->again);
	inval_looking_begin(looks);
	while (position < set.length)
	{
		const char *place = set.entries + position;
		InvalEntry	look;

		CHECK_FOR_INTERRUPTS();
		position += inval_entry_read(place, set.entries + set.length, &look) - place;
		if (OidIsValid(looks->only) && inval_look_relation(&look) != looks->only)
			continue;
		if (!inval_looking_open(looks, &look))
			continue;			/* its rule is gone, and was applied before */
		memcpy(&looks->digest, look.field, INVAL_LOOK_DIGEST);
		looks->old = looks->digest == LOOKS_OLD;
		looks->found = looks->digest == LOOKS_FOUND;
		looks->digest = 0;
		inval_looking_make(looks);
		if (looks->spilling)
			looks_remember(&look, looks->digest);
		else if (!looks->last && looks->digest != 0)
			looks_remember(&look, LOOKS_FOUND);
		else if (looks->last && (inval_look_again || looks->left) &&
				 looks->rule->lane != INVAL_LANE_SHADOW &&
				 look.key_length <= INVAL_LOOK_MAX)
			looks_write(looks, &look);
	}
	inval_looking_close(looks);
	inval_looking_end(looks);
	if (looks->last)
	{
		inval_outbox_write(looks->again.data, (Size) looks->again.len, INVAL_LANE_LOOK,
						   INVAL_LOOK_TARGET, 0, use);
		inval_pending_forget(INVAL_LANE_LOOK, INVAL_LOOK_TARGET);
	}
	pfree(looks->again.data);
}

/*
 * Remembers something of a look-up that is noted.
 */
static void
looks_remember(const InvalEntry *look, uint64 what)
{
	memcpy(unconstify(char *, look->field), &what, INVAL_LOOK_DIGEST);
}

/*
 * Adds a look-up to what goes to the outbox, with what it has found.
 */
static void
looks_write(InvalLooking *looks, InvalEntry *look)
{
	Size		size = inval_entry_size(look);

	look->field = (const char *) &looks->digest;
	enlargeStringInfo(&looks->again, (int) size);
	(void) inval_entry_write(looks->again.data + looks->again.len, look);
	looks->again.len += (int) size;
}

/*
 * Makes look-ups, given as entries, as if the transaction ended now, and hands what
 * they find to "show"; those of rules for which "may" says no are left out.  They
 * stay as they are, and so does all else: nothing is queued, counted or said, nor
 * remembered as found.  May raise any error, also one that the look-up would raise
 * at the end.
 */
void
inval_looks_show(const char *entries, Size length, InvalLooksFilter may,
				 InvalLookingShow show, void *arg)
{
	InvalLooking looks = {.show = show,.show_arg = arg};
	bool		muted = inval_skips_mute(true);

	PG_TRY();
	{
		inval_looking_begin(&looks);
		looks_show_each(&looks, entries, length, may);
		inval_looking_close(&looks);
		inval_looking_end(&looks);
	}
	PG_FINALLY();
	{
		(void) inval_skips_mute(muted);
	}
	PG_END_TRY();
}

static void
looks_show_each(InvalLooking *looks, const char *entries, Size length,
				InvalLooksFilter may)
{
	const char *end = entries + length;

	while (entries < end)
	{
		InvalEntry	look;

		CHECK_FOR_INTERRUPTS();
		entries = inval_entry_read(entries, end, &look);
		if (inval_looking_open(looks, &look) && looks->rule->lane != INVAL_LANE_SHADOW &&
			may(looks->rule, looks->show_arg))
			inval_looking_make(looks);
	}
}
