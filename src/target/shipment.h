/*
 * shipment.h
 *		Entries on their way to one target.
 */
#ifndef INVAL_SHIPMENT_H
#define INVAL_SHIPMENT_H

#include "target/action.h"
#include "target/target.h"

/* An entry that is yet to be added */
typedef struct InvalRanked
{
	uint64		rank;			/* as inval_shipment_rank gives it */
	Size		place;			/* by which the caller finds it, in their first order */
} InvalRanked;

typedef enum InvalOutcome
{
	INVAL_OUTCOME_OPEN,			/* not sent, or no reply: try again */
	INVAL_OUTCOME_CONFIRMED,
	INVAL_OUTCOME_REFUSED		/* the target refuses this very entry */
} InvalOutcome;

/* The number that stands for the reply to ASKING */
#define INVAL_PART_ASKING	(-1)
#define INVAL_PART_END		(-2)

/* What goes to one node in one round */
typedef struct InvalPart
{
	struct InvalShipment *shipment;
	int			node;
	InvalConnection *connection;	/* NULL: none */
	StringInfoData bytes;
	int		   *numbers;		/* which command each reply is about; NULL: all of
								 * them are, one after the other */
	int			count;
	int			max_count;
	int			next;			/* whose reply comes next */
	bool		refuses;		/* a reply said so of the node as a whole */
	char		error[INVAL_ERROR_LEN];
} InvalPart;

/* Entries on their way to one target */
typedef struct InvalShipment
{
	InvalTarget *target;
	InvalCommands commands;
	int			entries;
	InvalOutcome *outcomes;		/* one for each entry; see inval_shipment_init */
	char	  **errors;			/* why it was refused, else NULL */
	bool		detailed;
	bool		has_end;		/* its commands do: see delivery.c */
	char	  **command_errors; /* the same for each command */
	InvalPart  *parts;			/* what is sent to each node in this round */
	int			nparts;
	int			confirmed;		/* how many entries are */
	int			fences_lost;	/* that were to be ended, or taken once more, and
								 * were not there */
	MemoryContext keep;			/* for lists that are answers; NULL: there are none */
	InvalReply	list;			/* the last one */
	int64		number;			/* the last answer that was one */
	uint64		started;		/* when sending began, as inval_clock_us */
	bool		served;			/* a node took what it was sent */
	bool		failed;			/* a node could not be reached, or failed */
	bool		lost;			/* the target failed on the way */
	char		error[INVAL_ERROR_LEN]; /* the first */
} InvalShipment;

extern void inval_shipment_init(InvalShipment *shipment, InvalTarget *target,
								bool detailed);
extern void inval_shipment_add(InvalShipment *shipment, const InvalEntry *entry);
extern void inval_shipment_add_fence(InvalShipment *shipment, const InvalEntry *entry,
									 int life_ms);
extern void inval_shipment_add_end(InvalShipment *shipment, const InvalEntry *entry);
extern void inval_shipment_seal(InvalShipment *shipment);
extern uint64 inval_shipment_rank(const InvalEntry *entry);
extern void inval_shipment_sort(InvalRanked *entries, Size count);

/* Cannot fail: may be called after the commit record */
extern int	inval_shipment_connections(InvalShipment *shipment,
									   InvalConnection **connections, int max);
extern void inval_shipment_count(InvalShipment *shipment);
extern void inval_shipment_note_error(InvalShipment *shipment, const char *error);

#endif							/* INVAL_SHIPMENT_H */
