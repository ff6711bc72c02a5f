/*
 * rule_pause.c
 *		SQL functions that pause and resume rules: by number, by table, by delivery.
 *
 * A target's pause is in target_set.c.  Both are for who operates the server: what is
 * held back costs room in the outbox, which is everybody's, so that owning the table
 * is not enough.  Who owns it can set the rule's state to "off", which costs nobody.
 */
#include "postgres.h"

#include "access/relation.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/catalog.h"
#include "commit/commit.h"
#include "rule/carrier.h"
#include "rule/ties.h"
#include "store/pauses.h"

static void pause_refuse(const char *function);
static List *pause_rules_of(Oid relid);
static List *pause_rules_with(FunctionCallInfo fcinfo);
static const InvalDefinition *pause_lock(const InvalDefinition *definition);
static int	pause_rules(List *definitions);
static int	pause_end(List *definitions);
static bool pause_is_strict(const InvalDefinition *definition);

PG_FUNCTION_INFO_V1(inval_pause_rule);
PG_FUNCTION_INFO_V1(inval_resume_rule);
PG_FUNCTION_INFO_V1(inval_pause_relation);
PG_FUNCTION_INFO_V1(inval_resume_relation);
PG_FUNCTION_INFO_V1(inval_pause_delivery);
PG_FUNCTION_INFO_V1(inval_resume_delivery);
PG_FUNCTION_INFO_V1(inval_rule_is_paused);

/*
 * inval_pause(rule integer) RETURNS boolean
 *
 * Whether it was not paused before.
 */
Datum
inval_pause_rule(PG_FUNCTION_ARGS)
{
	int32		id = PG_GETARG_INT32(0);
	const InvalDefinition *definition;

	pause_refuse("inval_pause()");
	definition = inval_carrier_find(id);
	if (definition != NULL)
		definition = pause_lock(definition);
	if (definition == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("rule %d does not exist", id),
				 errhint("inval_rule shows those that there are.")));
	if (pause_is_strict(definition))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("rule %d is strict and cannot be paused", id),
				 errdetail("Readers rely on never being served what it invalidates."),
				 errhint("Give it another delivery by inval_track first, or set its state to \"off\".")));
	PG_RETURN_BOOL(inval_pauses_put((uint32) id));
}

/*
 * inval_resume(rule integer) RETURNS boolean
 *
 * Whether it was paused.  It may be gone by now.
 */
Datum
inval_resume_rule(PG_FUNCTION_ARGS)
{
	bool		was_paused;

	pause_refuse("inval_resume()");
	was_paused = inval_pauses_remove((uint32) PG_GETARG_INT32(0));
	if (was_paused)
		inval_commit_wrote();
	PG_RETURN_BOOL(was_paused);
}

/*
 * inval_pause(relation regclass) RETURNS integer
 *
 * How many of its rules were not paused before.  Strict ones go on.
 */
Datum
inval_pause_relation(PG_FUNCTION_ARGS)
{
	List	   *definitions;

	pause_refuse("inval_pause()");
	definitions = pause_rules_of(PG_GETARG_OID(0));
	if (definitions == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("no rule tracks \"%s\"", get_rel_name(PG_GETARG_OID(0))),
				 errhint("Rules of a partitioned or parent table are paused there; inval_rule shows them.")));
	PG_RETURN_INT32(pause_rules(definitions));
}

/*
 * inval_resume(relation regclass) RETURNS integer
 */
Datum
inval_resume_relation(PG_FUNCTION_ARGS)
{
	pause_refuse("inval_resume()");
	PG_RETURN_INT32(pause_end(pause_rules_of(PG_GETARG_OID(0))));
}

/*
 * inval_pause_delivery(delivery text) RETURNS integer
 *
 * All rules that are delivered so now; not those that are made later.
 */
Datum
inval_pause_delivery(PG_FUNCTION_ARGS)
{
	pause_refuse("inval_pause_delivery()");
	PG_RETURN_INT32(pause_rules(pause_rules_with(fcinfo)));
}

/*
 * inval_resume_delivery(delivery text) RETURNS integer
 */
Datum
inval_resume_delivery(PG_FUNCTION_ARGS)
{
	pause_refuse("inval_resume_delivery()");
	PG_RETURN_INT32(pause_end(pause_rules_with(fcinfo)));
}

/*
 * inval_rule_is_paused(rule integer) RETURNS boolean, for inval_rule
 */
Datum
inval_rule_is_paused(PG_FUNCTION_ARGS)
{
	inval_pauses_refresh();
	PG_RETURN_BOOL(inval_pauses_have((uint32) PG_GETARG_INT32(0)));
}

static void
pause_refuse(const char *function)
{
	PreventCommandIfReadOnly(function);
	PreventCommandDuringRecovery(function);
	(void) inval_catalog(false);
}

static List *
pause_rules_of(Oid relid)
{
	Relation	relation = relation_open(relid, AccessShareLock);
	List	   *definitions = inval_carriers_of(relation);

	relation_close(relation, AccessShareLock);
	return definitions;
}

/*
 * The rules with the delivery that is the argument, but for strict ones, which are none
 * to be paused.
 */
static List *
pause_rules_with(FunctionCallInfo fcinfo)
{
	const char *delivery = text_to_cstring(PG_GETARG_TEXT_PP(0));
	List	   *result = NIL;
	ListCell   *lc;

	if (strcmp(delivery, "commit") != 0 && strcmp(delivery, "background") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("rules with delivery \"%s\" cannot be paused", delivery),
				 errhint("It is one of \"commit\", \"background\".")));
	foreach(lc, inval_carriers_all())
	{
		if (strcmp(inval_definition_get(lfirst(lc), RULE_DELIVERY), delivery) == 0)
			result = lappend(result, lfirst(lc));
	}
	return result;
}

static int
pause_rules(List *definitions)
{
	int			count = 0;
	ListCell   *lc;

	foreach(lc, definitions)
	{
		const InvalDefinition *definition = pause_lock(lfirst(lc));

		if (definition == NULL)
			continue;
		if (pause_is_strict(definition))
			ereport(NOTICE,
					(errmsg("rule %d is strict and goes on", inval_definition_id(definition))));
		else
			count += inval_pauses_put((uint32) inval_definition_id(definition));
	}
	return count;
}

/*
 * Keeps a rule from being dropped, or from becoming strict, until this transaction
 * ends: who does that ends a pause, if it is there to be seen.  Returns what the rule
 * is now; NULL if somebody was faster.  Waits for nobody else, however the table is
 * locked.
 */
static const InvalDefinition *
pause_lock(const InvalDefinition *definition)
{
	ObjectAddress carrier = inval_ties_carrier(definition);

	LockDatabaseObject(carrier.classId, carrier.objectId, 0, AccessShareLock);
	return inval_carrier_read(carrier.classId, carrier.objectId);
}

static int
pause_end(List *definitions)
{
	int			count = 0;
	ListCell   *lc;

	foreach(lc, definitions)
		count += inval_pauses_remove((uint32) inval_definition_id(lfirst(lc)));
	if (count > 0)
		inval_commit_wrote();
	return count;
}

static bool
pause_is_strict(const InvalDefinition *definition)
{
	return strcmp(inval_definition_get(definition, RULE_DELIVERY), "strict") == 0;
}
