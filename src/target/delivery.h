/*
 * delivery.h
 *		Sending invalidations and having them confirmed.
 */
#ifndef INVAL_DELIVERY_H
#define INVAL_DELIVERY_H

#include "target/shipment.h"

extern bool inval_shipment_send_singly(InvalShipment *shipment,
									   const InvalEntry *entries, InvalTarget *target);
extern bool inval_shipment_send(InvalShipment *shipment, uint64 deadline);
extern bool inval_shipment_reach(InvalShipment *shipment, uint64 deadline);

/* Cannot fail: may be called after the commit record */
extern void inval_shipment_rejoin(InvalShipment *shipment);
extern void inval_shipment_start(InvalShipment *shipment);
extern bool inval_shipment_finish(InvalShipment *shipment, uint64 deadline,
								  InvalWait wait);

extern bool inval_delivery_ping(InvalTarget *target, uint64 deadline);

#endif							/* INVAL_DELIVERY_H */
