/*
 * preview.c
 *		inval_preview: which keys existing rows would invalidate.
 */
#include "postgres.h"

#include "access/relation.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"

#include "capture.h"
#include "track.h"

#define PREVIEW_COLUMNS	4

static void preview_row(ReturnSetInfo *result, InvalRelationRules *rules,
						TupleTableSlot *row);

PG_FUNCTION_INFO_V1(inval_preview);

/*
 * inval_preview(relation regclass, max_rows integer) RETURNS SETOF record
 *
 * The rows are read by a query with the caller's rights, so that nobody sees
 * by it what they could not see by SELECT.
 */
Datum
inval_preview(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_GETARG_OID(0);
	int32		max_rows = PG_GETARG_INT32(1);
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Relation	relation;
	InvalRelationRules *rules;
	TupleTableSlot *row;
	uint64		i;
	char	   *query;

	if (max_rows < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_rows must not be negative")));
	InitMaterializedSRF(fcinfo, 0);
	if (max_rows == 0)
		return (Datum) 0;

	relation = inval_track_open(relid);
	rules = inval_rules_of(relation);
	if (rules->nrules == 0)
		ereport(NOTICE,
				(errmsg("relation \"%s\" has no rules", RelationGetRelationName(relation)),
				 errhint("Add one by inval_track.")));

	SPI_connect();
	query = psprintf("SELECT * FROM ONLY %s",
					 quote_qualified_identifier(get_namespace_name(RelationGetNamespace(relation)),
												RelationGetRelationName(relation)));
	if (SPI_execute(query, true, max_rows) != SPI_OK_SELECT)
		elog(ERROR, "SPI_execute failed: %s", query);

	/*
	 * A query leaves out dropped columns, the rules count them: give the
	 * values their places in the table.
	 */
	row = MakeSingleTupleTableSlot(RelationGetDescr(relation), &TTSOpsVirtual);
	for (i = 0; i < SPI_processed; i++)
	{
		int			column = 1;
		int			attribute;

		ExecClearTuple(row);
		for (attribute = 0; attribute < row->tts_tupleDescriptor->natts; attribute++)
		{
			row->tts_isnull[attribute] = true;
			if (!TupleDescAttr(row->tts_tupleDescriptor, attribute)->attisdropped)
				row->tts_values[attribute] =
					SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc,
								  column++, &row->tts_isnull[attribute]);
		}
		ExecStoreVirtualTuple(row);
		preview_row(result, rules, row);
	}
	ExecDropSingleTupleTableSlot(row);
	SPI_finish();
	relation_close(relation, AccessShareLock);
	return (Datum) 0;
}

static void
preview_row(ReturnSetInfo *result, InvalRelationRules *rules, TupleTableSlot *row)
{
	int			i;

	for (i = 0; i < rules->nrules; i++)
	{
		Datum		values[PREVIEW_COLUMNS] = {0};
		bool		nulls[PREVIEW_COLUMNS] = {0};
		InvalEntry	entry;

		if (!inval_capture_render(&rules->rules[i], row, &entry))
			continue;
		values[0] = Int32GetDatum((int32) entry.rule);
		values[1] = CStringGetTextDatum(inval_action_name(entry.action));
		values[2] = PointerGetDatum(cstring_to_text_with_len(entry.key,
															 (int) entry.key_length));
		nulls[3] = entry.field == NULL;
		if (entry.field != NULL)
			values[3] = PointerGetDatum(cstring_to_text_with_len(entry.field,
																 (int) entry.field_length));
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
}
