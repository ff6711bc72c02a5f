/*
 * preview.c
 *		inval_preview: which keys existing rows would invalidate.
 */
#include "postgres.h"

#include "access/relation.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"

#include "base/catalog.h"
#include "base/encoding.h"
#include "base/rights.h"
#include "base/skips.h"
#include "capture/derive.h"
#include "capture/scan.h"
#include "functions/track.h"
#include "key/lookup.h"

#define PREVIEW_COLUMNS	4

/* What is shown, and where */
typedef struct Preview
{
	ReturnSetInfo *result;
	InvalRelationRules *rules;
} Preview;

static void preview_row(TupleTableSlot *row, void *arg);
static void preview_entry(const InvalEntry *entry, void *arg);

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
	Preview		preview;
	int			i;

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

	/* What is looked up is shown to who may read it, though it runs as the owner. */
	for (i = 0; i < rules->nrules; i++)
	{
		if (rules->rules[i].broken != NULL || !rules->rules[i].looks)
			continue;
		inval_rights_check_owner(relid);
		inval_rule_check_rights(&rules->rules[i], relation, GetUserId());
	}

	preview.result = result;
	preview.rules = rules;
	inval_lookup_begin();
	inval_scan_query(relation, psprintf("SELECT * FROM %s", inval_catalog_relation_name(relid)),
					 (uint64) max_rows, preview_row, &preview);
	inval_lookup_end();
	inval_skips_say();
	relation_close(relation, AccessShareLock);
	return (Datum) 0;
}

static void
preview_row(TupleTableSlot *row, void *arg)
{
	Preview    *preview = arg;
	int			i;

	for (i = 0; i < preview->rules->nrules; i++)
		if (preview->rules->rules[i].broken == NULL)
			(void) inval_derive_each(&preview->rules->rules[i], row, INVAL_STATE_NOW,
								 preview_entry, preview->result);
}

static void
preview_entry(const InvalEntry *entry, void *arg)
{
	ReturnSetInfo *result = arg;
	Datum		values[PREVIEW_COLUMNS] = {0};
	bool		nulls[PREVIEW_COLUMNS] = {0};

	values[0] = Int32GetDatum((int32) entry->rule);
	values[1] = CStringGetTextDatum(inval_action_name(entry->action));
	values[2] = PointerGetDatum(inval_show_key(entry->key, (int) entry->key_length));
	nulls[3] = entry->field == NULL;
	if (entry->field != NULL)
		values[3] = PointerGetDatum(inval_show_key(entry->field,
												   (int) entry->field_length));
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}
