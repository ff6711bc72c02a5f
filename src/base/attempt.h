/*
 * attempt.h
 *		Runs something that may fail without harm.
 */
#ifndef INVAL_ATTEMPT_H
#define INVAL_ATTEMPT_H

#include "utils/elog.h"

extern ErrorData *inval_attempt_anyhow(void (*apply) (void *arg), void *arg);
extern bool inval_attempt_is_servers(const ErrorData *error);
extern ErrorData *inval_attempt(void (*apply) (void *arg), void *arg);

#endif							/* INVAL_ATTEMPT_H */
