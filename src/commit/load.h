/*
 * load.h
 *		What is sent at commit, as a shipment.
 */
#ifndef INVAL_LOAD_H
#define INVAL_LOAD_H

#include "commit/pending.h"
#include "target/shipment.h"

extern void inval_load_set(InvalShipment *shipment, const InvalOwed *owed, Size length,
						   FullTransactionId xid);

#endif							/* INVAL_LOAD_H */
