/*
 * coverage.c
 *		What inval_coverage has to know and SQL cannot find out: ways along
 *		foreign keys, and what a template names.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
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
	Oid			referenced;
} Step;

static List *coverage_having(const char *column);
static List *coverage_steps(void);
static bool coverage_add(HTAB *reached, Oid relid, char *path);
static bool coverage_follow(Oid relid, List *names, int which, List *steps);
static void coverage_put_segment(ReturnSetInfo *result, Oid relid,
								 InvalSegment *segment, List *steps);

PG_FUNCTION_INFO_V1(inval_coverage_paths);
PG_FUNCTION_INFO_V1(inval_template_columns);

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
	HASHCTL		ctl = {0};
	HTAB	   *reached;
	char	   *column;
	List	   *queue;
	List	   *steps;
	int			next;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("column_name must not be null"),
				 errhint("Name the column that tables are tracked by, as in 'team_id'.")));
	column = text_to_cstring(PG_GETARG_TEXT_PP(0));
	InitMaterializedSRF(fcinfo, 0);

	ctl.keysize = sizeof(Oid);
	ctl.entrysize = sizeof(Reached);
	ctl.hcxt = CurrentMemoryContext;
	reached = hash_create("inval coverage", 256, &ctl,
						  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
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
		Datum		values[2];
		bool		nulls[2] = {false, false};
		ListCell   *lc;

		CHECK_FOR_INTERRUPTS();
		values[0] = ObjectIdGetDatum(relid);
		values[1] = CStringGetTextDatum(here->path);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
		foreach(lc, steps)
		{
			Step	   *step = lfirst(lc);

			if (step->referenced == relid &&
				coverage_add(reached, step->relid,
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
	List	   *steps = NIL;
	List	   *segments;
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	segments = inval_template_parse(template, "key");
	foreach(lc, segments)
	{
		if (list_length(((InvalSegment *) lfirst(lc))->names) > 1)
		{
			steps = coverage_steps();
			break;
		}
	}
	foreach(lc, segments)
	{
		if (((InvalSegment *) lfirst(lc))->kind == INVAL_SEGMENT_COLUMN)
			coverage_put_segment((ReturnSetInfo *) fcinfo->resultinfo, relid,
								 lfirst(lc), steps);
	}
	return (Datum) 0;
}

static void
coverage_put_segment(ReturnSetInfo *result, Oid relid, InvalSegment *segment,
					 List *steps)
{
	StringInfoData path;
	ListCell   *lc;
	Datum		values[3];
	bool		nulls[3] = {false, false, false};

	initStringInfo(&path);
	foreach(lc, segment->names)
	{
		appendStringInfo(&path, "%s%s", path.len > 0 ? "." : "",
						 inval_template_quote_column(lfirst(lc)));
	}
	values[0] = CStringGetTextDatum(path.data);
	values[1] = CStringGetTextDatum(llast(segment->names));
	values[2] = BoolGetDatum(coverage_follow(relid, segment->names, 0, steps));
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/*
 * Whether the names from the given one on lead along foreign keys to a column.
 */
static bool
coverage_follow(Oid relid, List *names, int which, List *steps)
{
	const char *name = list_nth(names, which);
	ListCell   *lc;

	if (which == list_length(names) - 1)
		return get_attnum(relid, name) > 0;
	foreach(lc, steps)
	{
		Step	   *step = lfirst(lc);

		if (step->relid == relid && strcmp(step->column, name) == 0 &&
			coverage_follow(step->referenced, names, which + 1, steps))
			return true;
	}
	return false;
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
 * All columns of all foreign keys between permanent tables, in the order of
 * the tables' OIDs and of their columns.
 */
static List *
coverage_steps(void)
{
	MemoryContext context = CurrentMemoryContext;
	List	   *result = NIL;
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
		bool		isnull;

		step->relid = DatumGetObjectId(SPI_getbinval(tuple, desc, 1, &isnull));
		step->referenced = DatumGetObjectId(SPI_getbinval(tuple, desc, 2, &isnull));
		step->column = pstrdup(NameStr(*DatumGetName(SPI_getbinval(tuple, desc, 3,
																   &isnull))));
		result = lappend(result, step);
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
