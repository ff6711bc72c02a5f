/*
 * delivery.c
 *		Sending invalidations and having them confirmed.
 *
 * The one engine that the commit callback, the worker and inval_drain use.
 *
 * A round: the commands that are still to be sent are gathered by node (which
 * connects to those nodes), sent to all of them, and the replies of all read.  A
 * commit makes one round, of which only sending and reading come after the commit
 * record.  To a cluster the worker makes more, as long as nodes point to others:
 * MOVED is noted in the map, so that the next round goes to the right node; ASK
 * sends that one command to the node that is importing the slot, after ASKING.
 * What is left after that waits for the next look at the outbox.
 *
 * Who sends more replies than he was asked for, or one twice, would have commands
 * confirmed that he has not got yet.  Most answers are numbers and look alike; so where
 * several commands go together, a PING goes behind them, whose answer looks like none of
 * theirs, and has to come at its place.
 *
 * What replies mean is in confirm.c.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "base/settings.h"
#include "redis/await.h"
#include "target/address.h"
#include "target/breaker.h"
#include "target/cluster.h"
#include "target/confirm.h"
#include "target/delivery.h"
#include "target/lost_node.h"
#include "target/reach.h"

StaticAssertDecl(INVAL_MAP_NODES <= INVAL_AWAIT_MAX, "all nodes are waited for at once");

/*
 * A slot that is moved once more while we follow it is rare; this many moves
 * are not followed at once.
 */
#define ROUNDS			5

#define ASKING			"*1\r\n$6\r\nASKING\r\n"

/*
 * How long the worker waits for a reply before it looks whether another server
 * has become the master: where one froze, no reply ever comes; and whether others
 * complain as well.
 */
#define LOOK_INTERVAL_US	500000

/* A commit with so few entries takes a round trip and no more. */
#define FEW_ENTRIES			100

static bool delivery_reach_single(InvalShipment *shipment);
static InvalPart *delivery_add_part(InvalShipment *shipment, int node);
static void delivery_part_add(InvalPart *part, const char *bytes, Size length, int command);
static int	delivery_node_of(InvalShipment *shipment, int number);
static int	delivery_owner_of(InvalShipment *shipment, InvalCommand *command);
static void delivery_await(InvalShipment *shipment, uint64 deadline, InvalWait wait);
static void delivery_look(InvalShipment *shipment);
static void delivery_finish_part(InvalShipment *shipment, InvalPart *part,
								 InvalWait wait);
static void delivery_settle(InvalShipment *shipment);

/*
 * Sends a detailed shipment of these entries, until inval.reply_timeout, and what
 * was refused together with others once more, each by itself: an error concerns a
 * whole command, and somebody is to blame.  Returns false if the target failed on
 * the way.  Interruptible.
 */
bool
inval_shipment_send_singly(InvalShipment *shipment, const InvalEntry *entries,
						   InvalTarget *target)
{
	uint64		timeout_us = (uint64) inval_reply_timeout * 1000;
	const InvalCommands *commands = &shipment->commands;
	InvalShipment alone;
	int		   *numbers;
	InvalCommand **of;
	int			number = 0;
	int			i;
	int			k;

	if (inval_shipment_send(shipment, inval_clock_us() + timeout_us))
		return true;
	if (shipment->lost)
		return false;

	numbers = palloc(shipment->entries * sizeof(int));
	of = palloc(shipment->entries * sizeof(InvalCommand *));
	inval_shipment_init(&alone, target, true);
	for (i = 0; i < commands->pipeline.count; i++)
	{
		InvalCommand *command = &commands->commands[i];

		for (k = 0; k < command->entries; k++, number++)
			if (command->entries > 1 && command->state == INVAL_COMMAND_REFUSED)
			{
				numbers[alone.entries] = number;
				of[alone.entries] = command;
				inval_shipment_add(&alone, &entries[number]);
				inval_commands_finish(&alone.commands);
			}
	}
	inval_shipment_seal(&alone);
	if (alone.entries == 0)
		return true;
	(void) inval_shipment_send(&alone, inval_clock_us() + timeout_us);
	for (i = 0; i < alone.entries; i++)
	{
		shipment->outcomes[numbers[i]] = alone.outcomes[i];
		shipment->errors[numbers[i]] = alone.errors[i];
		/* Each is one command. */
		of[i]->removed += alone.commands.commands[i].removed;
	}
	return !alone.lost;
}

