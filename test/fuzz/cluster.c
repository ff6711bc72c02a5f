/*
 * cluster.c
 *		The map of a cluster, from what a server says of it: each slot's owner is one
 *		of its nodes, or nobody.
 */
#include "postgres.h"

#include "redis/slot_map.h"
#include "redis/url.h"
#include "version/server.h"
#include "replies.h"
#include "stubs.h"

static void
check_map(InvalSlotMap *map)
{
	int			i;

	FUZZ_CHECK(map->nodes >= 0 && map->nodes <= INVAL_MAP_NODES);
	for (i = 0; i < map->nodes; i++)
	{
		InvalNode  *node = &map->node[i];

		FUZZ_CHECK(memchr(node->host, '\0', INVAL_NODE_HOST_LEN) != NULL &&
				   memchr(node->name, '\0', INVAL_NODE_NAME_LEN) != NULL);
		FUZZ_CHECK(inval_url_is_address(node->host));
		FUZZ_CHECK(node->port > 0 && node->port <= 65535);
		FUZZ_CHECK(inval_slot_map_find(map, node->host, node->port) >= 0);
	}
	for (i = 0; i < INVAL_SLOTS; i++)
		FUZZ_CHECK(map->owner[i] == INVAL_NO_NODE || map->owner[i] < map->nodes);
}

static void
read_map(const InvalReply *reply, void *arg)
{
	InvalSlotMap *map = arg;
	char		error[200];
	char		host[INVAL_NODE_HOST_LEN];
	int			slot;
	int			port;

	memset(error, 'x', sizeof(error));
	if (reply->type == INVAL_REPLY_ERROR)
	{
		/* One that the map before may know */
		if (map->nodes > 0 && inval_error_names(reply->text, &slot, host, sizeof(host), &port))
			FUZZ_CHECK(inval_slot_map_meant(map, slot % map->nodes, host, port) < map->nodes);
	}
	else if (!inval_slot_map_read(map, reply, "127.0.0.1", error, sizeof(error)))
		FUZZ_CHECK(memchr(error, '\0', sizeof(error)) != NULL);
	FUZZ_CHECK(inval_slot_map_same(map, map));
	check_map(map);
}

int
LLVMFuzzerTestOneInput(const uint8 *bytes, size_t length)
{
	static InvalSlotMap map;

	inval_slot_map_clear(&map);
	(void) fuzz_replies(bytes, length, Max(length, 1), true, read_map, &map);
	fuzz_forget();
	return 0;
}
