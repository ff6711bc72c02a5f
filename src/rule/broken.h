/*
 * broken.h
 *		Rules that cannot be applied.
 */
#ifndef INVAL_BROKEN_H
#define INVAL_BROKEN_H

extern bool inval_rule_is_broken_by(const ErrorData *error);
extern void inval_rule_warn_broken(uint32 id, const char *reason);

#endif							/* INVAL_BROKEN_H */
