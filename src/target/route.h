/*
 * route.h
 *		A shipment to a cluster: what goes to which node.
 */
#ifndef INVAL_ROUTE_H
#define INVAL_ROUTE_H

#include "target/cluster.h"
#include "target/command.h"

typedef enum InvalRouteState
{
	INVAL_ROUTE_OPEN,			/* to be sent to the owner of the slot */
	INVAL_ROUTE_ASK,			/* to be sent to a node that is importing it */
	INVAL_ROUTE_LATER,			/* not before a pause */
	INVAL_ROUTE_CONFIRMED,
	INVAL_ROUTE_REFUSED
} InvalRouteState;

/* One entry, which is one command */
typedef struct InvalRouteItem
{
	Size		offset;			/* of the command, among all */
	int			length;
	uint16		slot;
	uint8		ask_node;		/* if it is to be asked */
	uint8		state;			/* an InvalRouteState */
} InvalRouteItem;

typedef struct InvalRoutePart InvalRoutePart;

typedef struct InvalRoute
{
	InvalCluster *cluster;
	InvalRouteItem *items;		/* one for each entry */
	int			count;
	int			max_count;
	char	  **errors;			/* why an item was refused; NULL: not kept */
	InvalRoutePart *parts;		/* what is sent in this round */
	int			nparts;
	int			confirmed;
	uint64		started;		/* this round, as inval_clock_us */
	bool		served;			/* a node took what it was sent */
	bool		failed;			/* a node could not be reached, or failed */
	char		error[INVAL_ERROR_LEN]; /* the first */
} InvalRoute;

extern InvalRoute *inval_route_create(InvalCluster *cluster);
extern void inval_route_add(InvalRoute *route, const char *key, Size key_length,
							Size offset, Size length);
extern void inval_route_keep_errors(InvalRoute *route);
extern bool inval_route_reach(InvalRoute *route, const char *commands,
							  uint64 deadline, bool patient);
extern void inval_route_deliver(InvalRoute *route, const char *commands,
								uint64 deadline);

/* Cannot fail: may be called after the commit record */
extern void inval_route_start(InvalRoute *route);
extern void inval_route_finish(InvalRoute *route, uint64 deadline, InvalWait wait);

#endif							/* INVAL_ROUTE_H */
