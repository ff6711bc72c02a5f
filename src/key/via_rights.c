/*
 * via_rights.c
 *		Whether a role may read what a via query reads.
 *
 * The query is rewritten as it would be to run it, so that views are looked
 * into with the rights of their owners, and each of its levels is checked as
 * the executor would do it.  In addition no row security may apply: what a query
 * finds must not depend on who happens to write, or on a setting of his.
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_relation.h"
#include "rewrite/rewriteHandler.h"
#include "utils/guc.h"

#include "base/rights.h"
#include "key/via_rights.h"
#include "version/server.h"

static bool rights_check(Node *node, void *context);

/*
 * An error if the role may not run the query on all rows.
 */
void
inval_via_query_check_rights(const InvalViaQuery *query, Relation tracked, Oid role)
{
	InvalRole	scope;
	Oid			user;
	int			security;
	ListCell   *lc;

	inval_role_enter(&scope, INVAL_LOOKUP_VIA, RelationGetRelid(tracked));
	GetUserIdAndSecContext(&user, &security);
	SetUserIdAndSecContext(role, security);

	/* So that it is we who say what applies to whom. */
	(void) set_config_option("row_security", "on", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	foreach(lc, QueryRewrite(copyObject(query->query)))
	{
		(void) rights_check(lfirst(lc), &role);
	}
	SetUserIdAndSecContext(user, security);
	inval_role_leave(&scope);
}

static bool
rights_check(Node *node, void *context)
{
	Query	   *query = (Query *) node;
	Oid		   *role = context;
	ListCell   *lc;

	if (node == NULL)
		return false;
	if (!IsA(node, Query))
		return expression_tree_walker(node, rights_check, context);

	inval_server_check_query(query);
	foreach(lc, query->rtable)
	{
		RangeTblEntry *entry = lfirst(lc);
		Oid			as;

		if (entry->rtekind != RTE_RELATION || entry->relkind == RELKIND_VIEW)
			continue;
		as = inval_server_reads_as(query, entry);
		inval_rights_check_all_rows(entry->relid, OidIsValid(as) ? as : *role);
	}
	return query_tree_walker(query, rights_check, context, 0);
}
