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
#include "catalog/pg_class.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "replication/logicalworker.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/attempt.h"
#include "base/catalog.h"
#include "base/rights.h"
#include "base/settings.h"
#include "capture/derive.h"
#include "capture/look.h"
#include "capture/looks.h"
#include "capture/owed.h"
#include "commit/commit.h"
#include "commit/pending.h"
#include "key/lookup.h"
#include "outbox/outbox.h"
#include "rule/broken.h"

/*
 * What stands in place of a digest as long as there is none: whether others have
 * seen the row.
 */
#define LOOKS_NEW	UINT64CONST(0)
#define LOOKS_OLD	UINT64CONST(1)

/* Or that it has found something before, which may not be there any more */
#define LOOKS_FOUND	UINT64CONST(2)

/* Look-ups being made, of one relation after the other */
typedef struct Looks
{
	bool		last;			/* it is the last time in this transaction */
	bool		spilling;		/* they may go to the outbox as they are */
	bool		tell;			/* of a foreign key that leads nowhere */
	Oid			only;			/* of this relation's rows; InvalidOid: of all */
	bool		only_now;		/* the other state is none of these look-ups' */
	bool		counting;		/* nothing is queued, only the digest made */
	bool		failed;			/* the query has */
	uint64		queued;			/* so many invalidations were */
	Relation	relation;		/* NULL: none is open */
	TupleTableSlot *row;
	MemoryContext context;		/* of one look-up */
	InvalRule  *rule;
	bool		old;			/* others have seen the row */
	bool		found;			/* something was found before */
	bool		left;			/* it is left to the worker */
	InvalState	state;
	uint64		digest;			/* of what was found in the state NOW */
	StringInfoData again;		/* for the worker */
} Looks;

static StringInfoData buffer;

/* The rules of a relation whose rows are being read, if not the relation's own */
static InvalRelationRules *used_rules = NULL;

/* Numbers of rules that must not be asked any more for what was before */
static List *lost = NIL;

static void looks_xact_callback(XactEvent event, void *arg);
static InvalEntry looks_entry_of(const StringInfo bytes, const InvalRule *rule,
								 uint64 *digest);
static void looks_begin(Looks *looks);
static void looks_end(Looks *looks);
static void looks_run_noted(Looks *looks, InvalOutboxUse use);
static void looks_remember(const InvalEntry *look, uint64 what);
static void looks_write(Looks *looks, InvalEntry *look);
static bool looks_open(Looks *looks, const InvalEntry *look);
static void looks_close(Looks *looks);
static void looks_make(Looks *looks);
static void looks_hide(const InvalRule *rule, ErrorData *error);
static void looks_make_in(void *arg);
static bool looks_is_for_worker(const Looks *looks);
static void looks_found(const InvalEntry *entry, void *arg);

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
		Looks		looks = {.last = true,.tell = true};

		looks_run_noted(&looks, event == XACT_EVENT_PRE_COMMIT ? INVAL_OUTBOX_MORE :
						INVAL_OUTBOX_LASTING);
	}
	else
		lost = NIL;				/* its memory is the transaction's */
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
		Looks		looks = {.spilling = true};

		looks_run_noted(&looks, INVAL_OUTBOX_MORE);
	}
	(void) inval_pending_add(INVAL_LANE_LOOK, INVAL_LOOK_TARGET, 0, &look);
	if (unlikely(inval_pending_is_flushed()))
	{
		Looks		looks = {.rule = rule,.row = row};

		looks_begin(&looks);
		looks_make(&looks);
		looks_end(&looks);
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
 * Looks up all that is noted, as far as things are now, because it is about to
 * become impossible; it stays noted.  May raise any error.
 */
void
inval_looks_run(void)
{
	Looks		looks = {.last = false};

	looks_run_noted(&looks, INVAL_OUTBOX_MORE);
}

/*
 * Says that from now on, in this transaction, nobody can find out what rows
 * have fed under a rule: that is lost of those that it changes.
 */
void
inval_looks_lose(uint32 rule)
{
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);

	lost = list_append_unique_int(lost, (int) rule);
	MemoryContextSwitchTo(old);
}

/*
 * Says that the rows of a relation, which are about to be read, are noted under
 * these rules, whatever the relation's own are by now.  Returns what was said
 * before, which is to be said again afterwards.  NULL: under its own.
 */
InvalRelationRules *
inval_looks_use(InvalRelationRules *rules)
{
	InvalRelationRules *before = used_rules;

	used_rules = rules;
	return before;
}

/*
 * Looks up what is noted of the rows of a relation, because the rules that are
 * in use, or what they read, may be gone soon.  It stays noted.
 */
