/*
 * via.c
 *		Via queries: rows of other tables that fill a template.
 *
 * A query of the user's, with columns of the changed row as parameters.  It
 * has the rights of the tracked table's owner, and it sees what a look-up
 * sees (lookup.c).
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "base/catalog.h"
#include "key/lookup_role.h"
#include "key/via.h"
#include "key/via_canonical.h"
#include "key/via_rights.h"

/* What the server calls a column that has no name */
#define VIA_UNNAMED		"?column?"

/*
 * Binds a via query to a table.  "tracked" is the table that the rule is on,
 * "relation" the one whose rows are rendered; they differ for partitions and
 * children.  The result lives in cxt.  A query that cannot be used is an error.
 */
InvalVia *
inval_via_bind(const char *query, Relation tracked, Relation relation,
			   MemoryContext cxt)
{
	InvalViaQuery *analyzed = inval_via_analyze(query, tracked, INVAL_LOOKUP_VIA);
	InvalVia   *via = MemoryContextAllocZero(cxt, sizeof(InvalVia));
	MemoryContext old;
	int			i;

	/* Before the server refuses it, with an advice that is not for us. */
	inval_via_query_check_rights(analyzed, tracked, tracked->rd_rel->relowner);
	old = MemoryContextSwitchTo(cxt);
	via->text = pstrdup(query);
	via->tracked = RelationGetRelid(tracked);
	via->objects = inval_via_objects(analyzed->query);
	MemoryContextSwitchTo(old);
	via->nparams = analyzed->nparams;
	via->attnums = MemoryContextAlloc(cxt, Max(via->nparams, 1) * sizeof(AttrNumber));
	for (i = 0; i < via->nparams; i++)
		via->attnums[i] = inval_catalog_column(analyzed->attnums[i], tracked, relation);
	via->lookup = inval_lookup_create(analyzed->text, analyzed->nparams,
									  analyzed->types, INVAL_LOOKUP_VIA,
									  RelationGetRelid(tracked), cxt);
	inval_query_check_relations(via->lookup, "via");
	return via;
}

/*
 * An error for a role that may not read all that a query reads, in all rows.
 * Where it reads a view, that is asked for the view's owner.
 */
void
inval_via_check_rights(const InvalVia *via, Relation tracked, Oid role)
{
	inval_via_query_check_rights(inval_via_analyze(via->text, tracked, INVAL_LOOKUP_VIA),
								 tracked, role);
}

/*
 * Makes sure that a query can be planned.  EXPLAIN runs nothing.
 */
void
inval_query_check_plan(const char *query, const InvalQuerySource *source)
{
	InvalViaQuery *analyzed = inval_query_analyze(query, source, INVAL_LOOKUP_VIA);
	Datum	   *values = palloc0(Max(analyzed->nparams, 1) * sizeof(Datum));
	char	   *nulls = palloc(analyzed->nparams + 1);
	InvalRole	role;

	memset(nulls, 'n', analyzed->nparams);
	inval_role_enter(&role, INVAL_LOOKUP_VIA, RelationGetRelid(source->tracked));
	SPI_connect();
	if (SPI_execute_with_args(psprintf("EXPLAIN %s", analyzed->text), analyzed->nparams,
							  analyzed->types, values, nulls, false, 0) < 0)
		elog(ERROR, "SPI_execute_with_args failed: %s", analyzed->text);
	SPI_finish();
	inval_role_leave(&role);
}

/*
 * An error for a query ("what": of which kind) that other sessions could not run.
 */
void
inval_query_check_relations(const InvalLookup *lookup, const char *what)
{
	ListCell   *lc;

	foreach(lc, lookup->relations)
	{
		if (get_rel_persistence(lfirst_oid(lc)) == RELPERSISTENCE_TEMP)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
					 errmsg("%s query cannot read temporary table \"%s\"", what,
							get_rel_name(lfirst_oid(lc)))));
	}
}

/*
 * The number of a result column.  That there is none of that name is an error.
 */
AttrNumber
inval_via_column(InvalVia *via, const char *name)
{
	TupleDesc	descriptor = via->lookup->descriptor;
	StringInfoData names;
	int			i;

	initStringInfo(&names);
	for (i = 0; i < descriptor->natts; i++)
	{
		char	   *column = NameStr(TupleDescAttr(descriptor, i)->attname);

		if (strcmp(column, VIA_UNNAMED) == 0)
			continue;
		if (strcmp(column, name) == 0)
			return (AttrNumber) (i + 1);
		appendStringInfo(&names, "%s\"%s\"", names.len > 0 ? ", " : "", column);
	}
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("via query gives no column \"%s\"", name),
			 names.len > 0 ? errdetail("It gives %s.", names.data) :
			 errdetail("None of its columns has a name."),
			 errhint("Name the columns of the query with AS; those of the changed row can be passed through, as in SELECT {id} AS id.")));
	return InvalidAttrNumber;	/* keep the compiler quiet */
}

/*
 * What a row of the relation that the query is bound to gives, to be taken one
 * by one.  All of it is in the current memory context; nothing has to be
 * released.
 */
InvalViaRows *
inval_via_rows(InvalVia *via, TupleTableSlot *row, InvalState state)
{
	InvalViaRows *rows = palloc0(sizeof(InvalViaRows));
	Datum	   *params = palloc((via->nparams + 1) * sizeof(Datum));
	bool	   *nulls = palloc((via->nparams + 1) * sizeof(bool));
	int			i;

	for (i = 0; i < via->nparams; i++)
		params[i] = slot_getattr(row, via->attnums[i], &nulls[i]);
	rows->count = inval_lookup_run(via->lookup, params, nulls, state, &rows->rows);
	if (rows->count > 0)
		rows->slot = MakeSingleTupleTableSlot(via->lookup->descriptor,
											  &TTSOpsHeapTuple);
	return rows;
}

/*
 * The next one, or NULL.  It is good until the call after it.
 */
TupleTableSlot *
inval_via_next(InvalViaRows *rows)
{
	if (rows->next == rows->count)
		return NULL;
	return ExecStoreHeapTuple(rows->rows[rows->next++], rows->slot, false);
}

/*
 * Whether this transaction may have changed something that the query reads.
 */
bool
inval_via_is_touched(InvalVia *via)
{
	return inval_lookup_is_touched(via->lookup);
}
