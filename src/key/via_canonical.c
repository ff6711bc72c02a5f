/*
 * via_canonical.c
 *		A via query written so that it means the same in every session.
 *
 * A view is bound once, when it is made.  A via query is kept as a text, since
 * a dump must carry it; so it is written as the server writes a view's, with all
 * names, operators and casts in full, and always read with nothing but
 * pg_catalog in the search path.  Where the syntax has no place for an
 * operator's schema (JOIN USING, CASE, NULLIF, IS DISTINCT FROM), the text may
 * mean something else than the query did; that is found out here, and refused.
 */
#include "postgres.h"

#include "catalog/objectaddress.h"
#include "catalog/pg_class.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"

#include "base/attempt.h"
#include "base/catalog.h"
#include "key/via_canonical.h"
#include "key/via_query.h"
#include "version/server.h"

/* A query written once comes back in other terms; from then on it stays. */
#define CANONICAL_PASSES	4

/* A text to be understood */
typedef struct CanonicalText
{
	const char *text;
	const InvalQuerySource *source;
	InvalViaQuery *query;
} CanonicalText;

static void canonical_analyze(void *arg);
static bool canonical_objects(Node *node, void *context);
static void canonical_add(List **objects, Oid class, Oid object);
static bool canonical_contains(List *objects, List *others);
static bool canonical_has(List *objects, const ObjectAddress *wanted);
pg_noreturn static void canonical_refuse(const char *what, const char *why);

/*
 * The canonical text of a query that was written for the search path of the
 * tracked table's schema.  What is wrong with the query is an error.
 */
char *
inval_query_canonical(const char *query, const InvalQuerySource *source)
{
	InvalViaQuery *meant = inval_query_analyze(query, source, INVAL_LOOKUP_WRITTEN);
	List	   *objects = inval_via_objects(meant->query);
	int			i;

	for (i = 0; i < CANONICAL_PASSES; i++)
	{
		CanonicalText text = {inval_via_deparse(meant, source->tracked), source, NULL};
		ErrorData  *error = inval_attempt(canonical_analyze, &text);
		List	   *found;

		if (error != NULL)
			canonical_refuse(source->what, error->message);
		found = inval_via_objects(text.query->query);
		if (!canonical_contains(objects, found) || !canonical_contains(found, objects))
			canonical_refuse(source->what, NULL);
		if (equal(text.query->query, meant->query))
			return unconstify(char *, text.text);
		meant = text.query;
	}
	canonical_refuse(source->what, NULL);
	return NULL;				/* keep the compiler quiet */
}

static void
canonical_analyze(void *arg)
{
	CanonicalText *text = arg;

	text->query = inval_query_analyze(text->text, text->source, INVAL_LOOKUP_VIA);
}

static void
canonical_refuse(const char *what, const char *why)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("%s query cannot be kept as it is written", what),
			 why ? errdetail("Read with all names in full: %s", why) :
			 errdetail("Read with all names in full it would use other operators or functions."),
			 errhint("Write operators of other schemas out, as in a OPERATOR(schema.=) b, instead of USING, NATURAL, CASE x WHEN, NULLIF and IS DISTINCT FROM.")));
}

/*
 * What an analysed query reads and runs (ObjectAddress *): relations, functions,
 * operators, and types whose code runs.
 */
List *
inval_via_objects(Query *query)
{
	List	   *objects = NIL;

	(void) canonical_objects((Node *) query, &objects);
	return objects;
}

static bool
canonical_objects(Node *node, void *context)
{
	List	  **objects = context;
	ListCell   *lc;

	if (node == NULL)
		return false;
	switch (nodeTag(node))
	{
		case T_Query:
			foreach(lc, ((Query *) node)->rtable)
			{
				if (lfirst_node(RangeTblEntry, lc)->rtekind == RTE_RELATION)
					canonical_add(objects, RelationRelationId,
								  lfirst_node(RangeTblEntry, lc)->relid);
			}
			return query_tree_walker((Query *) node, canonical_objects, context,
									 QTW_EXAMINE_SORTGROUP);
		case T_FuncExpr:
			canonical_add(objects, ProcedureRelationId, ((FuncExpr *) node)->funcid);
			break;
		case T_Aggref:
			canonical_add(objects, ProcedureRelationId, ((Aggref *) node)->aggfnoid);
			break;
		case T_WindowFunc:
			canonical_add(objects, ProcedureRelationId, ((WindowFunc *) node)->winfnoid);
			break;
		case T_OpExpr:
		case T_DistinctExpr:
		case T_NullIfExpr:
			canonical_add(objects, OperatorRelationId, ((OpExpr *) node)->opno);
			break;
		case T_ScalarArrayOpExpr:
			canonical_add(objects, OperatorRelationId, ((ScalarArrayOpExpr *) node)->opno);
			break;
		case T_RowCompareExpr:
			foreach(lc, ((RowCompareExpr *) node)->opnos)
			{
				canonical_add(objects, OperatorRelationId, lfirst_oid(lc));
			}
			break;
		case T_SortGroupClause:
			canonical_add(objects, OperatorRelationId, ((SortGroupClause *) node)->eqop);
			canonical_add(objects, OperatorRelationId, ((SortGroupClause *) node)->sortop);
			return false;
		case T_CoerceViaIO:
			canonical_add(objects, TypeRelationId, ((CoerceViaIO *) node)->resulttype);
			break;
		case T_CoerceToDomain:
			canonical_add(objects, TypeRelationId, ((CoerceToDomain *) node)->resulttype);
			break;
		default:
			break;
	}
	return expression_tree_walker(node, canonical_objects, context);
}

static void
canonical_add(List **objects, Oid class, Oid object)
{
	ObjectAddress *address = palloc(sizeof(ObjectAddress));

	ObjectAddressSet(*address, class, object);
	if (OidIsValid(object) && !canonical_has(*objects, address))
		*objects = lappend(*objects, address);
}

static bool
canonical_contains(List *objects, List *others)
{
	ListCell   *lc;

	foreach(lc, others)
	{
		if (!canonical_has(objects, lfirst(lc)))
			return false;
	}
	return true;
}

static bool
canonical_has(List *objects, const ObjectAddress *wanted)
{
	ListCell   *lc;

	foreach(lc, objects)
	{
		const ObjectAddress *address = lfirst(lc);

		if (address->classId == wanted->classId && address->objectId == wanted->objectId)
			return true;
	}
	return false;
}
