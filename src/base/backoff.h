/*
 * backoff.h
 *		How long to pause after failures.
 */
#ifndef INVAL_BACKOFF_H
#define INVAL_BACKOFF_H

extern uint64 inval_backoff_us(uint32 attempts, uint64 first_us, uint64 max_us);

#endif							/* INVAL_BACKOFF_H */
