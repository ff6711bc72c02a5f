/*
 * progress_view.c
 *		The view inval_progress: work that takes long, and how far it is.
 */
#include "postgres.h"

#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "base/progress.h"

#define PROGRESS_COLUMNS	8

PG_FUNCTION_INFO_V1(inval_progress_rows);

/*
 * Rows of inval_progress, for this database.
 */
Datum
inval_progress_rows(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	TimestampTz now = GetCurrentTimestamp();
	InvalProgress *copies;
	int			count;
	int			i;

	InitMaterializedSRF(fcinfo, 0);
	copies = inval_progress_copies(&count);
	for (i = 0; i < count; i++)
	{
		const InvalProgress *work = &copies[i];
		double		seconds = (double) (now - work->started_at) / USECS_PER_SEC;
		Datum		values[PROGRESS_COLUMNS] = {0};
		bool		nulls[PROGRESS_COLUMNS] = {0};

		values[0] = Int32GetDatum(work->pid);
		values[1] = CStringGetTextDatum(work->operation);
		values[2] = CStringGetTextDatum(work->target);
		nulls[2] = work->target[0] == '\0';
		values[3] = CStringGetTextDatum(work->detail);
		nulls[3] = work->detail[0] == '\0';
		values[4] = Int64GetDatum(work->done);
		values[5] = Int64GetDatum(work->total);
		nulls[5] = work->total < 0;
		values[6] = Float8GetDatum(seconds > 0 ? (double) work->done / seconds : 0);
		nulls[6] = seconds <= 0;
		values[7] = TimestampTzGetDatum(work->started_at);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}
