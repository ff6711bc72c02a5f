/*
 * backlog.h
 *		Bounds what a long outage of a target leaves in the queue.
 */
#ifndef INVAL_BACKLOG_H
#define INVAL_BACKLOG_H

#include "target/target.h"

extern void inval_backlog_begin(const InvalTarget *target);
extern bool inval_backlog_watch(InvalTarget *target);
extern void inval_backlog_relax(void);

#endif							/* INVAL_BACKLOG_H */
