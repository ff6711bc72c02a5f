/*
 * audit.c
 *		inval_audit: is what targets hold what it should be?
 */
#include "postgres.h"

#include "access/xact.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"

#include "audit/audit.h"
#include "base/catalog.h"
#include "base/encoding.h"
#include "base/skips.h"
#include "functions/moment.h"

#define AUDIT_COLUMNS		4

/* The most rows of a sample: values are held in memory, and a snapshot meanwhile. */
#define AUDIT_MAX_SAMPLE	10000

static void audit_put(ReturnSetInfo *result, const InvalAuditFinding *finding);

PG_FUNCTION_INFO_V1(inval_audit);

/*
 * inval_audit(rule integer, sample integer, repair boolean) RETURNS SETOF record
 *
 * A row for each key and target, in their order.
 */
Datum
inval_audit(PG_FUNCTION_ARGS)
{
	int32		rule = PG_GETARG_INT32(0);
	int32		sample = PG_GETARG_INT32(1);
	bool		repair = PG_GETARG_BOOL(2);
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	InvalAudit	audit;
	int			i;

	PreventCommandDuringRecovery("inval_audit()");
	if (repair)
	{
		PreventCommandIfReadOnly("inval_audit()");
		PreventCommandIfParallelMode("inval_audit()");
	}
	(void) inval_catalog(false);
	inval_moment_check("inval_audit");
	if (sample < 1 || sample > AUDIT_MAX_SAMPLE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("sample must be between 1 and %d", AUDIT_MAX_SAMPLE)));
	inval_moment_check_rule(rule);
	InitMaterializedSRF(fcinfo, 0);
	inval_audit_begin(&audit, rule, NULL);
	if (inval_audit_read(&audit, sample))
	{
		inval_audit_ask(&audit, true);
		inval_audit_judge(&audit);
		if (repair)
			inval_audit_repair(&audit);
		for (i = 0; i < audit.nkeys * audit.ntargets; i++)
			audit_put(result, &audit.findings[i]);
	}
	inval_audit_end(&audit);
	inval_skips_say();
	return (Datum) 0;
}

static void
audit_put(ReturnSetInfo *result, const InvalAuditFinding *finding)
{
	const InvalPrefix *key = &finding->key->name;
	const char *detail = finding->finding.detail;
	Datum		values[AUDIT_COLUMNS] = {0};
	bool		nulls[AUDIT_COLUMNS] = {0};

	if (finding->repaired)
		detail = psprintf("%s; its removal is queued", detail);
	values[0] = PointerGetDatum(inval_show_key(key->bytes, (int) key->length));
	values[1] = CStringGetTextDatum(finding->target->name);
	values[2] = CStringGetTextDatum(inval_verdict_name(finding->finding.verdict));
	nulls[3] = detail == NULL;
	if (detail != NULL)
		values[3] = CStringGetTextDatum(detail);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}
