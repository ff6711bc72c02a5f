/*
 * slot_map.h
 *		Which server of a Redis Cluster has which slot.
 */
#ifndef INVAL_SLOT_MAP_H
#define INVAL_SLOT_MAP_H

#include "redis/reader.h"
#include "redis/slot.h"

/* Most servers in a map, and the mark of a slot that nobody has */
#define INVAL_MAP_NODES		250
#define INVAL_NO_NODE		255

#define INVAL_NODE_HOST_LEN	48
#define INVAL_NODE_NAME_LEN	256

typedef struct InvalNode
{
	char		host[INVAL_NODE_HOST_LEN];	/* a numeric address */
	char		name[INVAL_NODE_NAME_LEN];	/* what others may call it; empty: none */
	int			port;
} InvalNode;

typedef struct InvalSlotMap
{
	int			nodes;
	InvalNode	node[INVAL_MAP_NODES];
	uint8		owner[INVAL_SLOTS]; /* a node's number, or INVAL_NO_NODE */
} InvalSlotMap;

extern void inval_slot_map_clear(InvalSlotMap *map);
extern bool inval_slot_map_read(InvalSlotMap *map, const InvalReply *slots,
								const char *asked_host,
								char *error, Size error_size);
extern int	inval_slot_map_find(const InvalSlotMap *map, const char *host, int port);
extern int	inval_slot_map_add(InvalSlotMap *map, const char *host, int port);
extern int	inval_slot_map_meant(InvalSlotMap *map, int answered, const char *host,
								 int port);
extern bool inval_slot_map_same(const InvalSlotMap *a, const InvalSlotMap *b);

#endif							/* INVAL_SLOT_MAP_H */
