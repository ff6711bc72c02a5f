/*
 * vitals.h
 *		What the servers of a target say of themselves.
 */
#ifndef INVAL_VITALS_H
#define INVAL_VITALS_H

#include "target/target.h"

extern void inval_vitals_look(InvalTarget *target);

#endif							/* INVAL_VITALS_H */
