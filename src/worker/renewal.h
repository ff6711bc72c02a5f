/*
 * renewal.h
 *		Fences of transactions that take long, or have left them.
 */
#ifndef INVAL_RENEWAL_H
#define INVAL_RENEWAL_H

#include "target/target.h"

extern bool inval_renewal_look(InvalTarget *target);
extern long inval_renewal_wait_ms(void);

#endif							/* INVAL_RENEWAL_H */