/*
 * Sends a shipment, in as many rounds as are of use within one deadline.  Returns
 * true if every entry was confirmed.  Keeps the target's health up to date.
 * Interruptible.
 */
bool
inval_shipment_send(InvalShipment *shipment, uint64 deadline)
{
	bool		done = false;
	int			round;

	for (round = 0; round < ROUNDS; round++)
	{
		uint64		connect_deadline = inval_clock_us() +
			(uint64) inval_connect_timeout * 1000;

		if (!inval_shipment_reach(shipment, Min(deadline, connect_deadline)))
			return false;
		inval_shipment_start(shipment);
		done = inval_shipment_finish(shipment, deadline, INVAL_WAIT_INTERRUPTIBLE);
		if (!inval_confirm_is_redirected(shipment) || shipment->lost ||
			inval_clock_us() >= deadline)
			return done;
	}
	inval_confirm_refuse_redirected(shipment);
	delivery_settle(shipment);
	return false;
}

/*
 * The same in steps, for a commit.  The first gathers what is to be sent, and
 * connects to the nodes of a cluster that it goes to.  Returns false if there is
 * nobody to send it to.  Interruptible.
 */
bool
inval_shipment_reach(InvalShipment *shipment, uint64 deadline)
{
	InvalTarget *target = shipment->target;
	InvalCommands *commands = &shipment->commands;
	int			part_of[INVAL_MAP_NODES];
	int			nodes[INVAL_MAP_NODES] = {0};
	int			count = 0;
	bool		sendable = false;
	int			i;

	if (!commands->routed)
		return delivery_reach_single(shipment);

	memset(part_of, -1, sizeof(part_of));
	for (i = 0; i < commands->pipeline.count; i++)
	{
		int			node = delivery_node_of(shipment, i);

		if (node < 0 || part_of[node] >= 0)
			continue;
		part_of[node] = count;
		nodes[count++] = node;
	}
	inval_reach_nodes(target, nodes, count, deadline);

	shipment->nparts = 0;
	shipment->parts = palloc(Max(count, 1) * sizeof(InvalPart));
	for (i = 0; i < count; i++)
	{
		InvalPart  *part = delivery_add_part(shipment, nodes[i]);

		sendable |= part->connection != NULL;
		if (part->connection == NULL)
		{
			shipment->failed = true;
			inval_shipment_note_error(shipment, "a node of the cluster is lost");
			/* Who tries lost nodes also finds out who takes their place. */
			if (target->cluster->may_probe)
				target->cluster->stale = true;
		}
	}
	for (i = 0; i < commands->pipeline.count; i++)
	{
		InvalCommand *command = &commands->commands[i];
		int			node = delivery_node_of(shipment, i);
		InvalPart  *part = node >= 0 ? &shipment->parts[part_of[node]] : NULL;

		if (node < 0)
			continue;
		if (part->connection == NULL)
		{
			command->state = INVAL_COMMAND_LATER;
			continue;
		}
		if (command->state == INVAL_COMMAND_ASK)
			delivery_part_add(part, ASKING, strlen(ASKING), INVAL_PART_ASKING);
		delivery_part_add(part, commands->pipeline.bytes.data + command->offset,
						  (Size) command->length, i);
	}
	for (i = 0; i < shipment->nparts; i++)
		if (shipment->parts[i].count > 1)
			delivery_part_add(&shipment->parts[i], INVAL_PING, strlen(INVAL_PING),
							  INVAL_PART_END);
	if (!sendable)
		delivery_settle(shipment);
	return sendable;
}

/*
 * The same for a single server: all there is, as it is.
 */
static bool
delivery_reach_single(InvalShipment *shipment)
{
	const InvalPipeline *pipeline = &shipment->commands.pipeline;
	InvalPart  *part;

	shipment->nparts = 0;
	shipment->parts = palloc(sizeof(InvalPart));
	part = delivery_add_part(shipment, 0);
	part->bytes = pipeline->bytes;
	part->count = pipeline->count + (shipment->has_end ? 1 : 0);
	shipment->lost = part->connection == NULL;
	return !shipment->lost;
}

static InvalPart *
delivery_add_part(InvalShipment *shipment, int node)
{
	InvalPart  *part = &shipment->parts[shipment->nparts++];

	memset(part, 0, sizeof(*part));
	part->shipment = shipment;
	part->node = node;
	part->connection = *inval_reach_place(shipment->target, node);
	return part;
}

