/*
 * events.c
 *		Event triggers: what DDL does to rules, and to the rows that feed keys.
 *
 * Before a command, what it may destroy is remembered (frame.c).  After it
 * the rules follow renames, new partitions and children get their triggers,
 * triggers that were disabled are enabled again, and the keys of rows that
 * appeared or vanished are queued.  All of them are ENABLE ALWAYS.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_class.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_trigger.h"
#include "commands/defrem.h"
#include "commands/event_trigger.h"
#include "commands/extension.h"
#include "executor/spi.h"
#include "parser/parse_func.h"
#include "utils/fmgroids.h"

#include "base/catalog.h"
#include "ddl/alter.h"
#include "ddl/altered.h"
#include "ddl/drop.h"
#include "ddl/equip.h"
#include "ddl/extension.h"
#include "ddl/guard.h"
#include "ddl/redefine.h"
#include "ddl/refresh.h"
#include "ddl/rename.h"
#include "ddl/rewrite.h"
#include "ddl/swap.h"
#include "rule/carrier.h"
#include "rule/carrier_server.h"
#include "rule/family.h"
#include "rule/tie.h"
#include "store/pauses.h"
#include "store/wrapper.h"
#include "version/server.h"

/* What the names of all our triggers on tables start with */
#define DDL_PREFIX	"00_inval_"

static EventTriggerData *ddl_event(FunctionCallInfo fcinfo, const char *function);
static bool ddl_drops_extension(Node *statement);
static void ddl_before_trigger(CreateTrigStmt *statement);
static void ddl_before_rename(const RenameStmt *statement);
static bool ddl_calls_ours(const CreateTrigStmt *statement);
pg_noreturn static void ddl_refuse_name(const char *name);
static void ddl_after_each(const EventTriggerData *event, List *altered);
static void ddl_after_object(Oid class, Oid object, const EventTriggerData *event);
static bool ddl_alters(Node *statement, const AlterTableType *types, int ntypes);
static void ddl_tie(Oid class, Oid carrier);

PG_FUNCTION_INFO_V1(inval_on_ddl_start);
PG_FUNCTION_INFO_V1(inval_on_ddl_end);
PG_FUNCTION_INFO_V1(inval_on_rewrite);
PG_FUNCTION_INFO_V1(inval_on_drop);

/*
 * Event trigger for ddl_command_start: remembers what the command may destroy.
 */
Datum
inval_on_ddl_start(PG_FUNCTION_ARGS)
{
	EventTriggerData *event = ddl_event(fcinfo, "inval_on_ddl_start");
	InvalDdlFrame *frame;

	if (inval_catalog(true) == NULL)
		PG_RETURN_NULL();
	inval_ddl_say_what_goes(event->parsetree);
	frame = inval_ddl_push(event->parsetree);
	frame->drops_extension = ddl_drops_extension(event->parsetree);
	if (frame->drops_extension)
	{
		/* Where pg_upgrade made servers, no event trigger was there to see it. */
		inval_store_adopt();
		PG_RETURN_NULL();
	}

	switch (nodeTag(event->parsetree))
	{
		case T_AlterTableStmt:
			inval_ddl_before_alter(frame, (AlterTableStmt *) event->parsetree);
			break;
		case T_RenameStmt:
			ddl_before_rename((RenameStmt *) event->parsetree);
			pg_fallthrough;
		case T_AlterObjectSchemaStmt:
			inval_ddl_before_name(event->parsetree);
			inval_ddl_before_rename(frame, event->parsetree);
			break;
		case T_CreateTrigStmt:
			ddl_before_trigger((CreateTrigStmt *) event->parsetree);
			break;
		case T_RefreshMatViewStmt:
			inval_ddl_before_refresh(frame, (RefreshMatViewStmt *) event->parsetree);
			break;
		case T_DropOwnedStmt:
			inval_ddl_before_drop_owned(frame, (DropOwnedStmt *) event->parsetree);
			break;
		case T_ViewStmt:
		case T_RuleStmt:
		case T_CreateFunctionStmt:
		case T_AlterFunctionStmt:
		case T_DefineStmt:
			inval_ddl_before_redefine(event->parsetree);
			break;
		default:
			break;
	}
	PG_RETURN_NULL();
}

