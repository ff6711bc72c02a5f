/*
 * rights.c
 *		What roles may do with relations and other objects.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_class.h"
#include "catalog/pg_proc.h"
#include "miscadmin.h"
#include "nodes/value.h"
#include "parser/parse_func.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/rls.h"

#include "base/catalog.h"
#include "base/rights.h"
#include "version/server.h"

/*
 * Whether the current user may alter a relation.
 */
bool
inval_rights_is_owner(Oid relid)
{
	return inval_server_owns_relation(relid, GetUserId());
}

/*
 * Whether the current user may see keys that others have queued: EXECUTE on
 * inval_key_right.
 */
bool
inval_rights_see_keys(void)
{
	char	   *schema = get_namespace_name(inval_catalog(false)->schema);
	Oid			function = LookupFuncName(list_make2(makeString(schema),
													 makeString("inval_key_right")),
										  0, NULL, true);

	if (!OidIsValid(function))
		return false;
	return inval_server_may_execute(function, GetUserId());
}

/*
 * The owner of an object; invalid if it is gone, or has none of its own.
 */
Oid
inval_rights_owner(Oid class, Oid object)
{
	AttrNumber	column = get_object_attnum_owner(class);
	Oid			owner = InvalidOid;
	Relation	catalog;
	HeapTuple	tuple;
	bool		isnull;

	if (column == InvalidAttrNumber)
		return InvalidOid;
	catalog = table_open(class, AccessShareLock);
	tuple = get_catalog_object_by_oid(catalog, get_object_attnum_oid(class), object);
	if (HeapTupleIsValid(tuple))
		owner = DatumGetObjectId(heap_getattr(tuple, column, RelationGetDescr(catalog),
											  &isnull));
	table_close(catalog, AccessShareLock);
	return owner;
}

/*
 * Whether the current user may refresh a materialized view.
 */
bool
inval_rights_may_refresh(Oid relid)
{
	return inval_server_may_maintain(relid, GetUserId());
}

/*
 * An error for who does not own a relation.
 */
void
inval_rights_check_owner(Oid relid)
{
	if (!inval_rights_is_owner(relid))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be owner of relation %s", get_rel_name(relid)),
				 errhint("Call the function as the owner of the table.")));
}

/*
 * An error for a role that may not read a column of a relation in all rows.
 */
void
inval_rights_check_read(Oid relid, AttrNumber column, Oid role)
{
	if (pg_class_aclcheck(relid, role, ACL_SELECT) != ACLCHECK_OK &&
		pg_attribute_aclcheck(relid, column, role, ACL_SELECT) != ACLCHECK_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for column \"%s\" of table \"%s\"",
						get_attname(relid, column, false), get_rel_name(relid)),
				 errhint("Grant SELECT on it to \"%s\".", GetUserNameFromId(role, false))));
	inval_rights_check_all_rows(relid, role);
}

/*
 * An error for a role from which row security hides rows of a relation.
 */
void
inval_rights_check_all_rows(Oid relid, Oid role)
{
	if (check_enable_rls(relid, role, true) == RLS_ENABLED)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("row security of table \"%s\" applies to \"%s\"",
						get_rel_name(relid), GetUserNameFromId(role, false)),
				 errdetail("What a rule finds there would depend on the policies, and keys would be missed."),
				 errhint("Give the role BYPASSRLS, or let a role that sees all rows own the tracked table or a view that is read instead.")));
}
