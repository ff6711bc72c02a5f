/*
 * query_limit.h
 *		Queries of rules that a worker runs, and how long they may take.
 */
#ifndef INVAL_QUERY_LIMIT_H
#define INVAL_QUERY_LIMIT_H

/* Why a row is given up whose query has cost a process */
#define INVAL_LIMIT_OVERRUN		"the query does not let itself be canceled"

extern void inval_limit_lock_waits(void);
extern bool inval_limit_was_overrun(int64 id);
extern void inval_limit_begin(int64 id, int timeout_ms);
extern void inval_limit_end(void);
extern ErrorData *inval_limit_caught(MemoryContext context);
extern void inval_limit_forget_locks(void);

#endif							/* INVAL_QUERY_LIMIT_H */
