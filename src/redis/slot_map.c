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
 * the address among the further facts, and nodes may then call each other by
 * these names.
 *
 * A map has no pointers and a fixed size, so that what a MOVED says can be
 * noted in it where nothing may be allocated.
 */
#include "postgres.h"

#include "redis/slot_map.h"
#include "redis/url.h"

static bool map_read_range(InvalSlotMap *map, const InvalReply *range,
						   const char *asked_host, char *error, Size error_size);
static int	map_add(InvalSlotMap *map, const InvalReply *node, const char *asked_host);
static const char *map_fact(const InvalReply *node, const char *name);
static bool map_is_name(const char *text);

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
inval_slot_map_read(InvalSlotMap *map, const InvalReply *slots,
					const char *asked_host, char *error, Size error_size)
{
	int			i;

	inval_slot_map_clear(map);
	if (slots->type != INVAL_REPLY_LIST || slots->count == 0)
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
map_read_range(InvalSlotMap *map, const InvalReply *range,
			   const char *asked_host, char *error, Size error_size)
{
	int64		slot;
	int			node;

	if (range->type != INVAL_REPLY_LIST || range->count < 3 ||
		range->items[0].type != INVAL_REPLY_INTEGER ||
		range->items[1].type != INVAL_REPLY_INTEGER ||
		range->items[2].type != INVAL_REPLY_LIST || range->items[2].count < 2)
	{
		strlcpy(error, "the answer to CLUSTER SLOTS is not of the known form",
				error_size);
		return false;
	}
	node = map_add(map, &range->items[2], asked_host);
	if (node < 0)
	{
		snprintf(error, error_size,
				 "a node of the cluster has no numeric address, or there are more than %d",
				 INVAL_MAP_NODES);
		return false;
	}
	for (slot = Max(range->items[0].integer, 0);
		 slot <= Min(range->items[1].integer, INVAL_SLOTS - 1); slot++)
		map->owner[slot] = (uint8) node;
	return true;
}

/*
 * Adds a server by what it says of itself.  Its preferred endpoint is an address,
 * or a name, which goes with an address among the further facts; "?" is a name
 * that is not known, and nothing at all means the server that was asked.
 */
static int
map_add(InvalSlotMap *map, const InvalReply *node, const char *asked_host)
{
	const char *endpoint = inval_reply_text(node, 0);
	const char *host = endpoint;
	const char *name = map_fact(node, "hostname");
	int64		port = node->items[1].integer;
	int			number;

	if (endpoint == NULL || endpoint[0] == '\0')
		host = asked_host;
	else if (!inval_url_is_address(endpoint))
	{
		host = map_fact(node, "ip");
		name = endpoint;
	}
	number = host == NULL || port > 65535 ? -1 :
		inval_slot_map_add(map, host, (int) port);
	if (number >= 0 && name != NULL && map_is_name(name))
		strlcpy(map->node[number].name, name, INVAL_NODE_NAME_LEN);
	return number;
}

/*
 * One of the further facts about a server: a list of names and values, of which
 * version 7 says some.
 */
static const char *
map_fact(const InvalReply *node, const char *name)
{
	const InvalReply *facts = node->count > 3 ? &node->items[3] : NULL;
	int			i;

	for (i = 0; facts != NULL && i + 1 < facts->count; i += 2)
	{
		const char *fact = inval_reply_text(facts, i);

		if (fact != NULL && strcmp(fact, name) == 0)
			return inval_reply_text(facts, i + 1);
	}
	return NULL;
}

static bool
map_is_name(const char *text)
{
	const char *c;

	for (c = text; *c > ' ' && *c <= '~'; c++)
		;
	return *c == '\0' && text[0] != '\0' && strcmp(text, "?") != 0 &&
		strlen(text) < INVAL_NODE_NAME_LEN;
}

/*
 * The number of a server, by its address or its name; -1 if it is not known.
 * Cannot fail.
 */
int
inval_slot_map_find(const InvalSlotMap *map, const char *host, int port)
{
	int			i;

	for (i = 0; i < map->nodes; i++)
		if (map->node[i].port == port &&
			(strcmp(map->node[i].host, host) == 0 ||
			 (host[0] != '\0' && strcmp(map->node[i].name, host) == 0)))
			return i;
	return -1;
}

/*
 * The number of a server, which is added if it is new; -1 if its host is not
 * known and no numeric address, or there is no room.  The numbers of the others stay.
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
	map->node[found].name[0] = '\0';
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

/*
 * The node that another one, which has answered, means: by its address or its name;
 * without either, the one that has answered; and if the name is not known, perhaps
 * the only one with that port.  -1: nobody knows.
 */
int
inval_slot_map_meant(InvalSlotMap *map, int answered, const char *host, int port)
{
	int			found = -1;
	int			i;

	if (host[0] == '\0')
		return inval_slot_map_add(map, map->node[answered].host, port);
	if (strcmp(host, "?") != 0)
		return inval_slot_map_add(map, host, port);
	for (i = 0; i < map->nodes; i++)
		if (map->node[i].port == port)
		{
			if (found >= 0)
				return -1;
			found = i;
		}
	return found;
}
