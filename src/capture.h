/*
 * capture.h
 *		From a changed row to the invalidations it owes.
 */
#ifndef INVAL_CAPTURE_H
#define INVAL_CAPTURE_H

#include "rule.h"

extern bool inval_capture_render(InvalRule *rule, TupleTableSlot *row,
								 InvalEntry *entry);

#endif							/* INVAL_CAPTURE_H */
