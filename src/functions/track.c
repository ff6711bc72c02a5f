/*
 * track.c
 *		inval_track and inval_untrack: rules come and go.
 *
 * A rule is written down by rule/carrier.c; the tables that hold the relation's
 * rows get the triggers that capture changes from rule/family.c.  All that is done
 * with the rights of the extension's owner, after the caller was found to own
 * the relation.
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/catalog.h"
#include "base/rights.h"
#include "base/shared.h"
#include "functions/track.h"
#include "rule/carrier.h"
#include "rule/family.h"
#include "rule/tie.h"

static InvalDefinition *track_find(Oid relid, const InvalDefinition *definition);
static bool track_is_equipped(Oid relid);
static void track_equip(Oid relid);

PG_FUNCTION_INFO_V1(inval_track);
PG_FUNCTION_INFO_V1(inval_untrack);
PG_FUNCTION_INFO_V1(inval_untrack_rule);

/*
 * inval_track(...) RETURNS integer
 *
 * A call that changes nothing takes no lock that writers would notice.  One
 * that does waits for the writers of the relation to finish, so that every row
 * changed after it returns (and its transaction commits) is seen by the rule.
 */
Datum
inval_track(PG_FUNCTION_ARGS)
{
	InvalDefinition definition = {0};
	InvalDefinition *existing;
	Relation	relation;
	Oid			relid;

	if (PG_ARGISNULL(TRACK_RELATION))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("relation must not be null")));
	relid = PG_GETARG_OID(TRACK_RELATION);

	relation = inval_track_open(relid);
	inval_track_check_relation(relation);
	inval_track_check_options(fcinfo, relation, &definition);
	/* Keeps its lock; ALTER TABLE wants nobody to have the table open. */
	relation_close(relation, NoLock);

	existing = track_find(relid, &definition);
	if (existing != NULL && inval_definition_equal(existing, &definition) &&
		track_is_equipped(relid))
		PG_RETURN_INT32(inval_definition_id(existing));
	PG_RETURN_INT32(inval_track_write(&definition));
}

/*
 * inval_untrack(relation regclass, key text) RETURNS integer
 */
Datum
inval_untrack(PG_FUNCTION_ARGS)
{
	Oid			relid;
	char	   *key;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("relation must not be null")));
	relid = PG_GETARG_OID(0);
	key = PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1));
	relation_close(inval_track_open(relid), NoLock);
	inval_rights_check_owner(relid);
	PG_RETURN_INT32(inval_track_drop(relid, key, 0));
}

/*
 * inval_untrack_rule(rule integer) RETURNS boolean
 */
Datum
inval_untrack_rule(PG_FUNCTION_ARGS)
{
	InvalDefinition *definition;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("rule must not be null")));
	definition = inval_carrier_find(PG_GETARG_INT32(0));
	if (definition == NULL)
		PG_RETURN_BOOL(false);
	inval_rights_check_owner(definition->relation);
	PG_RETURN_BOOL(inval_track_drop(definition->relation, NULL, PG_GETARG_INT32(0)) > 0);
}

/*
 * Writes a rule down, as a new one unless there is one that it means, and sees
 * to the triggers.  Returns the rule's number.
 */
int32
inval_track_write(InvalDefinition *definition)
{
	InvalDefinition *existing;
	int32		rule;

	PreventCommandIfReadOnly("inval_track()");
	LockRelationOid(definition->relation, ShareRowExclusiveLock);
	(void) find_all_inheritors(definition->relation, ShareRowExclusiveLock, NULL);
	existing = track_find(definition->relation, definition);
	if (existing != NULL)
	{
		definition->options[RULE_ID] = existing->options[RULE_ID];
		definition->carrier = existing->carrier;
	}
	rule = inval_tie_put(definition);
	if (!inval_shared_is_preloaded())	/* else the worker does it */
		inval_tie_adopt();
	track_equip(definition->relation);
	return rule;
}

/*
 * The rule that a definition means, as it is now; or NULL.
 */
static InvalDefinition *
track_find(Oid relid, const InvalDefinition *definition)
{
	Relation	relation = relation_open(relid, AccessShareLock);
	InvalDefinition *found = NULL;
	ListCell   *lc;

	foreach(lc, inval_carriers_of(relation))
	{
		if (inval_definition_same_rule(lfirst(lc), definition))
			found = lfirst(lc);
	}
	relation_close(relation, AccessShareLock);
	return found;
}

static bool
track_is_equipped(Oid relid)
{
	ListCell   *lc;

	foreach(lc, inval_family_leaves(relid, AccessShareLock))
	{
		if (!inval_family_is_equipped(lfirst_oid(lc)))
			return false;
	}
	return true;
}

static void
track_equip(Oid relid)
{
	ListCell   *lc;

	foreach(lc, inval_family_leaves(relid, ShareRowExclusiveLock))
	{
		(void) inval_family_equip(lfirst_oid(lc));
	}
}

/*
 * Drops rules of a relation: all of them (NULL, 0), those with a key, or one
 * by its number; and the triggers that are no longer needed.
 */
int
inval_track_drop(Oid relid, const char *key, int32 id)
{
	Relation	relation;
	List	   *definitions;
	ListCell   *lc;
	int			gone = 0;

	/*
	 * Another session may be adding a rule to the relation just now, relying
	 * on the triggers that are there.  DROP TRIGGER will want the table alone.
	 */
	LockRelationOid(relid, get_rel_relkind(relid) == RELKIND_MATVIEW ?
					ShareRowExclusiveLock : AccessExclusiveLock);
	relation = relation_open(relid, NoLock);
	definitions = inval_carriers_of(relation);
	relation_close(relation, NoLock);

	foreach(lc, definitions)
	{
		const InvalDefinition *definition = lfirst(lc);

		if ((key != NULL && strcmp(definition->options[RULE_KEY], key) != 0) ||
			(id != 0 && inval_definition_id(definition) != id))
			continue;
		PreventCommandIfReadOnly("inval_untrack()");
		inval_carrier_drop(definition);
		gone++;
	}
	if (gone > 0)
		track_equip(relid);
	return gone;
}
