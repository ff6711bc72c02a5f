/*
 * address.h
 *		Where a target is now.
 */
#ifndef INVAL_ADDRESS_H
#define INVAL_ADDRESS_H

#include "target/target.h"

extern bool inval_address_is_questionable(InvalTarget *target);
extern bool inval_address_find(InvalTarget *target, uint64 deadline, bool may_resolve,
							   InvalUrl *url, uint32 *mark,
							   char *error, Size error_size);
extern bool inval_address_has_moved(InvalTarget *target);
extern bool inval_address_has_changed(const InvalTarget *target);	/* cannot fail */
extern uint64 inval_address_next_question(const InvalTarget *target);

#endif							/* INVAL_ADDRESS_H */
