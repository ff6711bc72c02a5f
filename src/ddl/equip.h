/*
 * equip.h
 *		The triggers of what DDL has created or altered.
 */
#ifndef INVAL_DDL_EQUIP_H
#define INVAL_DDL_EQUIP_H


extern void inval_ddl_equip(Oid relid);
extern void inval_ddl_equip_created(Oid relid);
extern void inval_ddl_enable(Oid relid);

#endif							/* INVAL_DDL_EQUIP_H */
