/*
 * rights.h
 *		What the current user may do with a relation.
 */
#ifndef INVAL_RIGHTS_H
#define INVAL_RIGHTS_H

extern bool inval_rights_is_owner(Oid relid);
extern bool inval_rights_may_refresh(Oid relid);
extern void inval_rights_check_owner(Oid relid);

#endif							/* INVAL_RIGHTS_H */
