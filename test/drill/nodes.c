/*
 * nodes.c
 *		The Redis servers that the reader asks: one, one of several, a Cluster.
 *
 * This knows nothing of what inval knows about them: it asks whom it believes
 * to have the key and learns from the answers.  Those who do not answer within
 * a moment are asked again a moment later.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include "common.h"
#include "nodes.h"

#define MAX_NODES	16
#define SLOTS		16384

/* A reader gives up on a server after this, and leaves it alone for a while. */
#define CONNECT_MS	100
#define ANSWER_MS	500
#define AVOID_US	20000

typedef struct Node
{
	char		address[100];
	redisContext *context;		/* NULL: not connected */
	double		avoid_until;
} Node;

static Arrangement arrangement;
static Node nodes[MAX_NODES];
static int	nodes_count;
static unsigned char node_of_slot[SLOTS];	/* otherwise the first is everything */

void
nodes_set(Arrangement how, int count, char **addresses)
{
	arrangement = how;
	if (count > MAX_NODES)
		die("more than %d Redis servers", MAX_NODES);
	for (int i = 0; i < count; i++)
		snprintf(nodes[i].address, sizeof(nodes[i].address), "%s", addresses[i]);
	nodes_count = count;
}

/* CRC16 as in the specification of Redis Cluster; our keys have no braces. */
static int
slot_of(const char *key)
{
	unsigned	crc = 0;

	if (arrangement != CLUSTER)
		return 0;
	for (; *key != '\0'; key++)
	{
		crc ^= (unsigned) (unsigned char) *key << 8;
		for (int bit = 0; bit < 8; bit++)
			crc = (crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1) & 0xffff;
	}
	return crc % SLOTS;
}

static void
disconnect(Node *node)
{
	if (node->context != NULL)
		redisFree(node->context);
	node->context = NULL;
	node->avoid_until = now_us() + AVOID_US;
}

/* Whatever this node had, another may have. */
static void
look_elsewhere(Node *node)
{
	int			number = (int) (node - nodes);

	disconnect(node);
	for (int slot = 0; slot < SLOTS; slot++)
		if (node_of_slot[slot] == number)
			node_of_slot[slot] = (unsigned char) ((number + 1) % nodes_count);
}

static bool
is_primary(redisContext *context)
{
	redisReply *reply = redisCommand(context, "ROLE");
	bool		primary = reply != NULL && reply->type == REDIS_REPLY_ARRAY &&
		reply->elements > 0 && strcmp(reply->element[0]->str, "master") == 0;

	if (reply != NULL)
		freeReplyObject(reply);
	return primary;
}

/* False if it cannot be reached, or should not be asked now. */
static bool
connect_node(Node *node)
{
	struct timeval connecting = {.tv_usec = CONNECT_MS * 1000};
	struct timeval answering = {.tv_usec = ANSWER_MS * 1000};
	const char *colon = strrchr(node->address, ':');

	if (node->context != NULL)
		return true;
	if (now_us() < node->avoid_until)
		return false;
	if (colon == NULL)
		node->context = redisConnectUnixWithTimeout(node->address, connecting);
	else
	{
		char		host[100];

		snprintf(host, sizeof(host), "%.*s", (int) (colon - node->address),
				 node->address);
		node->context = redisConnectWithTimeout(host, atoi(colon + 1), connecting);
	}
	if (node->context != NULL && node->context->err == 0 &&
		redisSetTimeout(node->context, answering) == REDIS_OK &&
		(arrangement != PRIMARY || is_primary(node->context)))
		return true;
	look_elsewhere(node);
	return false;
}

static void
append_command(redisContext *context, const Ask *ask)
{
	if (ask->value < 0)
		redisAppendCommand(context, "GET %s", ask->key);
	else
		redisAppendCommand(context, "SET %s %d", ask->key, ask->value);
}

/* The node that "MOVED 42 127.0.0.1:7001" or "ASK ..." names, or NULL. */
static Node *
named_node(const char *text)
{
	const char *address = strrchr(text, ' ');

	for (int i = 0; address != NULL && i < nodes_count; i++)
		if (strcmp(nodes[i].address, address + 1) == 0)
			return &nodes[i];
	return NULL;
}

/* What a reply says about this key; those that redirect are remembered. */
static void
read_reply(Ask *ask, const redisReply *reply)
{
	Node	   *other;

	ask->outcome = DONE_VALUE;
	ask->number = 0;
	if (reply->type == REDIS_REPLY_NIL)
		ask->outcome = DONE_NIL;
	else if (reply->type == REDIS_REPLY_STRING)
		ask->number = atoi(reply->str);
	else if (reply->type == REDIS_REPLY_ERROR)
	{
		ask->outcome = NOT_DONE;
		other = named_node(reply->str);
		if (strncmp(reply->str, "MOVED ", 6) == 0 && other != NULL)
			node_of_slot[slot_of(ask->key)] = (unsigned char) (other - nodes);
	}
}

/* While a slot moves, a key that has left is found where ASK says. */
static void
follow_ask(Ask *ask, const char *text)
{
	Node	   *other = named_node(text);
	redisReply *reply;
	void	   *asking;

	if (other == NULL || ask->value >= 0 || !connect_node(other))
		return;
	redisAppendCommand(other->context, "ASKING");
	append_command(other->context, ask);
	if (redisGetReply(other->context, &asking) != REDIS_OK)
	{
		disconnect(other);
		return;
	}
	freeReplyObject(asking);
	if (redisGetReply(other->context, (void **) &reply) != REDIS_OK)
	{
		disconnect(other);
		return;
	}
	read_reply(ask, reply);
	freeReplyObject(reply);
}

/* All replies of one node, in the order of the questions. */
static void
read_replies(Node *node, Ask **sent, int count)
{
	bool		demoted = false;

	for (int i = 0; i < count; i++)
	{
		redisReply *reply;

		if (redisGetReply(node->context, (void **) &reply) != REDIS_OK)
		{
			look_elsewhere(node);
			return;
		}
		read_reply(sent[i], reply);
		if (reply->type == REDIS_REPLY_ERROR)
		{
			demoted = demoted || strncmp(reply->str, "READONLY", 8) == 0;
			if (strncmp(reply->str, "ASK ", 4) == 0)
				follow_ask(sent[i], reply->str);
		}
		freeReplyObject(reply);
	}
	if (demoted)
		look_elsewhere(node);
}

/* One node after another: what it is asked, and its answers. */
void
nodes_ask(Ask *asks, int count)
{
	Ask		  **sent = calloc(count, sizeof(Ask *));
	unsigned char *at = malloc(count);

	for (int i = 0; i < count; i++)
		at[i] = node_of_slot[slot_of(asks[i].key)];
	for (int number = 0; number < nodes_count; number++)
	{
		Node	   *node = &nodes[number];
		int			sent_count = 0;

		for (int i = 0; i < count; i++)
		{
			if (at[i] != number)
				continue;
			asks[i].outcome = NOT_DONE;
			if (!connect_node(node))
				continue;
			append_command(node->context, &asks[i]);
			asks[i].outcome = UNKNOWN;
			sent[sent_count++] = &asks[i];
		}
		if (sent_count > 0)
			read_replies(node, sent, sent_count);
	}
	free(sent);
	free(at);
}
