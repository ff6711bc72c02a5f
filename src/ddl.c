/*
 * ddl.c
 *		What DDL on tracked tables does to their rules.
 */
#include "postgres.h"

#include "commands/event_trigger.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "catalog.h"

PG_FUNCTION_INFO_V1(inval_on_drop);

/*
 * Event trigger for sql_drop: the rules of dropped tables go with them.  Runs
 * with the rights of the extension's owner, since who drops a table need not be
 * able to write to inval_rule.
 */
Datum
inval_on_drop(PG_FUNCTION_ARGS)
{
	const InvalCatalog *catalog;
	char	   *command;
	Oid			user;
	int			security;
	int			result;

	if (!CALLED_AS_EVENT_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by event trigger manager",
						"inval_on_drop")));
	catalog = inval_catalog(true);
	if (catalog == NULL)
		PG_RETURN_NULL();		/* it is the extension that is dropped */

	command = psprintf("DELETE FROM %s AS r"
					   " USING pg_catalog.pg_event_trigger_dropped_objects() AS d"
					   " WHERE d.classid OPERATOR(pg_catalog.=) 1259::pg_catalog.oid"
					   " AND d.objsubid OPERATOR(pg_catalog.=) 0"
					   " AND r.relation::pg_catalog.oid OPERATOR(pg_catalog.=) d.objid",
					   quote_qualified_identifier(get_namespace_name(catalog->schema),
												  "inval_rule"));
	GetUserIdAndSecContext(&user, &security);
	SetUserIdAndSecContext(catalog->owner, security | SECURITY_LOCAL_USERID_CHANGE);
	SPI_connect();
	result = SPI_execute(command, false, 0);
	if (result != SPI_OK_DELETE)
		elog(ERROR, "SPI_execute failed: %s", command);
	SPI_finish();
	SetUserIdAndSecContext(user, security);
	PG_RETURN_NULL();
}
