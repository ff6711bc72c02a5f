/*
 * rename.c
 *		Rules follow renames of what they name.
 *
 * A rule's table, and that table's name and schema, are the server's own
 * business: its carrier is a trigger on it.  Which rules name something else that
 * is renamed, their ties tell.  Columns are named in templates and lists, which
 * are rewritten afterwards; the queries of via, refill and audit are understood before the
 * command, and written anew after it.
 *
 * What is renamed is known for certain only afterwards, when the command has got
 * its lock.  If that is not what was meant to be before, and a query names it,
 * the command fails, and can be tried again.
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_class.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/attempt.h"
#include "base/catalog.h"
#include "ddl/rename.h"
#include "ddl/rename_columns.h"
#include "rule/carrier.h"
#include "rule/carrier_server.h"
#include "rule/family.h"
#include "rule/ties.h"

/* A query to be understood */
typedef struct RenameQuery
{
	InvalViaQuery *(*analyze) (const InvalDefinition *definition, Relation tracked);
	const InvalDefinition *definition;
	InvalViaQuery *query;
} RenameQuery;

static ObjectAddress rename_target(Node *statement);
static List *rename_readers(const ObjectAddress *target);
static List *rename_readers_of_relation(Oid relid);
static List *rename_readers_within(const ObjectAddress *target);
static List *rename_family(Oid relid);
static List *rename_add(List *readers, List *more);
static void rename_keep_queries(InvalDdlFrame *frame, const InvalDefinition *definition);
static InvalViaQuery *rename_attempt(RenameQuery query);
static void rename_analyze(void *arg);
static InvalOldQueries *rename_find_queries(InvalDdlFrame *frame,
											const InvalDefinition *definition);
static bool rename_queries(InvalDdlFrame *frame, InvalDefinition *definition);
static void rename_tell(const InvalDefinition *definition);
static void rename_servers(void);
/*
 * Understands the queries that may name what a command renames.
 */
void
inval_ddl_before_rename(InvalDdlFrame *frame, Node *statement)
{
	ObjectAddress target = rename_target(statement);
	ListCell   *lc;

	if (!OidIsValid(target.objectId))
		return;
	foreach(lc, rename_readers(&target))
	{
		rename_keep_queries(frame, lfirst(lc));
	}
}

/*
 * Lets the rules follow a rename of objects (ObjectAddress *).  Needs a connection
 * to SPI.
 */
void
inval_ddl_after_rename(InvalDdlFrame *frame, Node *statement, List *altered)
{
	const RenameStmt *rename = IsA(statement, RenameStmt) ? (RenameStmt *) statement : NULL;
	bool		column = rename != NULL && (rename->renameType == OBJECT_COLUMN ||
											rename->renameType == OBJECT_ATTRIBUTE);
	ListCell   *lc;

	foreach(lc, altered)
	{
		const ObjectAddress *target = lfirst(lc);
		InvalRenaming	renaming = {NIL, NULL, NULL};
		ListCell   *reader;

		if (column && target->classId == RelationRelationId)
		{
			renaming.old_name = rename->subname;
			renaming.new_name = rename->newname;
			renaming.relids = rename_family(target->objectId);
		}
		foreach(reader, rename_readers(target))
		{
			InvalDefinition *definition = lfirst(reader);
			const char *key = definition->options[RULE_KEY];
			const char *field = definition->options[RULE_FIELD];
			bool		changed = renaming.relids != NIL && inval_ddl_rename_columns(definition, &renaming);

			if (inval_queries_exist(definition))
				changed |= rename_queries(frame, definition);
			if (changed)
				inval_carrier_rewrite(definition);
			if (definition->options[RULE_KEY] != key || definition->options[RULE_FIELD] != field)
				rename_tell(definition);
		}
	}
	if (!column)
		rename_servers();
}

/*
 * What a command is about to rename, as far as its text tells.  Invalid if rules
 * do not name such things.
 */
