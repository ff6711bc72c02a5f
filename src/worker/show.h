/*
 * show.h
 *		What a worker does, for others to see.
 */
#ifndef INVAL_SHOW_H
#define INVAL_SHOW_H

#include "worker/pass.h"
#include "worker/removal.h"

extern void inval_show_delivery(InvalPass *pass, bool goes_on);
extern void inval_show_idle(InvalTarget *target, const InvalRemoval *removal);

#endif							/* INVAL_SHOW_H */
