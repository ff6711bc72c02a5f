/*
 * usage.h
 *		Who may have keys of a target invalidated.
 */
#ifndef INVAL_USAGE_H
#define INVAL_USAGE_H

#include "target/target.h"

extern void inval_target_check_key(const InvalTarget *target, const InvalEntry *entry);
extern void inval_target_check_usage(Oid role, const char *target);
extern void inval_target_grant_usage(Oid role, const char *target);

#endif							/* INVAL_USAGE_H */
