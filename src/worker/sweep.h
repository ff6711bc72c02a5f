/*
 * sweep.h
 *		Keeps the tables of the outbox small.
 */
#ifndef INVAL_SWEEP_H
#define INVAL_SWEEP_H

extern bool inval_sweep(void);

#endif							/* INVAL_SWEEP_H */
