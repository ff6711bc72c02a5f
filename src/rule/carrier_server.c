/*
 * carrier_server.c
 *		The rules of materialized views, which are foreign servers.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_foreign_server.h"
#include "commands/defrem.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"

#include "base/catalog.h"
#include "rule/carrier_server.h"
#include "store/store.h"
#include "version/server.h"

static Oid	server_relation(const InvalStored *stored);
static Oid	server_tied_relation(Oid server);
static void server_tie(Oid server, Oid relation);

/*
 * Appends the rules of a materialized view (InvalidOid: of all of them).
 */
List *
inval_carrier_servers(List *list, Oid relation, InvalCarrierUnread *unread)
{
	ListCell   *lc;

	foreach(lc, inval_store_list(INVAL_STORE_RULE, CurrentMemoryContext))
	{
		InvalStored *stored = lfirst(lc);
		Oid			of = server_relation(stored);
		InvalDefinition *definition;
		const char *unknown = NULL;
		ListCell   *option;

		if (OidIsValid(relation) ? of != relation : !OidIsValid(of))
			continue;
		definition = palloc0(sizeof(InvalDefinition));
		definition->relation = of;
		definition->carrier = stored->oid;
		foreach(option, stored->options)
		{
			DefElem    *elem = lfirst(option);

			if (strcmp(elem->defname, inval_definition_name(RULE_RELATION)) != 0 &&
				!inval_definition_set(definition, elem->defname,
									  pstrdup(defGetString(elem))))
				unknown = elem->defname;
		}
		if (inval_carrier_check(definition, unknown, unread))
			list = lappend(list, definition);
	}
	return list;
}

/*
 * Writes down the rule of a materialized view; see inval_carrier_put.
 */
void
inval_carrier_put_server(InvalDefinition *definition)
{
	List	   *options = NIL;
	int			i;

	for (i = 0; i < RULE_OPTIONS; i++)
		if (definition->options[i] != NULL)
			options = lappend(options,
							  makeDefElem(pstrdup(inval_definition_name(i)),
										  (Node *) makeString(definition->options[i]), -1));
	options = lappend(options,
					  makeDefElem(pstrdup(inval_definition_name(RULE_RELATION)),
								  (Node *) makeString(inval_catalog_relation_name(definition->relation)),
								  -1));
	definition->carrier = inval_store_put(INVAL_STORE_RULE, definition->options[RULE_ID], options);

	server_tie(definition->carrier, definition->relation);
}

/*
 * A foreign server was created, by a dump that is restored perhaps: ties it to
 * the materialized view that it names.
 */
void
inval_carrier_restored(Oid server)
{
	ListCell   *lc;

	foreach(lc, inval_store_list(INVAL_STORE_RULE, CurrentMemoryContext))
	{
		InvalStored *stored = lfirst(lc);
		Oid			relation;

		if (stored->oid != server)
			continue;
		relation = server_relation(stored);
		if (OidIsValid(relation))
			server_tie(server, relation);
	}
}

/*
 * Ties all rules of materialized views that are not: pg_upgrade restores no
 * such dependency, and runs no event trigger that would.  To be called before
 * a command that renames views, or drops them.
 */
void
inval_carrier_adopt(void)
{
	ListCell   *lc;

	foreach(lc, inval_store_list(INVAL_STORE_RULE, CurrentMemoryContext))
	{
		InvalStored *stored = lfirst(lc);

		if (OidIsValid(server_tied_relation(stored->oid)))
			continue;
		inval_carrier_restored(stored->oid);
		CommandCounterIncrement();
	}
}

/*
 * Whether what is written of a rule still names its relation: a server names
 * the materialized view, which a trigger need not.
 */
bool
inval_carrier_is_current(const InvalDefinition *definition)
{
	const InvalStored *stored;
	const char *name;

	if (get_rel_relkind(definition->relation) != RELKIND_MATVIEW)
		return true;
	stored = inval_store_get(INVAL_STORE_RULE, definition->options[RULE_ID], true);
	name = stored ? inval_store_option(stored, inval_definition_name(RULE_RELATION)) : NULL;
	return name != NULL &&
		strcmp(name, inval_catalog_relation_name(definition->relation)) == 0;
}

/*
 * The materialized view that a server is tied to; if it is not (its dump is
 * being restored), the one that it names.
 */
static Oid
server_relation(const InvalStored *stored)
{
	Oid			relation = server_tied_relation(stored->oid);
	ListCell   *lc;

	if (OidIsValid(relation))
		return relation;

	foreach(lc, stored->options)
	{
		DefElem    *elem = lfirst(lc);
		List	   *names;

		if (strcmp(elem->defname, inval_definition_name(RULE_RELATION)) != 0)
			continue;
		names = inval_server_parts_of_name(defGetString(elem));
		relation = RangeVarGetRelid(makeRangeVarFromNameList(names), NoLock, true);
	}
	return relation;
}

static Oid
server_tied_relation(Oid server)
{
	return inval_catalog_depends_on(ForeignServerRelationId, server, DEPENDENCY_AUTO);
}

/*
 * Lets a server go when the materialized view goes.
 */
static void
server_tie(Oid server, Oid relation)
{
	ObjectAddress depender;
	ObjectAddress view;

	ObjectAddressSet(depender, ForeignServerRelationId, server);
	ObjectAddressSet(view, RelationRelationId, relation);
	deleteDependencyRecordsForClass(ForeignServerRelationId, server,
									RelationRelationId, DEPENDENCY_AUTO);
	recordDependencyOn(&depender, &view, DEPENDENCY_AUTO);
}