/*
 * Event trigger for ddl_command_end.
 */
Datum
inval_on_ddl_end(PG_FUNCTION_ARGS)
{
	EventTriggerData *event = ddl_event(fcinfo, "inval_on_ddl_end");
	InvalDdlFrame *frame;
	List	   *altered;

	if (inval_catalog(true) == NULL)
		PG_RETURN_NULL();
	frame = inval_ddl_frame_of(event->parsetree);
	altered = inval_ddl_altered();
	SPI_connect();
	switch (nodeTag(event->parsetree))
	{
		case T_AlterTableStmt:
			inval_ddl_after_alter(frame, (AlterTableStmt *) event->parsetree);
			break;
		case T_RenameStmt:
		case T_AlterObjectSchemaStmt:
			inval_ddl_after_rename(frame, event->parsetree, altered);
			break;
		case T_RefreshMatViewStmt:
			if (frame != NULL)
				inval_ddl_after_refresh(frame);
			break;
		default:
			break;
	}
	ddl_after_each(event, altered);
	SPI_finish();
	if (frame != NULL)
		inval_ddl_pop();
	PG_RETURN_NULL();
}

/*
 * Event trigger for table_rewrite: the catalogs are changed, the rows are not.
 */
Datum
inval_on_rewrite(PG_FUNCTION_ARGS)
{
	EventTriggerData *event = ddl_event(fcinfo, "inval_on_rewrite");
	InvalDdlFrame *frame = inval_ddl_frame_of(event->parsetree);

	if (inval_catalog(true) != NULL)
		inval_ddl_before_rewrite(frame,
								 DatumGetObjectId(OidFunctionCall0(F_PG_EVENT_TRIGGER_TABLE_REWRITE_OID)),
								 DatumGetInt32(OidFunctionCall0(F_PG_EVENT_TRIGGER_TABLE_REWRITE_REASON)));
	PG_RETURN_NULL();
}

/*
 * Event trigger for sql_drop: objects are gone from the catalogs.  The pauses of rules
 * go with them.
 */
Datum
inval_on_drop(PG_FUNCTION_ARGS)
{
	EventTriggerData *event = ddl_event(fcinfo, "inval_on_drop");
	InvalDdlFrame *frame = inval_ddl_frame_of(event->parsetree);
	ListCell   *lc;

	if (frame == NULL || frame->drops_extension || inval_catalog(true) == NULL)
		PG_RETURN_NULL();
	foreach(lc, frame->gone)
		inval_pauses_rule_gone((uint32) inval_definition_id(lfirst(lc)));
	SPI_connect();
	inval_ddl_after_drop(frame, event->parsetree);
	SPI_finish();
	PG_RETURN_NULL();
}

static EventTriggerData *
ddl_event(FunctionCallInfo fcinfo, const char *function)
{
	if (!CALLED_AS_EVENT_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by event trigger manager",
						function)));
	return (EventTriggerData *) fcinfo->context;
}

static bool
ddl_drops_extension(Node *statement)
{
	DropStmt   *drop = (DropStmt *) statement;
	ListCell   *lc;

	if (!IsA(statement, DropStmt) || drop->removeType != OBJECT_EXTENSION)
		return false;
	foreach(lc, drop->objects)
	{
		if (strcmp(strVal(lfirst(lc)), "inval") == 0)
			return true;
	}
	return false;
}

/*
 * Keeps our triggers' names for them on tables that are tracked.  A dump may
 * have such a trigger of somebody else's, on a table that is not; inval_track
 * replaces it.
 *
 * A dump of a partition or child may be restored where its parent is tracked:
 * then the triggers that it brings are there already, and are made anew.
 */
static void
ddl_before_trigger(CreateTrigStmt *statement)
{
	if (strncmp(statement->trigname, DDL_PREFIX, strlen(DDL_PREFIX)) != 0)
		return;
	if (!ddl_calls_ours(statement))
	{
		Oid			relid = RangeVarGetRelid(statement->relation, NoLock, true);

		if (statement->replace || (OidIsValid(relid) && inval_family_is_tracked(relid)))
			ddl_refuse_name(statement->trigname);
	}
	else if (inval_family_is_capture_trigger(statement->trigname) && !statement->isconstraint)
		statement->replace = true;
}

