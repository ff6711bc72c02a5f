/*
 * slot_map.c
 *		Which server of a Redis Cluster has which slot.
 *
 * Read from the answer to CLUSTER SLOTS: a list of [first slot, last slot,
 * primary, replica, ...], each server being [host, port, id, further facts].
 * Only primaries matter to us.
 *
 * Servers are known by numeric addresses, since resolving a name has no
 * deadline.  A cluster that announces names (cluster-announce-hostname) says
 * the address among the further facts.
 *
 * A map has no pointers and a fixed size, so that what a MOVED says can be
 * noted in it where nothing may be allocated.
 */
#include "postgres.h"

#include "redis/slot_map.h"
#include "redis/url.h"

static bool map_read_range(InvalSlotMap *map, const InvalAnswer *range,
						   const char *asked_host, char *error, Size error_size);
static const char *map_host(const InvalAnswer *node, const char *asked_host);

/*
 * Makes a map of no servers.
 */
void
inval_slot_map_clear(InvalSlotMap *map)
{
	map->nodes = 0;
	memset(map->owner, INVAL_NO_NODE, sizeof(map->owner));
}

/*
 * Reads the answer to CLUSTER SLOTS.  "asked_host" is the address of the
 * server that gave it, which stands in where that does not know its own.
 * Returns false and a message if the answer makes no sense.
 */
bool
inval_slot_map_read(InvalSlotMap *map, const InvalAnswer *slots,
					const char *asked_host, char *error, Size error_size)
{
	int			i;

	inval_slot_map_clear(map);
	if (slots->type != INVAL_ANSWER_LIST || slots->count == 0)
	{
		strlcpy(error, "no node of the cluster serves a slot", error_size);
		return false;
	}
	for (i = 0; i < slots->count; i++)
		if (!map_read_range(map, &slots->items[i], asked_host, error, error_size))
			return false;
	return true;
}

static bool
map_read_range(InvalSlotMap *map, const InvalAnswer *range,
			   const char *asked_host, char *error, Size error_size)
{
	const InvalAnswer *primary;
	const char *host;
	int64		first;
	int64		last;
	int64		slot;
	int			node;

	if (range->type != INVAL_ANSWER_LIST || range->count < 3 ||
		range->items[2].type != INVAL_ANSWER_LIST || range->items[2].count < 2)
	{
		strlcpy(error, "the answer to CLUSTER SLOTS is not of the known form",
				error_size);
		return false;
	}
	first = range->items[0].integer;
	last = range->items[1].integer;
	primary = &range->items[2];
	host = map_host(primary, asked_host);
	node = inval_slot_map_add(map, host, (int) primary->items[1].integer);
	if (node < 0)
	{
		snprintf(error, error_size,
				 "a node of the cluster has no numeric address, or there are more than %d",
				 INVAL_MAP_NODES);
		return false;
	}
	for (slot = Max(first, 0); slot <= Min(last, INVAL_SLOTS - 1); slot++)
		map->owner[slot] = (uint8) node;
	return true;
}

/*
 * The address of a server: its preferred endpoint, or if that is a name, the
 * "ip" that follows.  No or an unknown endpoint means the one that was asked.
 */
static const char *
map_host(const InvalAnswer *node, const char *asked_host)
{
	const char *host = node->items[0].text;
	int			i;

	if (host == NULL || host[0] == '\0' || strcmp(host, "?") == 0)
		return asked_host;
	if (inval_url_is_address(host) || node->count < 4)
		return host;
	for (i = 0; i + 1 < node->items[3].count; i += 2)
	{
		const char *name = node->items[3].items[i].text;
		const char *value = node->items[3].items[i + 1].text;

		if (name != NULL && value != NULL && strcmp(name, "ip") == 0)
			return value;
	}
	return host;
}

/*
 * The number of a server, or -1.  Cannot fail.
 */
int
inval_slot_map_find(const InvalSlotMap *map, const char *host, int port)
{
	int			i;

	for (i = 0; i < map->nodes; i++)
		if (map->node[i].port == port && strcmp(map->node[i].host, host) == 0)
			return i;
	return -1;
}

/*
 * The number of a server, which is added if it is new; -1 if its host is no
 * numeric address or there is no room.  The numbers of the others stay.
 * Raises no error and allocates nothing.
 */
int
inval_slot_map_add(InvalSlotMap *map, const char *host, int port)
{
	int			found = inval_slot_map_find(map, host, port);

	if (found >= 0)
		return found;
	if (map->nodes == INVAL_MAP_NODES || !inval_url_is_address(host) ||
		strlen(host) >= INVAL_NODE_HOST_LEN || port <= 0 || port > 65535)
		return -1;
	found = map->nodes++;
	strlcpy(map->node[found].host, host, INVAL_NODE_HOST_LEN);
	map->node[found].port = port;
	return found;
}

/*
 * Whether two maps say the same of every slot, whatever numbers they give to
 * the servers.
 */
bool
inval_slot_map_same(const InvalSlotMap *a, const InvalSlotMap *b)
{
	int			slot;

	for (slot = 0; slot < INVAL_SLOTS; slot++)
	{
		uint8		mine = a->owner[slot];
		uint8		other = b->owner[slot];

		if (mine == INVAL_NO_NODE || other == INVAL_NO_NODE)
		{
			if (mine != other)
				return false;
		}
		else if (a->node[mine].port != b->node[other].port ||
				 strcmp(a->node[mine].host, b->node[other].host) != 0)
			return false;
	}
	return true;
}
