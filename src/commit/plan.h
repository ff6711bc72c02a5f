/*
 * plan.h
 *		What a transaction owes, on its way through the commit.
 */
#ifndef INVAL_COMMIT_PLAN_H
#define INVAL_COMMIT_PLAN_H

/* Before the commit record; they may raise errors */
extern void inval_plan_prepare(void);
extern void inval_plan_prepare_two_phase(void);
extern void inval_plan_late(void);

/* After it; they cannot fail */
extern bool inval_plan_send(void);
extern void inval_plan_finish(void);
extern void inval_plan_forget(void);

#endif							/* INVAL_COMMIT_PLAN_H */
