/*
 * looking.c
 *		Making one look-up after the other.
 *
 * The rule of a noted row is found, and applied to the row in the one or two
 * states of other tables that count; looks.c says why, and when.
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

#include "base/attempt.h"
#include "base/rights.h"
#include "capture/derive.h"
#include "capture/look.h"
#include "capture/looking.h"
#include "capture/owed.h"
#include "capture/refill.h"
#include "key/lookup.h"
#include "rule/broken.h"

/* The rules of a relation whose rows are being read, if not the relation's own */
static InvalRelationRules *used_rules = NULL;

/* Numbers of rules that must not be asked any more for what was before */
static List *lost = NIL;

static void looking_hide(const InvalRule *rule, ErrorData *error);
static void looking_make_in(void *arg);
static bool looking_is_for_worker(const InvalLooking *looking);
static void looking_found(const InvalEntry *entry, void *arg);
static uint64 looking_hash(uint64 hash, const char *bytes, uint32 length);

/*
 * Says that from now on, in this transaction, nobody can find out what rows
 * have fed under a rule: that is lost of those that it changes.
 */
void
inval_looking_lose(uint32 rule)
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
inval_looking_use(InvalRelationRules *rules)
{
	InvalRelationRules *before = used_rules;

	used_rules = rules;
	return before;
}

/*
 * The transaction has ended, and with it the memory of what was lost.
 */
void
inval_looking_forget(void)
{
	lost = NIL;
}

/*
 * Begins a series of look-ups, in the current memory context.
 */
void
inval_looking_begin(InvalLooking *looking)
{
	looking->context = AllocSetContextCreate(CurrentMemoryContext, "inval look-up",
											 ALLOCSET_DEFAULT_SIZES);
	inval_lookup_begin();
}

/*
 * Ends it, once the last relation is closed.
 */
void
inval_looking_end(InvalLooking *looking)
{
	inval_lookup_end();
	MemoryContextDelete(looking->context);
}

/*
 * Opens the relation that a look-up is for, finds its rule and reads the row.
 * Returns false if there is no such rule any more.
 */
bool
inval_looking_open(InvalLooking *looking, const InvalEntry *look)
{
	Oid			relid = inval_look_relation(look);
	InvalRelationRules *rules;
	MemoryContext old;
	bool		fits;
	int			i;

	MemoryContextReset(looking->context);
	if (looking->relation == NULL || RelationGetRelid(looking->relation) != relid)
	{
		inval_looking_close(looking);
		looking->relation = try_relation_open(relid, AccessShareLock);
		if (looking->relation == NULL)
			return false;
		looking->row = MakeSingleTupleTableSlot(RelationGetDescr(looking->relation),
											  &TTSOpsVirtual);
	}
	rules = used_rules != NULL && used_rules->relid == relid ? used_rules :
		inval_rules_of(looking->relation);
	for (i = 0; i < rules->nrules && rules->rules[i].id != look->rule; i++)
		 /* look on */ ;
	if (i == rules->nrules || rules->rules[i].broken != NULL)
		return false;
	looking->rule = &rules->rules[i];
	old = MemoryContextSwitchTo(looking->context);
	fits = inval_look_read(look, looking->rule, looking->row);
	MemoryContextSwitchTo(old);
	return fits;
}

void
inval_looking_close(InvalLooking *looking)
{
	if (looking->relation == NULL)
		return;
	ExecDropSingleTupleTableSlot(looking->row);
	relation_close(looking->relation, AccessShareLock);
	looking->relation = NULL;
}

/*
 * Makes one look-up.  A query is somebody's code: if it may not be run any
 * more, that must not keep others from writing.  Whatever else it raises is
 * the statement's, as if a trigger had raised it; where nobody has made a statement
 * that could be made otherwise, it must not keep what comes after it from being
 * replicated, or looked up.
 */