static ObjectAddress
rename_target(Node *statement)
{
	ObjectAddress target = InvalidObjectAddress;
	RenameStmt *rename = IsA(statement, RenameStmt) ? (RenameStmt *) statement : NULL;
	AlterObjectSchemaStmt *move = rename ? NULL : (AlterObjectSchemaStmt *) statement;
	ObjectType	type = rename ? rename->renameType : move->objectType;
	RangeVar   *name = rename ? rename->relation : move->relation;
	Node	   *object = rename ? rename->object : move->object;
	const char *schema = rename ? rename->subname : NULL;	/* or whatever the object is part of */
	Relation	relation = NULL;

	switch (type)
	{
		case OBJECT_TABLE:
		case OBJECT_FOREIGN_TABLE:
		case OBJECT_VIEW:
		case OBJECT_MATVIEW:
		case OBJECT_COLUMN:
		case OBJECT_ATTRIBUTE:
		case OBJECT_SEQUENCE:
		case OBJECT_INDEX:
			ObjectAddressSet(target, RelationRelationId, RangeVarGetRelid(name, NoLock, true));
			return target;
		case OBJECT_SCHEMA:
			ObjectAddressSet(target, NamespaceRelationId, get_namespace_oid(schema, true));
			return target;
		case OBJECT_AGGREGATE:
		case OBJECT_COLLATION:
		case OBJECT_EXTENSION:
		case OBJECT_FUNCTION:
		case OBJECT_OPERATOR:
		case OBJECT_PROCEDURE:
		case OBJECT_ROUTINE:
		case OBJECT_TSCONFIGURATION:
		case OBJECT_TSDICTIONARY:
			return get_object_address(type, object, &relation, AccessShareLock, true);
		case OBJECT_DOMAIN:
		case OBJECT_TYPE:
			/* The grammar gives these two as mere names. */
			object = (Node *) makeTypeNameFromNameList(castNode(List, object));
			return get_object_address(type, object, &relation, AccessShareLock, true);
		default:
			return target;
	}
}

/*
 * The rules (InvalDefinition *) that name an object or parts of it.
 */
static List *
rename_readers(const ObjectAddress *target)
{
	List	   *readers = NIL;
	ListCell   *lc;

	if (target->classId == NamespaceRelationId || target->classId == ExtensionRelationId)
		return rename_readers_within(target);
	if (target->classId != RelationRelationId)
		return inval_ties_readers(target->classId, target->objectId, 0);
	foreach(lc, rename_family(target->objectId))
	{
		readers = rename_add(readers, rename_readers_of_relation(lfirst_oid(lc)));
	}
	return readers;
}

/*
 * The relations that a rename of a column reaches.  With a composite type: the
 * tables of it.
 */
static List *
rename_family(Oid relid)
{
	List	   *family = find_all_inheritors(relid, NoLock, NULL);
	ListCell   *lc;

	if (get_rel_relkind(relid) != RELKIND_COMPOSITE_TYPE)
		return family;
	foreach(lc, inval_family_typed(relid))
	{
		family = list_concat_unique_oid(family, find_all_inheritors(lfirst_oid(lc), NoLock, NULL));
	}
	return family;
}

/*
 * With its row type, and the array type of that.
 */
static List *
rename_readers_of_relation(Oid relid)
{
	Oid			type = get_rel_type_id(relid);
	List	   *readers = inval_ties_readers(RelationRelationId, relid, 0);

	if (OidIsValid(type))
	{
		readers = rename_add(readers, inval_ties_readers(TypeRelationId, type, 0));
		type = get_array_type(type);
	}
	if (OidIsValid(type))
		readers = rename_add(readers, inval_ties_readers(TypeRelationId, type, 0));
	return readers;
}

/*
 * The rules that name something in a schema or of an extension.
 */
