/*
 * skips.c
 *		Says once per statement what was skipped, and how often.
 *
 * A statement may change millions of rows, and each may give a key that is too
 * long.  Such keys are noted here, and there is one WARNING for each rule with
 * the number of them when the statement ends: when the outermost executor run
 * has fired its triggers, or the outermost utility command is through, so that
 * what triggers do counts with the statement that fired them, and what a DO
 * block does with the block.  What is left then comes before the commit: what is
 * noted while the transaction ends, and what the first statement of a session
 * noted that has loaded this library while it ran.
 *
 * A statement that fails says nothing of what it has skipped.  One that is
 * rolled back to a savepoint in the midst of another still counts.
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/executor.h"
#include "mb/pg_wchar.h"
#include "tcop/utility.h"
#include "utils/memutils.h"

#include "base/entry.h"
#include "base/skips.h"

typedef struct Skipped
{
	uint32		rule;
	InvalSkip	why;
	int64		count;
} Skipped;

static ExecutorFinish_hook_type prev_executor_finish = NULL;
static ProcessUtility_hook_type prev_process_utility = NULL;

static List *skipped = NIL;		/* of Skipped *; in TopTransactionContext */
static int	depth = 0;			/* of hooks within each other */
static bool muted = false;		/* what is skipped is skipped for show */

static void skips_executor_finish(QueryDesc *query);
static void skips_next_executor_finish(QueryDesc *query);
static void skips_process_utility(PlannedStmt *pstmt, const char *query_string,
								  bool read_only_tree,
								  ProcessUtilityContext context,
								  ParamListInfo params,
								  QueryEnvironment *query_env,
								  DestReceiver *dest, QueryCompletion *qc);
static void skips_xact_callback(XactEvent event, void *arg);
static void skips_say_all(void);
static void skips_say_one(const Skipped *one);

/*
 * Called by _PG_init before others register what they do before a commit: what
 * is registered first is called last.
 */
void
inval_skips_init(void)
{
	RegisterXactCallback(skips_xact_callback, NULL);
	prev_executor_finish = ExecutorFinish_hook;
	ExecutorFinish_hook = skips_executor_finish;
	prev_process_utility = ProcessUtility_hook;
	ProcessUtility_hook = skips_process_utility;
}

/*
 * Notes that a rule has skipped a key.
 */
void
inval_skips_note(uint32 rule, InvalSkip why)
{
	MemoryContext old;
	Skipped    *fresh;
	ListCell   *lc;

	if (muted)
		return;
	foreach(lc, skipped)
	{
		Skipped    *known = lfirst(lc);

		if (known->rule == rule && known->why == why)
		{
			known->count++;
			return;
		}
	}
	old = MemoryContextSwitchTo(TopTransactionContext);
	fresh = palloc(sizeof(Skipped));
	fresh->rule = rule;
	fresh->why = why;
	fresh->count = 1;
	skipped = lappend(skipped, fresh);
	MemoryContextSwitchTo(old);
}

/*
 * Says that from now on nothing is noted, or is again, for who only looks at
 * what would be queued.  Returns what was said before, which is to be said again
 * afterwards, on an error too.
 */
bool
inval_skips_mute(bool mute)
{
	bool		before = muted;

	muted = mute;
	return before;
}

bool
inval_skips_are_muted(void)
{
	return muted;
}

/*
 * Says what has been noted, unless a statement around this one will.  For
 * functions that note something without changing rows.
 */
void
inval_skips_say(void)
{
	if (unlikely(skipped != NIL) && depth == 0)
		skips_say_all();
}

static void
skips_say_all(void)
{
	List	   *said = skipped;
	ListCell   *lc;

	skipped = NIL;
	foreach(lc, said)
	{
		skips_say_one(lfirst(lc));
	}
	list_free_deep(said);
}

static void
skips_executor_finish(QueryDesc *query)
{
	/*
	 * What changes nothing fires no triggers.  It may be one of our own
	 * look-ups, in the midst of what they are for.
	 */
	if (query->operation == CMD_SELECT && !query->plannedstmt->hasModifyingCTE)
	{
		skips_next_executor_finish(query);
		return;
	}
	depth++;
	PG_TRY();
	{
		skips_next_executor_finish(query);
	}
	PG_FINALLY();
	{
		depth--;
	}
	PG_END_TRY();
	inval_skips_say();
}

static void
skips_next_executor_finish(QueryDesc *query)
{
	if (prev_executor_finish)
		prev_executor_finish(query);
	else
		standard_ExecutorFinish(query);
}

static void
skips_process_utility(PlannedStmt *pstmt, const char *query_string,
					  bool read_only_tree, ProcessUtilityContext context,
					  ParamListInfo params, QueryEnvironment *query_env,
					  DestReceiver *dest, QueryCompletion *qc)
{
	depth++;
	PG_TRY();
	{
		if (prev_process_utility)
			prev_process_utility(pstmt, query_string, read_only_tree, context,
								 params, query_env, dest, qc);
		else
			standard_ProcessUtility(pstmt, query_string, read_only_tree, context,
									params, query_env, dest, qc);
	}
	PG_FINALLY();
	{
		depth--;
	}
	PG_END_TRY();
	inval_skips_say();
}

static void
skips_xact_callback(XactEvent event, void *arg)
{
	(void) arg;
	if (event == XACT_EVENT_PRE_COMMIT || event == XACT_EVENT_PRE_PREPARE)
		skips_say_all();		/* a procedure may have called COMMIT */
	else if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_PREPARE ||
			 event == XACT_EVENT_ABORT)
		skipped = NIL;			/* its memory goes with the transaction */
}

static void
skips_say_one(const Skipped *one)
{
	switch (one->why)
	{
		case INVAL_SKIP_LONG:
			ereport(WARNING,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("inval rule %u skips keys longer than %d bytes: %lld",
							one->rule, INVAL_MAX_KEY_LENGTH, (long long) one->count),
					 errdetail("A key and its field count together."),
					 errhint("Shorten the key by a filter, as in {column|sha256}.")));
			break;
		case INVAL_SKIP_ENCODING:
			ereport(WARNING,
					(errcode(ERRCODE_UNTRANSLATABLE_CHARACTER),
					 errmsg("inval rule %u skips keys with text that cannot be converted from %s to UTF-8: %lld",
							one->rule, GetDatabaseEncodingName(), (long long) one->count),
					 errdetail("Keys are UTF-8 in Redis.")));
			break;
		case INVAL_SKIP_TELLING:
			ereport(WARNING,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("inval rule %u cannot tell of keys where it should: %lld",
							one->rule, (long long) one->count),
					 errdetail("The text of publish or stream cannot be converted to UTF-8, or a foreign key in it points to no row, or with the key it is longer than %d bytes.",
							   INVAL_MAX_KEY_LENGTH),
					 errhint("What the rule does to the keys themselves is done all the same.")));
			break;
	}
}
