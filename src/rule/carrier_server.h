/*
 * carrier_server.h
 *		The rules of materialized views, which are foreign servers.
 */
#ifndef INVAL_CARRIER_SERVER_H
#define INVAL_CARRIER_SERVER_H

#include "rule/carrier_check.h"

extern List *inval_carrier_servers(List *list, Oid relation, InvalCarrierUnread *unread);
extern void inval_carrier_put_server(InvalDefinition *definition);
extern void inval_carrier_restored(Oid server);
extern void inval_carrier_adopt(void);
extern bool inval_carrier_is_current(const InvalDefinition *definition);

#endif							/* INVAL_CARRIER_SERVER_H */