static void
delivery_part_add(InvalPart *part, const char *bytes, Size length, int command)
{
	if (part->numbers == NULL)
	{
		initStringInfo(&part->bytes);
		part->max_count = 16;
		part->numbers = palloc(part->max_count * sizeof(int));
	}
	appendBinaryStringInfo(&part->bytes, bytes, (int) length);
	if (part->count == part->max_count)
	{
		part->max_count *= 2;
		part->numbers = repalloc_huge(part->numbers, part->max_count * sizeof(int));
	}
	part->numbers[part->count++] = command;
}

/*
 * The node that a command is to be sent to now, or -1.  One that others go before
 * waits until those are confirmed, unless it is behind them on the same way.
 */
static int
delivery_node_of(InvalShipment *shipment, int number)
{
	InvalCommand *command = &shipment->commands.commands[number];
	int			node = delivery_owner_of(shipment, command);

	command->held = node >= 0 && number > 0 && command[-1].leads &&
		command[-1].state != INVAL_COMMAND_CONFIRMED &&
		(command[-1].held || delivery_owner_of(shipment, command - 1) != node);
	return command->held ? -1 : node;
}

/*
 * The same, whatever goes before it.
 */
static int
delivery_owner_of(InvalShipment *shipment, InvalCommand *command)
{
	InvalCluster *cluster = shipment->target->cluster;
	int			node = cluster->map.owner[command->slot];

	if (command->state == INVAL_COMMAND_ASK)
		node = command->ask_node;
	else if (command->state != INVAL_COMMAND_OPEN)
		return -1;
	if (node != INVAL_NO_NODE && node < cluster->map.nodes)
		return node;
	/* It will have an owner, and then the map will be another. */
	cluster->stale = true;
	command->state = INVAL_COMMAND_LATER;
	inval_shipment_note_error(shipment, "no node of the cluster serves the key's slot");
	return -1;
}

/*
 * What was gathered when other things were still to be sent over the same
 * connections: those that have failed meanwhile are of no use.
 */
void
inval_shipment_rejoin(InvalShipment *shipment)
{
	int			i;

	for (i = 0; i < shipment->nparts; i++)
	{
		InvalConnection *connection = *inval_reach_place(shipment->target,
														 shipment->parts[i].node);

		if (connection != NULL && connection->state != INVAL_CONNECTION_READY)
			connection = NULL;
		shipment->parts[i].connection = connection;
	}
}

/*
 * The second: sends what can be sent without waiting.
 */
void
inval_shipment_start(InvalShipment *shipment)
{
	int			i;

	shipment->started = inval_clock_us();
	for (i = 0; i < shipment->nparts; i++)
	{
		InvalPart  *part = &shipment->parts[i];

		if (part->connection == NULL)
			continue;
		inval_connection_start(part->connection, part->bytes.data, (Size) part->bytes.len,
							   part->count, inval_confirm_reply, part);
		part->connection->reader.context = shipment->keep;
	}
}

/*
 * The third: the rest, and the replies.  Returns true if every entry was
 * confirmed.  With INVAL_WAIT_HELD it cannot fail.
 */
bool
inval_shipment_finish(InvalShipment *shipment, uint64 deadline, InvalWait wait)
{
	int			i;

	delivery_await(shipment, deadline, wait);
	for (i = 0; i < shipment->nparts; i++)
		if (shipment->parts[i].connection != NULL)
			delivery_finish_part(shipment, &shipment->parts[i], wait);
	delivery_settle(shipment);
	return shipment->confirmed == shipment->entries;
}

/*
 * Waits for the replies.  Who may wait for long looks about at intervals.
 */
static void
delivery_await(InvalShipment *shipment, uint64 deadline, InvalWait wait)
{
	InvalConnection *connections[INVAL_AWAIT_MAX];
	int			count = inval_shipment_connections(shipment, connections, INVAL_AWAIT_MAX);

	while (wait == INVAL_WAIT_INTERRUPTIBLE)
	{
		uint64		until = inval_clock_us() + LOOK_INTERVAL_US;

		if (until >= deadline)
			break;
		if (inval_await_until(connections, count, until, wait))
			return;
		delivery_look(shipment);
	}
	inval_await(connections, count, deadline, wait);
}

/*
 * Nothing came for a while: is there another master, or do others wait in vain,
 * too?
 */
