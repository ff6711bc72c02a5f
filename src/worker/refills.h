/*
 * refills.h
 *		Values that the worker puts back at keys that were invalidated.
 */
#ifndef INVAL_REFILLS_H
#define INVAL_REFILLS_H

#include "outbox/outbox.h"
#include "target/target.h"

typedef struct InvalRefills InvalRefills;

extern InvalRefills *inval_refills_create(InvalTarget *target);
extern bool inval_refills_meet(InvalRefills *refills, const InvalOutboxRow *row,
							   TimestampTz now);
extern bool inval_refills_run(InvalRefills *refills);

#endif							/* INVAL_REFILLS_H */
