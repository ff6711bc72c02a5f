/*
 * rights.h
 *		What roles may do with relations and other objects.
 */
#ifndef INVAL_RIGHTS_H
#define INVAL_RIGHTS_H

#include "access/attnum.h"

extern bool inval_rights_is_owner(Oid relid);
extern Oid	inval_rights_owner(Oid class, Oid object);
extern bool inval_rights_may_refresh(Oid relid);
extern bool inval_rights_see_keys(void);
extern void inval_rights_check_owner(Oid relid);
extern void inval_rights_check_read(Oid relid, AttrNumber column, Oid role);
extern void inval_rights_check_all_rows(Oid relid, Oid role);

#endif							/* INVAL_RIGHTS_H */