static void
delivery_look(InvalShipment *shipment)
{
	InvalTarget *target = shipment->target;
	int			i;

	for (i = 0; i < shipment->nparts; i++)
	{
		InvalPart  *part = &shipment->parts[i];
		InvalConnection *connection = part->connection;

		if (connection == NULL || connection->state != INVAL_CONNECTION_BUSY ||
			connection->progress)
			continue;
		if (!shipment->commands.routed)
		{
			inval_target_doubted(target, INVAL_NO_ANSWER);
			if (inval_address_next_question(target) != 0 && inval_address_has_moved(target))
			{
				inval_connection_give_up(connection);
				connection->fault = INVAL_FAULT_NONE;
			}
		}
		else
		{
			const InvalNode *node = &target->cluster->map.node[part->node];

			if (inval_target_shares_health(target) &&
				inval_lost_node_is_doubted(target->health, node->host, node->port))
				inval_cluster_node_failed(target, part->node, INVAL_FAULT_SERVER,
										  INVAL_NO_ANSWER, 0);
		}
	}
}

/*
 * Notes how a node is.
 */
static void
delivery_finish_part(InvalShipment *shipment, InvalPart *part, InvalWait wait)
{
	InvalTarget *target = shipment->target;
	InvalConnection *connection = part->connection;
	uint64		took = inval_clock_us() - shipment->started;

	part->connection = NULL;
	if (connection->out_of_step)
		inval_confirm_take_back(part);
	if (shipment->keep != NULL && strcmp(connection->error, INVAL_REPLY_TOO_LARGE) == 0)
	{
		/* It is what we have asked for, and no outage. */
		inval_confirm_too_large(part);
		connection->fault = INVAL_FAULT_NONE;
	}
	if (part->refuses || connection->state != INVAL_CONNECTION_READY)
	{
		InvalFault	fault = part->refuses ? INVAL_FAULT_SERVER : connection->fault;
		const char *error = part->refuses ? part->error : connection->error;

		inval_shipment_note_error(shipment, error);
		shipment->lost |= !shipment->commands.routed;
		if (fault == INVAL_FAULT_NONE)
		{
			*inval_reach_place(target, part->node) = NULL;
			inval_connection_close(connection);
			return;
		}
		shipment->failed = true;
		inval_reach_failed(target, part->node, fault, error, took);
		return;
	}
	shipment->served = true;
	if (shipment->commands.routed && inval_target_shares_health(target))
		inval_lost_node_serves(target->health, target->cluster->map.node[part->node].host,
							   target->cluster->map.node[part->node].port);
	/* What a large set takes says nothing of the others. */
	else if (wait == INVAL_WAIT_HELD && shipment->entries <= FEW_ENTRIES)
		inval_target_measured(target, took);
}

/*
 * What became of it all.
 */
static void
delivery_settle(InvalShipment *shipment)
{
	InvalTarget *target = shipment->target;
	int			confirmed = shipment->confirmed;

	inval_confirm_chains(shipment);
	inval_shipment_count(shipment);
	if (shipment->commands.routed && shipment->failed && inval_cluster_has_lost_all(target))
	{
		inval_target_failed(target, INVAL_FAULT_SERVER, shipment->error);
		shipment->lost = true;
	}
	else if (shipment->served)
		inval_target_succeeded(target, (uint64) Max(shipment->confirmed - confirmed, 0),
							   inval_clock_us() - shipment->started);
	shipment->served = false;
}

/*
 * Asks the target for a sign of life.  Does not close the breaker, since a
 * server that answers may still refuse writes; on failure opens it.
 */
bool
inval_delivery_ping(InvalTarget *target, uint64 deadline)
{
	const char *words[] = {"PING"};
	uint64		start = inval_clock_us();
	char		error[INVAL_ERROR_LEN];
	InvalConnection *connection = target->connection;
	MemoryContext context;
	bool		well;

	/* Its nodes have just been asked for the map. */
	if (inval_url_is_cluster(&target->url))
		return true;
	/* Of its own: the worker asks again and again, and has none that is given back. */
	context = AllocSetContextCreate(CurrentMemoryContext, "inval ping", ALLOCSET_SMALL_SIZES);
	well = inval_await_answer(connection, context, lengthof(words), words,
							  deadline, error, sizeof(error)) != NULL ||
		(connection->state == INVAL_CONNECTION_READY &&
		 connection->answer->kind != INVAL_ERROR_SERVER);
	MemoryContextDelete(context);
	if (!well)
	{
		inval_target_failed(target, connection->state == INVAL_CONNECTION_FAILED ?
							connection->fault : INVAL_FAULT_SERVER, error);
		return false;
	}
	inval_target_measured(target, inval_clock_us() - start);
	return true;
}
