/*
 * variable.h
 *		Variables of key templates.
 */
#ifndef INVAL_VARIABLE_H
#define INVAL_VARIABLE_H

/* Longest name of a variable, in bytes */
#define INVAL_VARIABLE_NAME_LENGTH	40

/* The option of a variable in the store that has its values */
#define INVAL_VARIABLE_OPTION		"values"

/*
 * Locks on inval_variable_lock_relation().  Neither conflicts with reading the
 * view, each conflicts with the other.
 */
#define INVAL_VARIABLE_LOCK_RENDER	RowExclusiveLock
#define INVAL_VARIABLE_LOCK_SET		ShareRowExclusiveLock

extern int	inval_variable_values(const char *name, char ***values);
extern bool inval_variable_is_set(const char *name);
extern Oid	inval_variable_lock_relation(void);

#endif							/* INVAL_VARIABLE_H */
