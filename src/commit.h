/*
 * commit.h
 *		What happens when a transaction ends.
 */
#ifndef INVAL_COMMIT_H
#define INVAL_COMMIT_H

#include "entry.h"

extern void inval_commit_init(void);
extern void inval_commit_begin(void);
extern bool inval_commit_queue(InvalLane lane, const InvalEntry *entry);

#endif							/* INVAL_COMMIT_H */
