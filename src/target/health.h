/*
 * health.h
 *		What the processes of a server know of a target together.
 */
#ifndef INVAL_TARGET_HEALTH_H
#define INVAL_TARGET_HEALTH_H

#include "base/shared.h"

extern InvalTargetHealth *inval_target_health(const char *name);
extern void inval_target_forget_place(InvalTargetHealth *health);

#endif							/* INVAL_TARGET_HEALTH_H */
