/*
 * counters.h
 *		Gives back the counters of rules that are gone.
 */
#ifndef INVAL_COUNTERS_H
#define INVAL_COUNTERS_H

extern void inval_counters_tidy(void);

#endif							/* INVAL_COUNTERS_H */
