/*
 * moment.h
 *		Whether a function that asks targets about a rule may be called now.
 */
#ifndef INVAL_MOMENT_H
#define INVAL_MOMENT_H

extern void inval_moment_check(const char *function);
extern void inval_moment_check_rule(int32 rule);

#endif							/* INVAL_MOMENT_H */