void
inval_looking_make(InvalLooking *looking)
{
	MemoryContext old;
	ErrorData  *error;

	old = MemoryContextSwitchTo(looking->context);
	looking->left = looking_is_for_worker(looking);
	if (looking->left)
	{
		MemoryContextSwitchTo(old);
		return;
	}
	if (looking->rule->via == NULL)
		looking_make_in(looking);
	else
	{
		error = inval_attempt(looking_make_in, looking);
		looking->failed = error != NULL;
		if (error != NULL)
			looking_hide(looking->rule, error);
		if (error == NULL || (looking->show != NULL && inval_rule_is_broken_by(error)))
			 /* all is well, or the commit will say what is not */ ;
		else if (inval_rule_is_broken_by(error))
		{
			inval_rule_warn_broken(looking->rule->id, error->message);
			inval_owed_count_skipped(looking->rule);
		}
		else if (looking->only_now || IsLogicalWorker())
			inval_owed_failed(looking->rule, error);
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
looking_hide(const InvalRule *rule, ErrorData *error)
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
looking_make_in(void *arg)
{
	InvalLooking *looking = arg;
	InvalRule  *rule = looking->rule;
	bool		touched = !looking->only_now && inval_rule_is_touched(rule);
	ErrorContextCallback callback;
	InvalRenderResult now;
	InvalRenderResult before = INVAL_RENDER_MISSING;

	callback.callback = inval_rule_error_context;
	callback.arg = rule;
	callback.previous = error_context_stack;
	error_context_stack = &callback;

	looking->state = INVAL_STATE_NOW;
	now = inval_derive_each(rule, looking->row, INVAL_STATE_NOW, looking_found, looking);
	looking->state = INVAL_STATE_BEFORE;
	if (touched)
		before = inval_derive_each(rule, looking->row, INVAL_STATE_BEFORE, looking_found, looking);
	error_context_stack = callback.previous;

	if (looking->last && looking->old && list_member_int(lost, (int) rule->id))
		inval_owed_lost(rule);
	if (!looking->tell || now == INVAL_RENDER_DONE || before == INVAL_RENDER_DONE)
		return;
	/* What is gone now may have been there before, and have led to a NULL. */
	if (now != INVAL_RENDER_MISSING || before != INVAL_RENDER_MISSING)
		inval_owed_count_skipped(rule);
	else if (looking->old || (looking->last && !looking->found && inval_rule_may_miss(rule)))
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
looking_is_for_worker(const InvalLooking *looking)
{
	ListCell   *lc;

	if (!looking->last || inval_rule_is_touched(looking->rule))
		return false;
	if (IsolationIsSerializable())
		return true;
	foreach(lc, inval_rule_reads(looking->rule))
	{
		if (!ConditionalLockRelationOid(lfirst_oid(lc), AccessShareLock))
			return true;
	}
	return false;
}

static void
looking_found(const InvalEntry *entry, void *arg)
{
	InvalLooking *looking = arg;

	if (looking->show != NULL)
	{
		looking->show(looking->rule, entry, looking->show_arg);
		return;
	}
	if (looking->state == INVAL_STATE_NOW)
	{
		uint64		hash = hash_bytes_extended((const unsigned char *) entry->key,
											   (int) entry->key_length, entry->action);

		hash = looking_hash(hash, entry->field, entry->field_length);
		hash = looking_hash(hash, entry->channel, entry->channel_length);
		hash = looking_hash(hash, entry->stream, entry->stream_length);
		looking->digest += hash;
	}
	if (looking->counting)
		return;
	inval_owed_queue(looking->rule, entry);
	if (looking->relation != NULL)	/* else it is too late for favours */
		inval_refill_owe(looking->rule, entry, RelationGetRelid(looking->relation),
						 looking->row, looking->old);
	looking->queued++;
}

/*
 * A hash, and a text that an entry may have.
 */
static uint64
looking_hash(uint64 hash, const char *bytes, uint32 length)
{
	if (bytes == NULL)
		return hash_combine64(hash, 0);
	return hash_combine64(hash, hash_bytes_extended((const unsigned char *) bytes,
													(int) length, 0));
}
