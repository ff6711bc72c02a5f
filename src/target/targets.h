/*
 * targets.h
 *		The targets of this database, by name and by number.
 */
#ifndef INVAL_TARGETS_H
#define INVAL_TARGETS_H

#include "target/target.h"

#define INVAL_DEFAULT_TARGET	"default"

extern int32 inval_target_number(const char *name);
extern void inval_targets_refresh(void);
extern InvalTarget *inval_targets(void);
extern InvalTarget *inval_target_default(void);
extern InvalTarget *inval_target_by_number(int32 number);
extern InvalTarget *inval_target_by_name(const char *name, bool missing_ok);

#endif							/* INVAL_TARGETS_H */
