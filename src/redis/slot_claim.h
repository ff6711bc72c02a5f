/*
 * slot_claim.h
 *		Which slots a node of a Redis Cluster says are its own.
 */
#ifndef INVAL_SLOT_CLAIM_H
#define INVAL_SLOT_CLAIM_H

#include "redis/reader.h"
#include "redis/slot_map.h"

/* A node to which the one that was asked is moving slots */
typedef void (*InvalSlotHeir) (const char *host, int port, void *arg);

typedef struct InvalSlotClaim
{
	uint64		state;			/* a hash of all that it says of its slots, and of its
								 * epoch; not 0 */
	bool		imports;		/* slots are being moved to it */
	bool		claimed[INVAL_SLOTS];	/* by those whose answers were read into this */
} InvalSlotClaim;

extern bool inval_slot_claim_read(InvalSlotClaim *claim, const InvalReply *nodes,
								  InvalSlotHeir heir, void *arg,
								  char *error, Size error_size);

#endif							/* INVAL_SLOT_CLAIM_H */
