/*
 * relook.h
 *		Look-ups that are made once more after their transaction has committed.
 */
#ifndef INVAL_RELOOK_H
#define INVAL_RELOOK_H

#include "datatype/timestamp.h"

extern bool inval_relook(void);
extern uint64 inval_relook_in_transaction(TimestampTz deadline, bool *in_time);

#endif							/* INVAL_RELOOK_H */
