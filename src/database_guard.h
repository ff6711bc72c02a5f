/*
 * database_guard.h
 *		Keeps the worker out of the way of those who want a database alone.
 */
#ifndef INVAL_DATABASE_GUARD_H
#define INVAL_DATABASE_GUARD_H

extern void inval_database_guard_init(void);

#endif							/* INVAL_DATABASE_GUARD_H */
