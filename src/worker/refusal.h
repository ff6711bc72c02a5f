/*
 * refusal.h
 *		Entries that their target refuses by themselves.
 */
#ifndef INVAL_REFUSAL_H
#define INVAL_REFUSAL_H

#include "base/shared.h"

extern bool inval_refusal_is_due(int64 id, TimestampTz now);
extern void inval_refusal_note(int64 id, const char *error);
extern void inval_refusal_forget(int64 id);
extern bool inval_refusal_find(int64 id, InvalRefusal *copy);

#endif							/* INVAL_REFUSAL_H */