static List *
rename_readers_within(const ObjectAddress *target)
{
	List	   *readers = NIL;
	ListCell   *lc;

	foreach(lc, inval_catalog_dependents(target->classId, target->objectId))
	{
		const FormData_pg_depend *member = lfirst(lc);

		CHECK_FOR_INTERRUPTS();
		readers = rename_add(readers, member->classid == RelationRelationId ?
							 rename_readers_of_relation(member->objid) :
							 inval_ties_readers(member->classid, member->objid, 0));
	}
	return readers;
}

/*
 * Adds the rules that are not there yet.
 */
static List *
rename_add(List *readers, List *more)
{
	ListCell   *lc;

	foreach(lc, more)
	{
		const InvalDefinition *definition = lfirst(lc);
		bool		known = false;
		ListCell   *other;

		foreach(other, readers)
		{
			known |= ((InvalDefinition *) lfirst(other))->carrier == definition->carrier;
		}
		if (!known)
			readers = lappend(readers, lfirst(lc));
	}
	return readers;
}

static void
rename_keep_queries(InvalDdlFrame *frame, const InvalDefinition *definition)
{
	MemoryContext old;
	InvalOldQueries *kept;

	if (!inval_queries_exist(definition))
		return;
	old = MemoryContextSwitchTo(frame->context);
	kept = palloc0(sizeof(InvalOldQueries));
	kept->carrier = definition->carrier;
	kept->queries.via = rename_attempt((RenameQuery) {inval_queries_via, definition, NULL});
	kept->queries.refill = rename_attempt((RenameQuery) {inval_queries_refill, definition, NULL});
	kept->queries.audit = rename_attempt((RenameQuery) {inval_queries_audit, definition, NULL});
	frame->queries = lappend(frame->queries, kept);
	MemoryContextSwitchTo(old);
}

/*
 * NULL for one that cannot be understood: it did not work before.
 */
static InvalViaQuery *
rename_attempt(RenameQuery query)
{
	return inval_attempt(rename_analyze, &query) == NULL ? query.query : NULL;
}

static void
rename_analyze(void *arg)
{
	RenameQuery *query = arg;
	Relation	relation = relation_open(query->definition->relation, AccessShareLock);

	query->query = query->analyze(query->definition, relation);
	relation_close(relation, NoLock);
}

static InvalOldQueries *
rename_find_queries(InvalDdlFrame *frame, const InvalDefinition *definition)
{
	ListCell   *lc;

	foreach(lc, frame ? frame->queries : NIL)
	{
		InvalOldQueries *kept = lfirst(lc);

		if (kept->carrier == definition->carrier)
			return kept;
	}
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg("what was to be renamed has changed meanwhile"),
			 errdetail("Inval rule %d names it in its query.", inval_definition_id(definition)),
			 errhint("Try again.")));
	return NULL;				/* keep the compiler quiet */
}

/*
 * Writes the queries of a rule with the names that everything has now.  Returns
 * whether they read otherwise than before.
 */
static bool
rename_queries(InvalDdlFrame *frame, InvalDefinition *definition)
{
	InvalOldQueries *kept = rename_find_queries(frame, definition);
	Relation	relation = relation_open(definition->relation, AccessShareLock);
	bool		changed = inval_queries_write(&kept->queries, definition, relation);

	relation_close(relation, AccessShareLock);
	return changed;
}

/*
 * Columns are swapped by renames, too: then the rule stays with the retired one.
 */
static void
rename_tell(const InvalDefinition *definition)
{
	ereport(NOTICE,
			(errmsg("the inval rule of table \"%s\" has the key \"%s\" now",
					get_rel_name(definition->relation), definition->options[RULE_KEY])));
}

/*
 * The servers that carry the rules of materialized views name them.
 */
static void
rename_servers(void)
{
	InvalCarrierUnread unread = INVAL_CARRIER_SILENT;
	ListCell   *lc;

	foreach(lc, inval_carrier_servers(NIL, InvalidOid, &unread))
	{
		if (!inval_carrier_is_current(lfirst(lc)))
			inval_carrier_put_server(lfirst(lc));
	}
}
