/*
 * forget.h
 *		Forgets a database.
 */
#ifndef INVAL_FORGET_H
#define INVAL_FORGET_H

extern void inval_forget_database(Oid database);

#endif							/* INVAL_FORGET_H */