void
inval_looks_run_for(InvalRelationRules *rules)
{
	Looks		looks = {.tell = true,.only = rules->relid};

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
	Looks		looks = {.only_now = true,.counting = true};
	uint64		digest = 0;

	if (look->field_length == INVAL_LOOK_DIGEST)
		memcpy(&digest, look->field, INVAL_LOOK_DIGEST);
	inval_commit_begin();
	looks_begin(&looks);
	if (looks_open(&looks, look))
	{
		looks_make(&looks);
		looks.counting = false;
		if (!looks.failed && looks.digest != digest)
			looks_make(&looks);
	}
	looks_close(&looks);
	looks_end(&looks);
	return looks.queued;
}

static void
looks_begin(Looks *looks)
{
	looks->context = AllocSetContextCreate(CurrentMemoryContext, "inval look-up",
										   ALLOCSET_DEFAULT_SIZES);
	inval_lookup_begin();
}

static void
looks_end(Looks *looks)
{
	inval_lookup_end();
	MemoryContextDelete(looks->context);
}

static void
looks_run_noted(Looks *looks, InvalOutboxUse use)
{
	InvalOwed	set = inval_pending_find_set(INVAL_LANE_LOOK, INVAL_LOOK_TARGET);
	Size		position = 0;

	/* Without the extension there is nowhere to put what they owe. */
	if (set.length == 0 || inval_catalog(true) == NULL)
		return;
	initStringInfo(&looks->again);
	looks_begin(looks);
	while (position < set.length)
	{
		const char *place = set.entries + position;
		InvalEntry	look;

		CHECK_FOR_INTERRUPTS();
		position += inval_entry_read(place, set.entries + set.length, &look) - place;
		if (OidIsValid(looks->only) && inval_look_relation(&look) != looks->only)
			continue;
		if (!looks_open(looks, &look))
			continue;			/* its rule is gone, and was applied before */
		memcpy(&looks->digest, look.field, INVAL_LOOK_DIGEST);
		looks->old = looks->digest == LOOKS_OLD;
		looks->found = looks->digest == LOOKS_FOUND;
		looks->digest = 0;
		looks_make(looks);
		if (looks->spilling)
			looks_remember(&look, looks->digest);
		else if (!looks->last && looks->digest != 0)
			looks_remember(&look, LOOKS_FOUND);
		else if (looks->last && (inval_look_again || looks->left) &&
				 looks->rule->lane != INVAL_LANE_SHADOW &&
				 look.key_length <= INVAL_LOOK_MAX)
			looks_write(looks, &look);
	}
	looks_close(looks);
	looks_end(looks);
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
looks_write(Looks *looks, InvalEntry *look)
{
	Size		size = inval_entry_size(look);

	look->field = (const char *) &looks->digest;
	enlargeStringInfo(&looks->again, (int) size);
	(void) inval_entry_write(looks->again.data + looks->again.len, look);
	looks->again.len += (int) size;
}

/*
 * Opens the relation that a look-up is for, finds its rule and reads the row.
 * Returns false if there is no such rule any more.
 */
static bool
looks_open(Looks *looks, const InvalEntry *look)
{
	Oid			relid = inval_look_relation(look);
	InvalRelationRules *rules;
	MemoryContext old;
	bool		fits;
	int			i;

	MemoryContextReset(looks->context);
	if (looks->relation == NULL || RelationGetRelid(looks->relation) != relid)
	{
		looks_close(looks);
		looks->relation = try_relation_open(relid, AccessShareLock);
		if (looks->relation == NULL)
			return false;
		looks->row = MakeSingleTupleTableSlot(RelationGetDescr(looks->relation),
											  &TTSOpsVirtual);
	}
	rules = used_rules != NULL && used_rules->relid == relid ? used_rules :
		inval_rules_of(looks->relation);
	for (i = 0; i < rules->nrules && rules->rules[i].id != look->rule; i++)
		 /* look on */ ;
	if (i == rules->nrules || rules->rules[i].broken != NULL)
		return false;
	looks->rule = &rules->rules[i];
	old = MemoryContextSwitchTo(looks->context);
	fits = inval_look_read(look, looks->rule, looks->row);
	MemoryContextSwitchTo(old);
	return fits;
}

static void
looks_close(Looks *looks)
{
	if (looks->relation == NULL)
		return;
	ExecDropSingleTupleTableSlot(looks->row);
	relation_close(looks->relation, AccessShareLock);
	looks->relation = NULL;
}

/*
 * Makes one look-up.  A query is somebody's code: if it may not be run any
 * more, that must not keep others from writing.  Whatever else it raises is
 * the statement's, as if a trigger had raised it; where nobody has made a statement
 * that could be made otherwise, it must not keep what comes after it from being
 * replicated, or looked up.
 */
static void
looks_make(Looks *looks)
{
	MemoryContext old;
	ErrorData  *error;

	old = MemoryContextSwitchTo(looks->context);
	looks->left = looks_is_for_worker(looks);
	if (looks->left)
	{
		MemoryContextSwitchTo(old);
		return;
	}
	if (looks->rule->via == NULL)
		looks_make_in(looks);
	else
	{
		error = inval_attempt(looks_make_in, looks);
		looks->failed = error != NULL;
		if (error != NULL)
			looks_hide(looks->rule, error);
		if (error == NULL)
			 /* all is well */ ;
		else if (inval_rule_is_broken_by(error))
		{
			inval_rule_warn_broken(looks->rule->id, error->message);
			inval_owed_count_skipped(looks->rule);
		}
		else if (looks->only_now || IsLogicalWorker())
			inval_owed_failed(looks->rule, error);
		else
			ReThrowError(error);
	}
	MemoryContextSwitchTo(old);
}

/*
 * An error of a query may have values in it, which are not for everybody who writes
 * to the tracked table: those without the rights of its owner are only told that
 * there was one, and the server log which.
 */
static void
looks_hide(const InvalRule *rule, ErrorData *error)
{
	Oid			owner = inval_rights_owner(RelationRelationId, rule->via->tracked);

	if (has_privs_of_role(GetUserId(), owner) || inval_rule_is_broken_by(error))
		return;
	ereport(LOG_SERVER_ONLY,
			(errcode(error->sqlerrcode),
			 errmsg("the query of inval rule %u has failed: %s", rule->id, error->message)));
	error->message = psprintf(_("the query of inval rule %u has failed"), rule->id);
	error->detail = error->context = error->internalquery = NULL;
	error->hint = _("Who owns the tracked table is told why, and so is the server log.");
	error->schema_name = error->table_name = error->column_name = NULL;
	error->datatype_name = error->constraint_name = NULL;
	error->internalpos = 0;
}

static void
looks_make_in(void *arg)
{
	Looks	   *looks = arg;
	InvalRule  *rule = looks->rule;
	bool		touched = !looks->only_now && inval_rule_is_touched(rule);
	ErrorContextCallback callback;
	InvalRenderResult now;
	InvalRenderResult before = INVAL_RENDER_MISSING;

	callback.callback = inval_rule_error_context;
	callback.arg = rule;
	callback.previous = error_context_stack;
	error_context_stack = &callback;

	looks->state = INVAL_STATE_NOW;
	now = inval_derive_each(rule, looks->row, INVAL_STATE_NOW, looks_found, looks);
	looks->state = INVAL_STATE_BEFORE;
	if (touched)
		before = inval_derive_each(rule, looks->row, INVAL_STATE_BEFORE, looks_found, looks);
	error_context_stack = callback.previous;

	if (looks->last && looks->old && list_member_int(lost, (int) rule->id))
		inval_owed_lost(rule);
	if (!looks->tell || now == INVAL_RENDER_DONE || before == INVAL_RENDER_DONE)
		return;
	/* What is gone now may have been there before, and have led to a NULL. */
	if (now != INVAL_RENDER_MISSING || before != INVAL_RENDER_MISSING)
		inval_owed_count_skipped(rule);
	else if (looks->old || (looks->last && !looks->found && inval_rule_may_miss(rule)))
		inval_owed_missing(rule);

	/* Else what it points to may come yet, or the row is gone again. */
}

/*
 * Whether a look-up is better made by the worker, after the commit: nobody has
 * to wait, with all the locks of a transaction, for whoever has locked a table
 * that is read; and a serializable transaction must not be checked for what we
 * have read.  Where it has written itself, it has both anyway,
 * and only it can see what was there before.
 */
static bool
looks_is_for_worker(const Looks *looks)
{
	ListCell   *lc;

	if (!looks->last || inval_rule_is_touched(looks->rule))
		return false;
	if (IsolationIsSerializable())
		return true;
	foreach(lc, inval_rule_reads(looks->rule))
	{
		if (!ConditionalLockRelationOid(lfirst_oid(lc), AccessShareLock))
			return true;
	}
	return false;
}

static void
looks_found(const InvalEntry *entry, void *arg)
{
	Looks	   *looks = arg;

	if (looks->state == INVAL_STATE_NOW)
	{
		uint64		hash = hash_bytes_extended((const unsigned char *) entry->key,
											   (int) entry->key_length, entry->action);

		if (entry->field != NULL)
			hash = hash_combine64(hash,
								  hash_bytes_extended((const unsigned char *) entry->field,
													  (int) entry->field_length, 0));
		looks->digest += hash;
	}
	if (looks->counting)
		return;
	inval_owed_queue(looks->rule, entry);
	looks->queued++;
}
