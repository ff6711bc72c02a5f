/*
 * coverage.c
 *		What inval_coverage has to know and SQL cannot find out: ways along
 *		foreign keys, and what a template names.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"

#include "key/template.h"

/* A table, and the shortest way from its rows to the column */
typedef struct Reached
{
	Oid			relid;			/* hash key */
	char	   *path;			/* as a template would say it */
} Reached;

/* A column of a foreign key */
typedef struct Step
{
	Oid			relid;
	char	   *column;
} Step;

/* The columns of foreign keys that lead to a table */
typedef struct Leading
{
	Oid			referenced;		/* hash key */
	List	   *steps;
} Leading;

static HTAB *coverage_table(const char *name, Size entry);
static List *coverage_having(const char *column);
static HTAB *coverage_steps(void);
static bool coverage_add(HTAB *reached, Oid relid, char *path);
static bool coverage_follow(Oid relid, List *names);
static void coverage_referenced(HTAB *found, List **relations, Oid relid, const char *name);
static void coverage_put_segment(ReturnSetInfo *result, Oid relid,
								 InvalSegment *segment);

PG_FUNCTION_INFO_V1(inval_coverage_paths);
PG_FUNCTION_INFO_V1(inval_template_columns);
PG_FUNCTION_INFO_V1(inval_template_variables);

/*
 * inval_coverage_paths(column_name text, OUT relation oid, OUT path text)
 *
 * The tables that have the column or reach one that has it, each with one of
 * its shortest paths: breadth first, from the tables with the column backwards.
 */
Datum
inval_coverage_paths(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	HTAB	   *reached;
	char	   *column;
	List	   *queue;
	HTAB	   *steps;
	int			next;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("column_name must not be null"),
				 errhint("Name the column that tables are tracked by, as in 'team_id'.")));
	column = text_to_cstring(PG_GETARG_TEXT_PP(0));
	InitMaterializedSRF(fcinfo, 0);

	reached = coverage_table("inval coverage", sizeof(Reached));
	queue = coverage_having(column);
	steps = coverage_steps();
	for (next = 0; next < list_length(queue); next++)
		(void) coverage_add(reached, list_nth_oid(queue, next),
							inval_template_quote_column(column));

	/* The queue grows while we walk it. */
	for (next = 0; next < list_length(queue); next++)
	{
		Oid			relid = list_nth_oid(queue, next);
		Reached    *here = hash_search(reached, &relid, HASH_FIND, NULL);
		Leading    *leading = hash_search(steps, &relid, HASH_FIND, NULL);
		Datum		values[2];
		bool		nulls[2] = {false, false};
		ListCell   *lc;

		CHECK_FOR_INTERRUPTS();
		values[0] = ObjectIdGetDatum(relid);
		values[1] = CStringGetTextDatum(here->path);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
		if (leading == NULL)
			continue;
		foreach(lc, leading->steps)
		{
			Step	   *step = lfirst(lc);

			if (coverage_add(reached, step->relid,
							 psprintf("%s.%s", inval_template_quote_column(step->column),
									  here->path)))
				queue = lappend_oid(queue, step->relid);
		}
	}
	return (Datum) 0;
}

/*
 * inval_template_columns(relation oid, template text,
 *						  OUT path text, OUT column_name text, OUT found boolean)
 *
 * The columns that a template for rows of the relation names: the path as
 * written, the column it ends in, and whether it can be followed.
 */
Datum
inval_template_columns(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_GETARG_OID(0);
	char	   *template = text_to_cstring(PG_GETARG_TEXT_PP(1));
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	foreach(lc, inval_template_parse(template, "key"))
	{
		if (((InvalSegment *) lfirst(lc))->kind == INVAL_SEGMENT_COLUMN)
			coverage_put_segment((ReturnSetInfo *) fcinfo->resultinfo, relid,
								 lfirst(lc));
	}
	return (Datum) 0;
}

/*
 * inval_template_variables(template text) RETURNS SETOF text
 *
 * The names of the variables that a template names.
 */
Datum
inval_template_variables(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	char	   *template = text_to_cstring(PG_GETARG_TEXT_PP(0));
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	foreach(lc, inval_template_parse(template, "key"))
	{
		InvalSegment *segment = lfirst(lc);
		Datum		value;
		bool		isnull = false;

		CHECK_FOR_INTERRUPTS();
		if (segment->kind != INVAL_SEGMENT_VARIABLE)
			continue;
		value = CStringGetTextDatum(segment->text);
		tuplestore_putvalues(result->setResult, result->setDesc, &value, &isnull);
	}
	return (Datum) 0;
}

