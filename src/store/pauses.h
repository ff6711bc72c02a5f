/*
 * pauses.h
 *		Rules that are paused: what they owe is held back.
 */
#ifndef INVAL_STORE_PAUSES_H
#define INVAL_STORE_PAUSES_H

#include "base/entry.h"

extern void inval_pauses_refresh(void);
extern bool inval_pauses_any(void);
extern uint64 inval_pauses_version(void);
extern bool inval_pauses_have(uint32 rule);
extern bool inval_pauses_hold(const InvalEntry *entry);
extern bool inval_pauses_put(uint32 rule);
extern bool inval_pauses_remove(uint32 rule);
extern void inval_pauses_rule_gone(uint32 rule);

#endif							/* INVAL_STORE_PAUSES_H */