/*
 * The triggers that capture changes are known by their names.
 */
static void
ddl_before_rename(const RenameStmt *statement)
{
	if (statement->renameType != OBJECT_TRIGGER)
		return;
	if (inval_family_is_capture_trigger(statement->subname))
		ddl_refuse_name(statement->subname);
	if (inval_family_is_capture_trigger(statement->newname))
		ddl_refuse_name(statement->newname);
}

/*
 * Whether a trigger is to call one of the functions of our triggers.
 */
static bool
ddl_calls_ours(const CreateTrigStmt *statement)
{
	Oid			function = LookupFuncName(statement->funcname, 0, NULL, true);
	const InvalCatalog *catalog = inval_catalog(false);

	return OidIsValid(function) &&
		(function == catalog->carrier_function || function == catalog->row_function ||
		 function == catalog->truncate_function);
}

static void
ddl_refuse_name(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_RESERVED_NAME),
			 errmsg("trigger name \"%s\" is reserved for inval", name),
			 errhint("Names that start with \"%s\" are those of triggers that inval_track makes.",
					 DDL_PREFIX)));
}

/*
 * What the command has created or altered, if the script of another extension
 * has done so too.
 */
static void
ddl_after_each(const EventTriggerData *event, List *altered)
{
	ListCell   *lc;

	if (creating_extension && CurrentExtensionObject == inval_catalog(false)->extension)
		return;
	foreach(lc, altered)
	{
		const ObjectAddress *object = lfirst(lc);

		ddl_after_object(object->classId, object->objectId, event);
	}
}

static void
ddl_after_object(Oid class, Oid object, const EventTriggerData *event)
{
	static const AlterTableType parents[] = {AT_AttachPartition, AT_DetachPartition,
	AT_DetachPartitionFinalize, AT_AddInherit, AT_DropInherit};
	static const AlterTableType columns[] = {AT_AddColumn, AT_AttachPartition, AT_AddInherit,
	AT_AddOf};
	Node	   *statement = event->parsetree;

	if (class == ForeignServerRelationId && event->tag == CMDTAG_CREATE_SERVER)
	{
		inval_store_created(object);
		inval_carrier_restored(object);
		ddl_tie(class, object);
		inval_guard_restored(object);
	}
	if (class == TriggerRelationId && event->tag == CMDTAG_CREATE_TRIGGER)
	{
		inval_carrier_renumber(object);
		ddl_tie(class, object);
		inval_ddl_equip_created(inval_catalog_relation_of(class, object));
	}
	if (class != RelationRelationId || event->tag == CMDTAG_REFRESH_MATERIALIZED_VIEW ||
		IsA(statement, CommentStmt) || IsA(statement, SecLabelStmt))
		return;
	inval_ddl_after_name(object);

	/*
	 * Other sessions of a restore add constraints to other tables of a family at
	 * the same time, which needs nothing of us: what is not asked cannot deadlock.
	 */
	if (!IsA(statement, AlterTableStmt) ||
		ddl_alters(statement, parents, lengthof(parents)))
		inval_ddl_equip(object);
	else
		inval_ddl_enable(object);
	if (!IsA(statement, AlterTableStmt) ||
		ddl_alters(statement, columns, lengthof(columns)))
		inval_guard_check(object);
}

/*
 * A carrier that was made by hand, as in a dump, is tied to what its rule needs as
 * far as that is there.
 */
static void
ddl_tie(Oid class, Oid carrier)
{
	const InvalDefinition *definition = inval_carrier_read(class, carrier);

	if (definition != NULL)
		(void) inval_tie_attempt(definition);
}

/*
 * Whether an ALTER TABLE has a subcommand of one of the given types.
 */
static bool
ddl_alters(Node *statement, const AlterTableType *types, int ntypes)
{
	ListCell   *lc;
	int			i;

	foreach(lc, ((AlterTableStmt *) statement)->cmds)
		for (i = 0; i < ntypes; i++)
			if (((AlterTableCmd *) lfirst(lc))->subtype == types[i])
				return true;
	return false;
}