static void
coverage_put_segment(ReturnSetInfo *result, Oid relid, InvalSegment *segment)
{
	StringInfoData path;
	ListCell   *lc;
	Datum		values[3];
	bool		nulls[3] = {false, false, false};

	CHECK_FOR_INTERRUPTS();
	initStringInfo(&path);
	foreach(lc, segment->names)
	{
		appendStringInfo(&path, "%s%s", path.len > 0 ? "." : "",
						 inval_template_quote_column(lfirst(lc)));
	}
	values[0] = CStringGetTextDatum(path.data);
	values[1] = CStringGetTextDatum(llast(segment->names));
	values[2] = BoolGetDatum(coverage_follow(relid, segment->names));
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/*
 * Whether the names lead along foreign keys to a column.
 *
 * Several foreign keys may have one column.  All tables that one more name
 * leads to are looked at together and each once, as otherwise the ways would
 * multiply with every name of a path.
 */
static bool
coverage_follow(Oid relid, List *names)
{
	List	   *relations = list_make1_oid(relid);
	ListCell   *lc;
	int			which;

	for (which = 0; which < list_length(names) - 1; which++)
	{
		HTAB	   *found = coverage_table("inval path", sizeof(Oid));
		List	   *next = NIL;

		foreach(lc, relations)
		{
			coverage_referenced(found, &next, lfirst_oid(lc), list_nth(names, which));
		}
		hash_destroy(found);
		relations = next;
	}
	foreach(lc, relations)
	{
		if (get_attnum(lfirst_oid(lc), llast(names)) > 0)
			return true;
	}
	return false;
}

/*
 * Adds to the list, each once, the relations that the foreign keys of a
 * relation with the column reference.
 */
static void
coverage_referenced(HTAB *found, List **relations, Oid relid, const char *name)
{
	AttrNumber	column = get_attnum(relid, name);
	Relation	constraints;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	CHECK_FOR_INTERRUPTS();
	if (column <= 0)
		return;
	constraints = table_open(ConstraintRelationId, AccessShareLock);
	ScanKeyInit(&key, Anum_pg_constraint_conrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relid));
	scan = systable_beginscan(constraints, ConstraintRelidTypidNameIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_constraint form = (Form_pg_constraint) GETSTRUCT(tuple);
		AttrNumber	columns[INDEX_MAX_KEYS];
		AttrNumber	theirs[INDEX_MAX_KEYS];
		int			ncolumns;
		int			i;
		bool		known;

		if (form->contype != CONSTRAINT_FOREIGN)
			continue;
		DeconstructFkConstraintRow(tuple, &ncolumns, columns, theirs, NULL, NULL, NULL,
								   NULL, NULL);
		for (i = 0; i < ncolumns; i++)
		{
			if (columns[i] != column)
				continue;
			(void) hash_search(found, &form->confrelid, HASH_ENTER, &known);
			if (!known)
				*relations = lappend_oid(*relations, form->confrelid);
		}
	}
	systable_endscan(scan);
	table_close(constraints, AccessShareLock);
}

static HTAB *
coverage_table(const char *name, Size entry)
{
	HASHCTL		ctl = {0};

	ctl.keysize = sizeof(Oid);
	ctl.entrysize = entry;
	ctl.hcxt = CurrentMemoryContext;
	return hash_create(name, 256, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/*
 * The tables that have the column, by their OIDs.  Temporary tables, those of
 * the system and our own are none of ours to cover.
 */
static List *
coverage_having(const char *column)
{
	MemoryContext context = CurrentMemoryContext;
	Oid			types[] = {TEXTOID};
	Datum		values[] = {CStringGetTextDatum(column)};
	List	   *result = NIL;
	uint64		i;

	SPI_connect();
	if (SPI_execute_with_args("SELECT c.oid FROM pg_catalog.pg_class c"
							  " JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid"
							  " WHERE c.relkind IN ('r', 'p', 'f', 'm')"
							  " AND c.relpersistence <> 't' AND c.oid >= 16384"
							  " AND a.attname = $1 AND a.attnum > 0 AND NOT a.attisdropped"
							  " AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d"
							  " JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid"
							  " WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid"
							  " AND d.refclassid = 'pg_catalog.pg_extension'::regclass"
							  " AND d.deptype = 'e' AND e.extname = 'inval')"
							  " ORDER BY c.oid", 1, types, values, NULL, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read the catalog");
	for (i = 0; i < SPI_processed; i++)
	{
		bool		isnull;
		Oid			relid = DatumGetObjectId(SPI_getbinval(SPI_tuptable->vals[i],
														   SPI_tuptable->tupdesc, 1,
														   &isnull));
		MemoryContext old = MemoryContextSwitchTo(context);

		result = lappend_oid(result, relid);
		MemoryContextSwitchTo(old);
	}
	SPI_finish();
	return result;
}

/*
 * All columns of all foreign keys between permanent tables, by the tables that
 * they lead to; in the order of the tables' OIDs and of their columns.
 */
static HTAB *
coverage_steps(void)
{
	MemoryContext context = CurrentMemoryContext;
	HTAB	   *result = coverage_table("inval foreign keys", sizeof(Leading));
	uint64		i;

	SPI_connect();
	if (SPI_execute("SELECT f.conrelid, f.confrelid, a.attname"
					" FROM pg_catalog.pg_constraint f"
					" JOIN pg_catalog.pg_class c ON c.oid = f.conrelid"
					" JOIN pg_catalog.pg_attribute a"
					" ON a.attrelid = f.conrelid AND a.attnum = ANY (f.conkey)"
					" WHERE f.contype = 'f' AND c.relpersistence <> 't'"
					" ORDER BY f.conrelid, a.attnum, f.oid", false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read the catalog");
	for (i = 0; i < SPI_processed; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		MemoryContext old = MemoryContextSwitchTo(context);
		Step	   *step = palloc(sizeof(Step));
		Oid			referenced;
		Leading    *leading;
		bool		found;
		bool		isnull;

		step->relid = DatumGetObjectId(SPI_getbinval(tuple, desc, 1, &isnull));
		step->column = pstrdup(NameStr(*DatumGetName(SPI_getbinval(tuple, desc, 3,
																   &isnull))));
		referenced = DatumGetObjectId(SPI_getbinval(tuple, desc, 2, &isnull));
		leading = hash_search(result, &referenced, HASH_ENTER, &found);
		if (!found)
			leading->steps = NIL;
		leading->steps = lappend(leading->steps, step);
		MemoryContextSwitchTo(old);
	}
	SPI_finish();
	return result;
}

/*
 * Adds a table.  Returns false if it is there already.
 */
static bool
coverage_add(HTAB *reached, Oid relid, char *path)
{
	bool		found;
	Reached    *entry = hash_search(reached, &relid, HASH_ENTER, &found);

	if (!found)
		entry->path = path;
	return !found;
}
