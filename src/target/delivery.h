/*
 * delivery.h
 *		Sending invalidations and having them confirmed.
 */
#ifndef INVAL_DELIVERY_H
#define INVAL_DELIVERY_H

#include "target/command.h"
#include "target/route.h"
#include "target/target.h"

typedef enum InvalOutcome
{
	INVAL_OUTCOME_OPEN,			/* not sent, or no reply: try again */
	INVAL_OUTCOME_CONFIRMED,
	INVAL_OUTCOME_REFUSED		/* the target refuses this very entry */
} InvalOutcome;

/* Entries on their way to one target */
typedef struct InvalShipment
{
	InvalCommands commands;
	int			entries;
	int			max_entries;
	InvalOutcome *outcomes;		/* one for each entry; see inval_shipment_init */
	char	  **errors;			/* why it was refused, else NULL */
	bool		detailed;
	int			confirmed;		/* how many entries are */
	int			next_command;	/* whose reply comes next */
	int			next_entry;		/* the first that it stands for */
	uint64		started;		/* when sending began, as inval_clock_us */
	InvalRoute *route;			/* to the nodes of a cluster; else NULL */
	bool		lost;			/* the target failed on the way */
	bool		target_refuses; /* a reply said so of the target as a whole */
	char		error[INVAL_ERROR_LEN]; /* the first */
} InvalShipment;

extern void inval_shipment_init(InvalShipment *shipment, InvalTarget *target,
								bool detailed);
extern void inval_shipment_add(InvalShipment *shipment, const InvalEntry *entry);
extern void inval_shipment_add_alone(InvalShipment *shipment, const InvalEntry *entry);
extern void inval_shipment_seal(InvalShipment *shipment);
extern bool inval_shipment_send_singly(InvalShipment *shipment,
									   const InvalEntry *entries, InvalTarget *target);
extern bool inval_shipment_reach(InvalShipment *shipment, InvalTarget *target,
								 uint64 deadline);
extern void inval_shipment_start(InvalShipment *shipment, InvalTarget *target);
extern bool inval_shipment_finish(InvalShipment *shipment, InvalTarget *target,
								  uint64 deadline, InvalWait wait);
extern bool inval_shipment_send(InvalShipment *shipment, InvalTarget *target,
								uint64 deadline);
extern bool inval_delivery_ping(InvalTarget *target, uint64 deadline);

#endif							/* INVAL_DELIVERY_H */
