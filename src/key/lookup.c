/*
 * lookup.c
 *		Queries with parameters that ask about other tables.
 *
 * Whoever changes a row of a tracked table need not be allowed to read the
 * tables from which its keys come, and cannot be trusted with the rights of
 * those who are.  So a look-up runs with its own rights and settings, and
 * sees more than its caller does: the newest state, whatever the isolation
 * level.
 *
 * Nothing here moves the command counter, since that would change what the
 * statement that is under way sees of itself.  Its own changes are seen
 * because the snapshot pretends to be one command later.
 *
 * All that is looked up between inval_lookup_begin and inval_lookup_end is of
 * one snapshot, so an answer can be kept until then: the rows of many children
 * ask for few parents.
 */
#include "postgres.h"

#include <limits.h>

#include "access/heaptoast.h"
#include "access/htup_details.h"
#include "access/xact.h"
#include "executor/spi.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/plancache.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

#include "key/lookup.h"
#include "key/lookup_cache.h"
#include "key/lookup_reads.h"
#include "key/lookup_role.h"
#include "version/server.h"

struct InvalLookupPlan
{
	SPIPlanPtr	plan;
	uint64		id;				/* in the cache */
	InvalLookupMode mode;
	Oid			relid;			/* it runs as the owner of this one */
	int			nparams;
	int16	   *lengths;		/* of the parameters' types */
	bool	   *by_value;
	MemoryContext context;
	MemoryContextCallback callback;
};

/* What is looked up now */
typedef struct LookupMoment
{
	Snapshot	snapshot;		/* NULL: nothing is */
	ResourceOwner owner;		/* of the snapshot */
	SubTransactionId subxact;	/* in which it began */
} LookupMoment;

static uint64 lookup_last_id = 0;
static LookupMoment moment;

static void lookup_subxact_callback(SubXactEvent event, SubTransactionId subxact,
									SubTransactionId parent, void *arg);
static void lookup_xact_callback(XactEvent event, void *arg);
static void lookup_free(void *arg);
static CachedPlanSource *lookup_source(SPIPlanPtr plan);
static InvalCacheAnswer *lookup_answer(InvalLookup *lookup, const Datum *params,
									   const bool *nulls, InvalState state,
									   long limit);
static InvalCacheAnswer *lookup_execute(InvalLookup *lookup, const Datum *params,
										const bool *nulls, InvalState state,
										long limit, const InvalCacheKey *key);
static void lookup_push_snapshot(InvalState state);
static void lookup_check_result(InvalLookup *lookup, TupleDesc descriptor);
static void lookup_make_key(InvalCacheKey *key, const struct InvalLookupPlan *plan,
							const Datum *params, const bool *nulls,
							InvalState state);

/*
 * Called by _PG_init.
 */
void
inval_lookup_init(void)
{
	RegisterXactCallback(lookup_xact_callback, NULL);
	RegisterSubXactCallback(lookup_subxact_callback, NULL);
}

/*
 * An error has ended what was looked up.
 */
static void
lookup_subxact_callback(SubXactEvent event, SubTransactionId subxact,
						SubTransactionId parent, void *arg)
{
	(void) parent;
	(void) arg;
	if (event == SUBXACT_EVENT_ABORT_SUB && moment.subxact == subxact)
		moment.snapshot = NULL;
}

static void
lookup_xact_callback(XactEvent event, void *arg)
{
	(void) arg;
	if (event == XACT_EVENT_ABORT)
		moment.snapshot = NULL;
}

/*
 * Plans a query, which must be one SELECT.  It runs as the owner that relid
 * has at the time: for INVAL_LOOKUP_KEY the table that it reads, for
 * INVAL_LOOKUP_VIA the tracked one.  The look-up and its plan live in cxt and
 * go with it; cxt must not go while the look-up runs.
 *
 * The plan follows changes of what it reads as any prepared statement does.
 * But a changed name in it, or another result type, makes running it an error,
 * so create it anew when the relation cache forgets one of "relations".
 */
