/*
 * action.h
 *		Invalidations as Redis commands.
 */
#ifndef INVAL_ACTION_H
#define INVAL_ACTION_H

#include "base/entry.h"
#include "target/command.h"
#include "target/target.h"

extern void inval_action_add(InvalCommands *commands, const InvalTarget *target,
							 const InvalEntry *entry);
extern bool inval_action_is_for_worker(const InvalTarget *target, const InvalEntry *entry);
extern bool inval_action_is_alone(const InvalEntry *entry);
extern void inval_action_add_end(InvalCommands *commands, const InvalEntry *entry);
extern void inval_action_add_fence(InvalCommands *commands, const InvalEntry *entry,
								   int life_ms);

#endif							/* INVAL_ACTION_H */
