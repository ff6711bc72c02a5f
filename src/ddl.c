/*
 * ddl.c
 *		What DDL on tracked tables does to their rules.
 */
#include "postgres.h"

#include "commands/event_trigger.h"
#include "executor/spi.h"

#include "catalog.h"

PG_FUNCTION_INFO_V1(inval_on_drop);

/*
 * Event trigger for sql_drop: the rules of dropped tables go with them.
 */
Datum
inval_on_drop(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_EVENT_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by event trigger manager",
						"inval_on_drop")));
	if (inval_catalog(true) == NULL)
		PG_RETURN_NULL();		/* it is the extension that is dropped */

	SPI_connect();
	inval_catalog_execute(psprintf("DELETE FROM %s AS r"
								   " USING pg_event_trigger_dropped_objects() AS d"
								   " WHERE d.classid = 'pg_class'::regclass"
								   " AND d.objsubid = 0 AND r.relation = d.objid",
								   inval_catalog_name("inval_rule")),
						  0, NULL, NULL, NULL);
	SPI_finish();
	PG_RETURN_NULL();
}
