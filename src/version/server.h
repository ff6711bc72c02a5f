/*
 * server.h
 *		What differs between versions of PostgreSQL, from 15 on.
 *
 * No other file asks which version it is compiled for.  What a name stands for is
 * expanded where it is used, so whoever uses one includes the server's headers for it,
 * as he would without this file.
 */
#ifndef INVAL_VERSION_SERVER_H
#define INVAL_VERSION_SERVER_H

#if PG_VERSION_NUM < 150000
#error "inval needs PostgreSQL 15 or later"
#endif

/* A header of its own from 16 on, part of postgres.h before */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* Before the declaration of a function that does not return; attribute until 17 */
#ifndef pg_noreturn
#define pg_noreturn pg_attribute_noreturn()
#endif

/* Where a case goes on into the next one, which a comment does not say to all compilers */
#ifndef pg_fallthrough
#define pg_fallthrough __attribute__((fallthrough))
#endif

/*
 * Rights.  From 16 on there is one function for all classes of objects; before, one for
 * each class.
 */
#if PG_VERSION_NUM >= 160000
#define inval_server_owns_relation(relid, role) \
	object_ownercheck(RelationRelationId, relid, role)
#define inval_server_owns_database(database, role) \
	object_ownercheck(DatabaseRelationId, database, role)
#define inval_server_owns_extension(extension, role) \
	object_ownercheck(ExtensionRelationId, extension, role)
#define inval_server_may_execute(function, role) \
	(object_aclcheck(ProcedureRelationId, function, role, ACL_EXECUTE) == ACLCHECK_OK)
#define inval_server_may_use(foreign_server, role) \
	(object_aclcheck(ForeignServerRelationId, foreign_server, role, ACL_USAGE) == ACLCHECK_OK)
#else
#define inval_server_owns_relation(relid, role)			pg_class_ownercheck(relid, role)
#define inval_server_owns_database(database, role)		pg_database_ownercheck(database, role)
#define inval_server_owns_extension(extension, role)	pg_extension_ownercheck(extension, role)
#define inval_server_may_execute(function, role) \
	(pg_proc_aclcheck(function, role, ACL_EXECUTE) == ACLCHECK_OK)
#define inval_server_may_use(foreign_server, role) \
	(pg_foreign_server_aclcheck(foreign_server, role, ACL_USAGE) == ACLCHECK_OK)
#endif

/* The right to refresh a materialized view: MAINTAIN from 17 on, its owner's before */
#if PG_VERSION_NUM >= 170000
#define inval_server_may_maintain(relid, role) \
	(pg_class_aclcheck(relid, role, ACL_MAINTAIN) == ACLCHECK_OK)
#else
#define inval_server_may_maintain(relid, role)	inval_server_owns_relation(relid, role)
#endif

/*
 * Rights that a query needs: in a list of their own from 16 on, beside what the query
 * reads before.  An error if who runs it lacks one; whose rights count for a relation in
 * it, invalid for who runs it.
 */
#if PG_VERSION_NUM >= 160000
#define inval_server_check_query(query) \
	((void) ExecCheckPermissions((query)->rtable, (query)->rteperminfos, true))
#define inval_server_reads_as(query, entry) \
	((entry)->perminfoindex == 0 ? InvalidOid : \
	 getRTEPermissionInfo((query)->rteperminfos, entry)->checkAsUser)
#else
#define inval_server_check_query(query)			((void) ExecCheckRTPerms((query)->rtable, true))
#define inval_server_reads_as(query, entry)		((void) (query), (entry)->checkAsUser)
#endif

/* Whether this transaction, or a part of it, has given a table another file */
#if PG_VERSION_NUM >= 160000
#define inval_server_is_new_file(relation) \
	((relation)->rd_newRelfilelocatorSubid != InvalidSubTransactionId)
#else
#define inval_server_is_new_file(relation) \
	((relation)->rd_newRelfilenodeSubid != InvalidSubTransactionId)
#endif

/* Whether TRUNCATE of a foreign table fires triggers */
#define INVAL_SERVER_FOREIGN_TRUNCATE_TRIGGERS	(PG_VERSION_NUM >= 160000)

/* What hooks of settings hand to the server, which frees it: by an allocator of its own
 * from 16 on */
#if PG_VERSION_NUM >= 160000
#define inval_server_setting_allocate(size)		guc_malloc(LOG, size)
#define inval_server_setting_free(pointer)		guc_free(pointer)
#else
#define inval_server_setting_allocate(size)		malloc(size)
#define inval_server_setting_free(pointer)		free(pointer)
#endif

/* The parts of a qualified name; an error if it is none */
#if PG_VERSION_NUM >= 160000
#define inval_server_parts_of_name(name)		stringToQualifiedNameList(name, NULL)
#else
#define inval_server_parts_of_name(name)		stringToQualifiedNameList(name)
#endif

/* The number of a wait event: before 17 all of extensions have the same */
#if PG_VERSION_NUM >= 170000
#define inval_server_wait_event(name)			WaitEventExtensionNew(name)
#else
#define inval_server_wait_event(name)			((void) (name), PG_WAIT_EXTENSION)
#endif

/* Whether an action of ALTER TABLE gives a generated column another expression: from 17 on */
#if PG_VERSION_NUM >= 170000
#define inval_server_sets_expression(action)	((action)->subtype == AT_SetExpression)
#else
#define inval_server_sets_expression(action)	((void) (action), false)
#endif

/* Whether a foreign key is temporal (PERIOD), for which several rows may stand: from 18 on */
#if PG_VERSION_NUM >= 180000
#define inval_server_is_temporal(constraint)	((constraint)->conperiod)
#else
#define inval_server_is_temporal(constraint)	((void) (constraint), false)
#endif

/* Whether a column is generated when it is read, so that triggers do not see its value:
 * from 18 on */
#if PG_VERSION_NUM >= 180000
#define inval_server_is_virtual(attribute) \
	((attribute)->attgenerated == ATTRIBUTE_GENERATED_VIRTUAL)
#else
#define inval_server_is_virtual(attribute)		((void) (attribute), false)
#endif

/* A scan of all rows of a table, with nothing asked of it; 19 has flags for that */
#if PG_VERSION_NUM >= 190000
#define inval_server_scan(relation, snapshot) \
	table_beginscan(relation, snapshot, 0, NULL, SO_NONE)
#else
#define inval_server_scan(relation, snapshot) \
	table_beginscan(relation, snapshot, 0, NULL)
#endif

/* Removes a row without waiting for who is changing it, as TM_Result; 19 has options for
 * that */
#if PG_VERSION_NUM >= 190000
#define inval_server_delete(relation, tid, failure) \
	heap_delete(relation, tid, GetCurrentCommandId(true), 0, InvalidSnapshot, false, failure)
#else
#define inval_server_delete(relation, tid, failure) \
	heap_delete(relation, tid, GetCurrentCommandId(true), InvalidSnapshot, false, failure, false)
#endif

/* Has the scanner read texts as the standard says, whatever the session's settings: 19
 * knows no other way */
#if PG_VERSION_NUM >= 190000
#define inval_server_scan_standard(extra)		((void) (extra))
#else
#define inval_server_scan_standard(extra) \
	((extra)->standard_conforming_strings = true, (extra)->escape_string_warning = false)
#endif

#endif							/* INVAL_VERSION_SERVER_H */