InvalLookup *
inval_lookup_create(const char *query, int nparams, const Oid *types,
					InvalLookupMode mode, Oid relid, MemoryContext cxt)
{
	MemoryContext old = MemoryContextSwitchTo(cxt);
	InvalLookup *lookup = palloc0(sizeof(InvalLookup));
	struct InvalLookupPlan *plan = palloc0(sizeof(struct InvalLookupPlan));
	InvalRole role;
	SPIPlanPtr	prepared;
	int			i;

	lookup->plan = plan;
	plan->id = ++lookup_last_id;
	plan->mode = mode;
	plan->relid = relid;
	plan->nparams = nparams;
	plan->lengths = palloc(Max(nparams, 1) * sizeof(int16));
	plan->by_value = palloc(Max(nparams, 1) * sizeof(bool));
	for (i = 0; i < nparams; i++)
		get_typlenbyval(types[i], &plan->lengths[i], &plan->by_value[i]);
	plan->context = cxt;
	plan->callback.func = lookup_free;
	plan->callback.arg = plan;
	MemoryContextRegisterResetCallback(cxt, &plan->callback);
	MemoryContextSwitchTo(old);

	inval_role_enter(&role, mode, relid);
	SPI_connect();

	/*
	 * One plan for all parameters: the first rows would otherwise be planned
	 * one by one.
	 */
	prepared = SPI_prepare_cursor(query, nparams, unconstify(Oid *, types),
								  CURSOR_OPT_GENERIC_PLAN);
	if (prepared == NULL)
		elog(ERROR, "SPI_prepare_cursor returned %s for %s",
			 SPI_result_code_string(SPI_result), query);
	if (SPI_keepplan(prepared) != 0)
		elog(ERROR, "SPI_keepplan failed");
	plan->plan = prepared;
	SPI_finish();

	if (lookup_source(prepared)->resultDesc == NULL)
		elog(ERROR, "query gives no rows: %s", query);
	old = MemoryContextSwitchTo(cxt);
	lookup->descriptor = CreateTupleDescCopy(lookup_source(prepared)->resultDesc);
	lookup->relations = list_copy(lookup_source(prepared)->relationOids);
	lookup->opaque = inval_reads_check_queries(lookup_source(prepared)->query_list);
	MemoryContextSwitchTo(old);
	inval_role_leave(&role);
	return lookup;
}

/*
 * Context callback: what a look-up has outside of its context.
 */
static void
lookup_free(void *arg)
{
	struct InvalLookupPlan *plan = arg;

	if (plan->plan != NULL)
		SPI_freeplan(plan->plan);
	plan->plan = NULL;
}

static CachedPlanSource *
lookup_source(SPIPlanPtr plan)
{
	return linitial(SPI_plan_get_plan_sources(plan));
}

/*
 * Begins to look up at this moment.  inval_lookup_end must follow, unless there
 * is an error.
 *
 * A function of somebody's query may come here again by way of SQL.
 */
void
inval_lookup_begin(void)
{
	if (moment.snapshot != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a query of inval cannot have keys looked up")));
	inval_cache_empty();
	moment.snapshot = RegisterSnapshot(GetLatestSnapshot());
	moment.owner = CurrentResourceOwner;
	moment.subxact = GetCurrentSubTransactionId();
}

void
inval_lookup_end(void)
{
	UnregisterSnapshotFromOwner(moment.snapshot, moment.owner);
	moment.snapshot = NULL;
	inval_cache_empty();
}

/*
 * Whether something is just being looked up, by whose query we may be called.
 */
bool
inval_lookup_is_under_way(void)
{
	return moment.snapshot != NULL;
}

/*
 * Whether this transaction, its subtransactions included, may have changed
 * what the query reads.  False is certain: then both states are the same.
 */
bool
inval_lookup_is_touched(const InvalLookup *lookup)
{
	return lookup->opaque || inval_reads_are_touched(lookup->relations);
}

/*
 * Runs a look-up, or finds it in the cache.  Returns how many rows there are,
 * and the rows.  They are in the current memory context and contain no
 * pointers to toast tables.  Nulls may be NULL if there are none.
 */
int
inval_lookup_run(InvalLookup *lookup, const Datum *params, const bool *nulls,
				 InvalState state, HeapTuple **rows)
{
	return inval_lookup_some(lookup, params, nulls, state, 0, rows);
}

/*
 * The same for so many rows at most (0: all).  To be used with one limit for all
 * runs of a look-up.
 */
int
inval_lookup_some(InvalLookup *lookup, const Datum *params, const bool *nulls,
				  InvalState state, long limit, HeapTuple **rows)
{
	InvalCacheAnswer *answer = lookup_answer(lookup, params, nulls, state, limit);
	int			i;

	*rows = MemoryContextAllocHuge(CurrentMemoryContext,
								   Max(answer->count, 1) * sizeof(HeapTuple));
	for (i = 0; i < answer->count; i++)
		(*rows)[i] = heap_copytuple(answer->rows[i]);
	return answer->count;
}

/*
 * The columns of the first row, in the current memory context; or false if
 * there is no row.  To be used for all runs of a look-up or for none.
 */
bool
inval_lookup_first(InvalLookup *lookup, const Datum *params, const bool *nulls,
				   InvalState state, Datum *values, bool *isnull)
{
	InvalCacheAnswer *answer = lookup_answer(lookup, params, nulls, state, 1);
	int			i;

	if (answer->count == 0)
		return false;
	heap_deform_tuple(answer->rows[0], lookup->descriptor, values, isnull);
	for (i = 0; i < lookup->descriptor->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(lookup->descriptor, i);

		if (!isnull[i] && !attribute->attbyval)
			values[i] = datumCopy(values[i], false, attribute->attlen);
	}
	return true;
}

/*
 * The answer, to be copied at once.
 */
static InvalCacheAnswer *
lookup_answer(InvalLookup *lookup, const Datum *params, const bool *nulls,
			  InvalState state, long limit)
{
	InvalCacheAnswer *answer;
	InvalCacheKey key;

	lookup_make_key(&key, lookup->plan, params, nulls, state);
	answer = inval_cache_find(&key);
	if (answer == NULL)
		answer = lookup_execute(lookup, params, nulls, state, limit, &key);
	return answer;
}

static InvalCacheAnswer *
lookup_execute(InvalLookup *lookup, const Datum *params, const bool *nulls,
			   InvalState state, long limit, const InvalCacheKey *key)
{
	MemoryContext caller = CurrentMemoryContext;
	struct InvalLookupPlan *plan = lookup->plan;
	char	   *null_flags = NULL;
	InvalCacheAnswer *answer;
	InvalRole role;
	HeapTuple  *rows;
	int			count;
	int			result;
	int			i;

	inval_role_enter(&role, plan->mode, plan->relid);
	lookup_push_snapshot(state);
	SPI_connect();
	if (nulls != NULL)
	{
		null_flags = palloc(plan->nparams + 1);
		for (i = 0; i < plan->nparams; i++)
			null_flags[i] = nulls[i] ? 'n' : ' ';
	}
	result = SPI_execute_snapshot(plan->plan, unconstify(Datum *, params), null_flags,
								  GetActiveSnapshot(), InvalidSnapshot,
								  true, false, limit);
	if (result != SPI_OK_SELECT)
		elog(ERROR, "SPI_execute_snapshot returned %s", SPI_result_code_string(result));
	lookup_check_result(lookup, SPI_tuptable->tupdesc);

	/* While the snapshot keeps what is toasted from being vacuumed away */
	rows = SPI_tuptable->vals;
	if (SPI_processed > INT_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("query gives too many rows")));
	count = (int) SPI_processed;
	for (i = 0; i < count; i++)
		if (HeapTupleHasExternal(rows[i]))
			rows[i] = toast_flatten_tuple(rows[i], SPI_tuptable->tupdesc);

	MemoryContextSwitchTo(caller);
	answer = inval_cache_store(key, rows, count);
	SPI_finish();
	MemoryContextSwitchTo(caller);
	PopActiveSnapshot();
	inval_role_leave(&role);
	return answer;
}

