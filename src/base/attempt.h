/*
 * attempt.h
 *		Code whose error is not to be its caller's.
 */
#ifndef INVAL_ATTEMPT_H
#define INVAL_ATTEMPT_H

extern ErrorData *inval_attempt(void (*run) (void *arg), void *arg);

#endif							/* INVAL_ATTEMPT_H */
