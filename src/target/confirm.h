/*
 * confirm.h
 *		What the replies to a shipment confirm.
 */
#ifndef INVAL_CONFIRM_H
#define INVAL_CONFIRM_H

#include "target/shipment.h"

/* With errors kept they allocate; else they cannot fail */
extern bool inval_confirm_reply(const InvalReply *reply, void *part);
extern void inval_confirm_take_back(InvalPart *part);
extern void inval_confirm_too_large(InvalPart *part);
extern void inval_confirm_chains(InvalShipment *shipment);
extern bool inval_confirm_is_redirected(const InvalShipment *shipment);
extern void inval_confirm_refuse_redirected(InvalShipment *shipment);

#endif							/* INVAL_CONFIRM_H */
