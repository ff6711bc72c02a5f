/*
 * audits.h
 *		Audits that a worker makes by itself.
 */
#ifndef INVAL_AUDITS_H
#define INVAL_AUDITS_H

#include "target/target.h"

extern bool inval_audits_run(InvalTarget *target);
extern TimestampTz inval_audits_next(const InvalTarget *target);

#endif							/* INVAL_AUDITS_H */
