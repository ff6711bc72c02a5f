/*
 * redefine.c
 *		Views and functions that get another definition.
 *
 * A rule that reads a view, or calls a function, can be asked by what they were
 * only until CREATE OR REPLACE or ALTER has run, which matters if rows have changed
 * in the same transaction, or will.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_proc.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/parsenodes.h"
#include "nodes/value.h"
#include "parser/parse_func.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"

#include "base/rights.h"
#include "ddl/frame.h"
#include "ddl/redefine.h"
#include "ddl/rows.h"

static Oid	redefine_view(RangeVar *name);
static Oid	redefine_routine(List *names, List *parameters);

/*
 * Queues what rules owe that read what a command is about to define anew, if it is
 * there and the user may do that.
 */
void
inval_ddl_before_redefine(Node *statement)
{
	Oid			class = ProcedureRelationId;
	Oid			object = InvalidOid;
	Oid			owner;

	if (inval_ddl_is_last(nodeTag(statement)))
		return;
	if (IsA(statement, ViewStmt) && ((ViewStmt *) statement)->replace)
	{
		class = RelationRelationId;
		object = redefine_view(((ViewStmt *) statement)->view);
	}
	else if (IsA(statement, RuleStmt) && ((RuleStmt *) statement)->replace)
	{
		class = RelationRelationId;
		object = RangeVarGetRelid(((RuleStmt *) statement)->relation, NoLock, true);
	}
	else if (IsA(statement, CreateFunctionStmt) && ((CreateFunctionStmt *) statement)->replace)
		object = redefine_routine(((CreateFunctionStmt *) statement)->funcname,
								  ((CreateFunctionStmt *) statement)->parameters);
	else if (IsA(statement, DefineStmt) && ((DefineStmt *) statement)->replace &&
			 ((DefineStmt *) statement)->kind == OBJECT_AGGREGATE &&
			 !((DefineStmt *) statement)->oldstyle)
		object = redefine_routine(((DefineStmt *) statement)->defnames,
								  linitial(((DefineStmt *) statement)->args));
	else if (IsA(statement, AlterFunctionStmt))
		object = LookupFuncWithArgs(((AlterFunctionStmt *) statement)->objtype,
									((AlterFunctionStmt *) statement)->func, true);
	if (!OidIsValid(object))
		return;
	owner = inval_rights_owner(class, object);
	if (OidIsValid(owner) && has_privs_of_role(GetUserId(), owner))
		inval_ddl_rows_of_readers(class, object);
}

/*
 * The view that is replaced is one of the schema in which it would be created.
 */
static Oid
redefine_view(RangeVar *name)
{
	if (name->relpersistence == RELPERSISTENCE_TEMP)
		return InvalidOid;
	return get_relname_relid(name->relname, RangeVarGetCreationNamespace(name));
}

/*
 * The same of a function, a procedure or an aggregate.  Which it is say the types of its
 * arguments.
 */
static Oid
redefine_routine(List *names, List *parameters)
{
	ObjectWithArgs *routine = makeNode(ObjectWithArgs);
	char	   *name;
	Oid			schema = QualifiedNameGetCreationNamespace(names, &name);
	ListCell   *lc;

	routine->objname = list_make2(makeString(get_namespace_name(schema)), makeString(name));
	foreach(lc, parameters)
	{
		FunctionParameter *parameter = lfirst(lc);

		if (parameter->mode != FUNC_PARAM_OUT && parameter->mode != FUNC_PARAM_TABLE)
			routine->objargs = lappend(routine->objargs, parameter->argType);
	}
	return LookupFuncWithArgs(OBJECT_ROUTINE, routine, true);
}
