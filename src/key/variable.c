/*
 * variable.c
 *		Variables of key templates: {$name} gives one key for each current value.
 *
 * They are for deploys.  The new release's marker is added, the new release
 * starts and reads keys of its own, the old one stops, its marker is removed.
 * So the new release must not find a value under its keys that a transaction
 * has made stale which knew the old markers only.
 *
 * Therefore whoever renders a variable holds a lock until the end of the
 * transaction, and inval_set_var takes one that conflicts, until its own end:
 * when it returns, no transaction that rendered the old values is still
 * running, and one that comes later waits for inval_set_var and sees the new
 * ones.  The lock is on the view inval_var, in modes that its readers do not
 * notice: a lock on a relation, and a weak one for the many who render, because
 * the server keeps such locks in a place of each session's own (the fast path).
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

#include "base/catalog.h"
#include "base/skips.h"
#include "key/variable.h"
#include "store/store.h"
#include "store/wrapper.h"

typedef struct Variable
{
	char	   *name;
	int			nvalues;
	char	  **values;
} Variable;

/* The variables as of a generation of the store */
typedef struct VariableSet
{
	uint64		generation;		/* 0: nothing is loaded */
	MemoryContext context;
	Oid			lock;			/* the view; invalid without the extension */
	int			nvariables;
	Variable   *variables;
} VariableSet;

static VariableSet cache;

static const Variable *variable_find(const char *name);
static void variable_load(void);
static void variable_say_unset(const char *name);
static void variable_load_one(Variable *variable, InvalStored *stored);

PG_FUNCTION_INFO_V1(inval_var_rows);

/*
 * inval_var_rows() RETURNS SETOF record: the view inval_var
 */
Datum
inval_var_rows(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	List	   *items;
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	items = inval_store_list(INVAL_STORE_VARIABLE, CurrentMemoryContext);
	foreach(lc, items)
	{
		InvalStored *stored = lfirst(lc);
		const char *literal = inval_store_option(stored, INVAL_VARIABLE_OPTION);
		Datum		values[2];
		bool		nulls[2] = {false, false};

		values[0] = CStringGetTextDatum(stored->name);
		values[1] = PointerGetDatum(inval_store_array(literal ? literal : "{}"));
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/*
 * The current values of a variable, for rendering: sets *values and returns
 * how many, 0 with a warning if the variable is not set.  The values are valid
 * until the end of the transaction, and so is what they say: inval_set_var
 * waits for it.
 */
int
inval_variable_values(const char *name, char ***values)
{
	const Variable *variable = variable_find(name);

	if (unlikely(variable == NULL || variable->nvalues == 0))
	{
		variable_say_unset(name);
		return 0;
	}
	*values = variable->values;
	return variable->nvalues;
}

/*
 * Whether a variable has a value, which stays so until the end of the
 * transaction.
 */
bool
inval_variable_is_set(const char *name)
{
	const Variable *variable = variable_find(name);

	return variable != NULL && variable->nvalues > 0;
}

/*
 * A variable as it is and will be until the end of the transaction; NULL if
 * there is none of that name.
 */
static const Variable *
variable_find(const char *name)
{
	int			i;

	/*
	 * The lock may have to wait for a change, and the wait tells us of it.  One
	 * that is held already costs a look into a local table.
	 */
	for (;;)
	{
		if (unlikely(cache.generation != inval_store_generation()))
			variable_load();
		if (!OidIsValid(cache.lock))
			return NULL;
		LockRelationOid(cache.lock, INVAL_VARIABLE_LOCK_RENDER);
		if (likely(cache.generation == inval_store_generation()))
			break;
	}

	for (i = 0; i < cache.nvariables; i++)
		if (strcmp(cache.variables[i].name, name) == 0)
			return &cache.variables[i];
	return NULL;
}

/*
 * inval_track refuses a variable that is not set and inval_set_var to remove
 * one that a rule names, but a dump of a single table brings the rule without
 * it.  Then rows feed no key: said once in a session for each name, as it is
 * no row's fault.
 */
static void
variable_say_unset(const char *name)
{
	static List *said = NIL;	/* names, in TopMemoryContext */
	MemoryContext old;
	ListCell   *lc;

	if (inval_skips_are_muted())
		return;
	foreach(lc, said)
		if (strcmp(lfirst(lc), name) == 0)
			return;
	old = MemoryContextSwitchTo(TopMemoryContext);
	said = lappend(said, pstrdup(name));
	MemoryContextSwitchTo(old);
	ereport(WARNING,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("variable \"%s\" has no value", name),
			 errdetail("Rows of rules that name {$%s} invalidate nothing until it has one; inval_stats.skipped counts them.",
					   name),
			 errhint("Give it one: SELECT inval_set_var(%s, 'value').",
					 quote_literal_cstr(name))));
}

/*
 * The relation whose lock stands for all variables.
 */
Oid
inval_variable_lock_relation(void)
{
	const InvalCatalog *catalog = inval_catalog(true);

	return catalog == NULL ? InvalidOid :
		get_relname_relid("inval_var", catalog->schema);
}

/*
 * Reads all variables.  Changes the cache only when that has succeeded.
 */
static void
variable_load(void)
{
	VariableSet fresh = {0};
	List	   *items;
	ListCell   *lc;

	fresh.generation = inval_store_generation();	/* before we look */
	fresh.lock = inval_variable_lock_relation();
	fresh.context = AllocSetContextCreate(CurrentMemoryContext, "inval variables",
										  ALLOCSET_SMALL_SIZES);
	items = inval_store_list(INVAL_STORE_VARIABLE, CurrentMemoryContext);
	fresh.variables = MemoryContextAlloc(fresh.context,
										 Max(list_length(items), 1) * sizeof(Variable));
	foreach(lc, items)
	{
		MemoryContext old = MemoryContextSwitchTo(fresh.context);

		variable_load_one(&fresh.variables[fresh.nvariables++], lfirst(lc));
		MemoryContextSwitchTo(old);
	}

	/* Somebody may be using the old ones. */
	if (cache.context != NULL)
		MemoryContextSetParent(cache.context, TopTransactionContext);
	MemoryContextSetParent(fresh.context, TopMemoryContext);
	cache = fresh;
}

/*
 * Fills in a variable, in the current memory context.
 */
static void
variable_load_one(Variable *variable, InvalStored *stored)
{
	const char *literal = inval_store_option(stored, INVAL_VARIABLE_OPTION);
	Datum	   *values;
	int			i;

	variable->name = pstrdup(stored->name);
	deconstruct_array(inval_store_array(literal ? literal : "{}"), TEXTOID, -1, false,
					  TYPALIGN_INT, &values, NULL, &variable->nvalues);
	variable->values = palloc(Max(variable->nvalues, 1) * sizeof(char *));
	for (i = 0; i < variable->nvalues; i++)
		variable->values[i] = TextDatumGetCString(values[i]);
}