/*
 * Makes the snapshot of a state the active one.
 */
static void
lookup_push_snapshot(InvalState state)
{
	PushCopiedSnapshot(moment.snapshot);

	/*
	 * A snapshot sees what commands before curcid have changed.  NOW includes
	 * the command that is under way; BEFORE there was no command.
	 */
	GetActiveSnapshot()->curcid = state == INVAL_STATE_NOW ?
		GetCurrentCommandId(false) + 1 : FirstCommandId;
}

/*
 * The caller has bound columns of the result as it was.
 */
static void
lookup_check_result(InvalLookup *lookup, TupleDesc descriptor)
{
	int			i;

	for (i = 0; i < lookup->descriptor->natts; i++)
		if (descriptor->natts != lookup->descriptor->natts ||
			TupleDescAttr(descriptor, i)->atttypid !=
			TupleDescAttr(lookup->descriptor, i)->atttypid)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("the columns that a query of inval gives have changed"),
					 errhint("Track the table anew.")));
}

/*
 * The number of the look-up, the state, and the parameters by their bytes.
 * Values that are equal but not identical are looked up twice.
 */
static void
lookup_make_key(InvalCacheKey *key, const struct InvalLookupPlan *plan,
				const Datum *params, const bool *nulls, InvalState state)
{
	char		head = (char) state;
	int			i;

	inval_cache_key_begin(key);
	inval_cache_key_append(key, &plan->id, sizeof(plan->id));
	inval_cache_key_append(key, &head, 1);
	for (i = 0; i < plan->nparams; i++)
	{
		char		is_null = nulls != NULL && nulls[i];

		inval_cache_key_append(key, &is_null, 1);
		if (is_null)
			continue;
		if (plan->by_value[i])
			inval_cache_key_append(key, &params[i], sizeof(Datum));
		else if (plan->lengths[i] == -1)
		{
			struct varlena *value = PG_DETOAST_DATUM_PACKED(params[i]);
			uint32		length = VARSIZE_ANY_EXHDR(value);

			inval_cache_key_append(key, &length, sizeof(length));
			inval_cache_key_append(key, VARDATA_ANY(value), length);
		}
		else
			inval_cache_key_append(key, DatumGetPointer(params[i]),
								   datumGetSize(params[i], false, plan->lengths[i]));
	}
}
