/*
 * carrier_check.c
 *		Rules that this version cannot read.
 *
 * They come from a newer version's dump, or were made by hand.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_trigger.h"
#include "foreign/foreign.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

#include "rule/carrier_check.h"

static bool check_is_number(const char *text);
static char *check_name(Oid carrier);

/*
 * Whether a definition is one of a rule; "unknown" is an option that it has and
 * that there is not, or NULL.  If it is none: an error, a warning, or nothing.
 * After a warning, "unread" asks for silence.
 */
bool
inval_carrier_check(const InvalDefinition *definition, const char *unknown, InvalCarrierUnread *unread)
{
	const char *id = definition->options[RULE_ID];
	int			level = *unread == INVAL_CARRIER_ERROR ? ERROR : WARNING;

	if (unknown == NULL && id != NULL && definition->options[RULE_KEY] != NULL &&
		check_is_number(id))
		return true;
	if (*unread == INVAL_CARRIER_SILENT)
		return false;
	if (level == WARNING)
	{
		*unread = INVAL_CARRIER_SILENT;
		ereport(WARNING,
				(errmsg("the rule in \"%s\" on \"%s\" is left out",
						check_name(definition->carrier), get_rel_name(definition->relation)),
				 unknown ?
				 errdetail("Its option \"%s\" is not supported by this version of inval.",
						   unknown) :
				 errdetail("It has no id or no key."),
				 errhint("Update the extension, or drop it.")));
	}
	else if (unknown != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("option \"%s\" of a rule of \"%s\" is not supported by this version of inval",
						unknown, get_rel_name(definition->relation))));
	else
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("a rule of \"%s\" has no id or no key",
						get_rel_name(definition->relation)),
				 errhint("Drop the trigger \"%s...\" that was not made by inval_track.",
						 INVAL_CARRIER_PREFIX)));
	return false;
}

/*
 * Whether a text is the number of a rule.
 */
static bool
check_is_number(const char *text)
{
	char	   *end;
	long		number;

	errno = 0;
	number = strtol(text, &end, 10);
	return errno == 0 && end != text && *end == '\0' && number > 0 && number <= PG_INT32_MAX;
}

/*
 * The name of a trigger or server; NULL if there is none.
 */
static char *
check_name(Oid carrier)
{
	Relation	triggers = table_open(TriggerRelationId, AccessShareLock);
	ForeignServer *server;
	char	   *name = NULL;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_trigger_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(carrier));
	scan = systable_beginscan(triggers, TriggerOidIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		name = pstrdup(NameStr(((Form_pg_trigger) GETSTRUCT(tuple))->tgname));
	systable_endscan(scan);
	table_close(triggers, AccessShareLock);
	if (name != NULL)
		return name;
	server = GetForeignServerExtended(carrier, FSV_MISSING_OK);
	return server ? server->servername : NULL;
}
