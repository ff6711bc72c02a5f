/*
 * activity.h
 *		What a worker does now, in pg_stat_activity.
 */
#ifndef INVAL_ACTIVITY_H
#define INVAL_ACTIVITY_H

extern void inval_activity_name(const char *name);
extern void inval_activity_busy(const char *format,...)
			__attribute__((format(printf, 1, 2)));
extern void inval_activity_idle(const char *format,...)
			__attribute__((format(printf, 1, 2)));

#endif							/* INVAL_ACTIVITY_H */
