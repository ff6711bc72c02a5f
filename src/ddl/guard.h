/*
 * guard.h
 *		What happens when a table with a guarded column is not tracked.
 */
#ifndef INVAL_GUARD_H
#define INVAL_GUARD_H

/* Options of a guard in the store */
#define INVAL_GUARD_COLUMN	"column"
#define INVAL_GUARD_MODE		"mode"
#define INVAL_GUARD_EXEMPT		"exempt"

/* Modes */
#define INVAL_GUARD_OFF		"off"
#define INVAL_GUARD_WARN		"warn"
#define INVAL_GUARD_ERROR		"error"
#define INVAL_GUARD_TRACK		"track"

extern void inval_guard_check(Oid relid);
extern void inval_guard_restored(Oid server);

#endif							/* INVAL_GUARD_H */
