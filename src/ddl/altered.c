/*
 * altered.c
 *		What a DDL command has created or altered.
 *
 * The server keeps a list of that, and shows it by a function.  Called from here
 * and not by a query, which takes several times as long as all else that a command
 * costs which has nothing to do with rules.
 */
#include "postgres.h"

#include "catalog/objectaddress.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "funcapi.h"
#include "nodes/execnodes.h"
#include "utils/fmgroids.h"
#include "utils/tuplestore.h"

#include "ddl/altered.h"

/* Columns of pg_event_trigger_ddl_commands() */
#define ALTERED_CLASSID	1
#define ALTERED_OBJID	2

/*
 * The objects (ObjectAddress *) that the command has created or altered, in the
 * current memory context.  Only in an event trigger for ddl_command_end.
 */
List *
inval_ddl_altered(void)
{
	LOCAL_FCINFO(fcinfo, 0);
	FmgrInfo	flinfo;
	ReturnSetInfo result = {.type = T_ReturnSetInfo, .allowedModes = SFRM_Materialize};
	TupleTableSlot *slot;
	List	   *altered = NIL;

	fmgr_info(F_PG_EVENT_TRIGGER_DDL_COMMANDS, &flinfo);
	result.econtext = CreateStandaloneExprContext();
	InitFunctionCallInfoData(*fcinfo, &flinfo, 0, InvalidOid, NULL, (Node *) &result);
	(void) FunctionCallInvoke(fcinfo);

	slot = MakeSingleTupleTableSlot(result.setDesc, &TTSOpsMinimalTuple);
	while (tuplestore_gettupleslot(result.setResult, true, false, slot))
	{
		ObjectAddress *object = palloc(sizeof(ObjectAddress));
		bool		isnull;
		Datum		class = slot_getattr(slot, ALTERED_CLASSID, &isnull);
		Datum		objid = slot_getattr(slot, ALTERED_OBJID, &isnull);

		/* GRANT, among others, tells of no object. */
		if (isnull)
			continue;
		ObjectAddressSet(*object, DatumGetObjectId(class), DatumGetObjectId(objid));
		altered = lappend(altered, object);
	}
	ExecDropSingleTupleTableSlot(slot);
	tuplestore_end(result.setResult);
	FreeExprContext(result.econtext, true);
	return altered;
}
