/*
 * rights.c
 *		What the current user may do with a relation.
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"

#include "base/rights.h"

/*
 * Whether the current user may alter a relation.
 */
bool
inval_rights_is_owner(Oid relid)
{
#if PG_VERSION_NUM >= 160000
	return object_ownercheck(RelationRelationId, relid, GetUserId());
#else
	return pg_class_ownercheck(relid, GetUserId());
#endif
}

/*
 * Whether the current user may refresh a materialized view.
 */
bool
inval_rights_may_refresh(Oid relid)
{
#if PG_VERSION_NUM >= 170000
	return pg_class_aclcheck(relid, GetUserId(), ACL_MAINTAIN) == ACLCHECK_OK;
#else
	return inval_rights_is_owner(relid);
#endif
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
