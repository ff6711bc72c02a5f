/*
 * delivery.c
 *		Sending invalidations and having them confirmed.
 *
 * The one engine that the commit callback, the worker and inval_drain use.  A
 * shipment is filled and sealed while errors are allowed; sending it allocates
 * nothing and raises nothing when interrupts are held, and leaves an outcome
 * for each entry.
 *
 * An error reply is about the entry (a wrong type, a key that an ACL forbids)
 * or about the target as a whole (loading, read-only, out of memory): the
 * second opens the breaker, the first concerns nobody else.  Where several
 * keys went in one command, none of them is confirmed by an error; the worker
 * then sends them one by one.
 *
 * To a cluster each entry is a command of its own and goes to the node of its
 * slot (route.c).  There such an error concerns that node, and the target is
 * down when it has no other.
 */
#include "postgres.h"

#include "base/settings.h"
#include "redis/error.h"
#include "target/address.h"
#include "target/breaker.h"
#include "target/delivery.h"

/*
 * How long the worker waits for a reply before it looks whether another server
 * has become the master: where one froze, no reply ever comes.
 */
#define LOOK_INTERVAL_US	500000

/* A commit with so few entries takes a round trip and no more. */
#define FEW_ENTRIES			100

static void delivery_add_routed(InvalShipment *shipment, const InvalEntry *entry);
static bool delivery_finish_routed(InvalShipment *shipment, InvalTarget *target);
static bool delivery_await(InvalTarget *target, uint64 deadline, InvalWait wait,
						   bool *moved);
static void delivery_handle_reply(const InvalReply *reply, void *arg);
static bool delivery_is_about_target(const char *error);

/*
 * Starts an empty shipment to a target, whose nodes must be known if it is a
 * cluster (inval_target_connect), in the current memory context.  A detailed one
 * keeps the reason of each refusal, which allocates: for interruptible sending
 * only.
 */
void
inval_shipment_init(InvalShipment *shipment, InvalTarget *target, bool detailed)
{
	memset(shipment, 0, sizeof(*shipment));
	inval_commands_init(&shipment->commands);
	if (inval_url_is_cluster(&target->url))
		shipment->route = inval_route_create(target->cluster);
	shipment->detailed = detailed;
}

/*
 * Adds an entry, whose bytes must stay until the shipment is sealed.
 */
void
inval_shipment_add(InvalShipment *shipment, const InvalEntry *entry)
{
	if (shipment->route != NULL)
		delivery_add_routed(shipment, entry);
	else
		inval_commands_add(&shipment->commands, entry);
	shipment->entries++;
}

static void
delivery_add_routed(InvalShipment *shipment, const InvalEntry *entry)
{
	InvalCommands *commands = &shipment->commands;
	const StringInfoData *bytes = &commands->pipeline.bytes;
	Size		offset = (Size) bytes->len;

	inval_commands_add(commands, entry);
	inval_commands_finish(commands);
	inval_route_add(shipment->route, entry->key, entry->key_length, offset,
					(Size) bytes->len - offset);
}

/*
 * The same, in a command of its own.
 */
void
inval_shipment_add_alone(InvalShipment *shipment, const InvalEntry *entry)
{
	inval_commands_finish(&shipment->commands);
	inval_shipment_add(shipment, entry);
	inval_commands_finish(&shipment->commands);
}

/*
 * Makes a shipment ready to be sent.
 */
void
inval_shipment_seal(InvalShipment *shipment)
{
	inval_commands_finish(&shipment->commands);
	if (!shipment->detailed)
		return;
	shipment->outcomes = palloc0(Max(shipment->entries, 1) * sizeof(InvalOutcome));
	shipment->errors = palloc0(Max(shipment->entries, 1) * sizeof(char *));
	if (shipment->route != NULL)
		inval_route_keep_errors(shipment->route);
}

/*
 * Sends a shipment over the target's connection, which must be there.  Returns
 * true if every entry was confirmed.  Keeps the target's health up to date.
 * Interruptible.
 */
bool
inval_shipment_send(InvalShipment *shipment, InvalTarget *target, uint64 deadline)
{
	if (shipment->route != NULL)
	{
		inval_route_deliver(shipment->route, shipment->commands.pipeline.bytes.data,
							deadline);
		return delivery_finish_routed(shipment, target);
	}
	inval_shipment_start(shipment, target);
	return inval_shipment_finish(shipment, target, deadline, INVAL_WAIT_INTERRUPTIBLE);
}

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
	InvalShipment alone;
	int		   *numbers;
	int			i;

	if (inval_shipment_send(shipment, target, inval_clock_us() + timeout_us))
		return true;
	if (shipment->lost)
		return false;
	/* To a cluster each went alone. */
	if (shipment->route != NULL)
		return true;

	numbers = palloc(shipment->entries * sizeof(int));
	inval_shipment_init(&alone, target, true);
	for (i = 0; i < shipment->entries; i++)
	{
		if (shipment->outcomes[i] != INVAL_OUTCOME_REFUSED)
			continue;
		numbers[alone.entries] = i;
		inval_shipment_add_alone(&alone, &entries[i]);
	}
	inval_shipment_seal(&alone);
	if (alone.entries == 0)
		return true;
	(void) inval_shipment_send(&alone, target, inval_clock_us() + timeout_us);
	for (i = 0; i < alone.entries; i++)
	{
		shipment->outcomes[numbers[i]] = alone.outcomes[i];
		shipment->errors[numbers[i]] = alone.errors[i];
	}
	return !alone.lost;
}

/*
 * The same in steps, for a commit.  The first connects to the nodes of a
 * cluster that the sealed shipment goes to.  Returns false if there is nobody
 * to send it to.  Interruptible.
 */
bool
inval_shipment_reach(InvalShipment *shipment, InvalTarget *target, uint64 deadline)
{
	if (shipment->route == NULL ||
		inval_route_reach(shipment->route, shipment->commands.pipeline.bytes.data,
						  deadline, false))
		return true;
	(void) delivery_finish_routed(shipment, target);
	return false;
}

/*
 * The second: sends what can be sent without waiting.  Cannot fail.
 */
void
inval_shipment_start(InvalShipment *shipment, InvalTarget *target)
{
	const InvalPipeline *commands = &shipment->commands.pipeline;

	if (shipment->route != NULL)
	{
		inval_route_start(shipment->route);
		return;
	}
	shipment->started = inval_clock_us();
	inval_redis_start(target->connection, commands->bytes.data, commands->bytes.len,
					  commands->count, delivery_handle_reply, shipment);
}

/*
 * The third: the rest, and the replies.  With INVAL_WAIT_HELD it cannot fail.
 */
bool
inval_shipment_finish(InvalShipment *shipment, InvalTarget *target,
					  uint64 deadline, InvalWait wait)
{
	bool		moved = false;
	bool		done;

	if (shipment->route != NULL)
	{
		inval_route_finish(shipment->route, deadline, wait);
		return delivery_finish_routed(shipment, target);
	}
	done = delivery_await(target, deadline, wait, &moved);
	if (shipment->target_refuses)
		inval_target_failed(target, shipment->error);
	else if (done)
	{
		uint64		round_trip_us = inval_clock_us() - shipment->started;

		/* What a large set takes says nothing of the others. */
		if (wait == INVAL_WAIT_HELD && shipment->entries <= FEW_ENTRIES)
			inval_target_measured(target, round_trip_us);
		inval_target_succeeded(target, shipment->confirmed, round_trip_us);
	}
	else
	{
		bool		busy = inval_redis_made_progress(target->connection) &&
			inval_clock_us() >= deadline;
		bool		closed = inval_redis_was_closed(target->connection);

		strlcpy(shipment->error, inval_redis_error(target->connection),
				sizeof(shipment->error));
		/*
		 * Out of time in the midst of a large set is no outage, nor is a
		 * connection that the server had closed before, or a server that is
		 * not our target any more.
		 */
		if (busy || closed || moved)
			inval_target_disconnect(target);
		else
			inval_target_failed(target, shipment->error);
	}
	shipment->lost = target->connection == NULL;
	return shipment->confirmed == shipment->entries;
}

/*
 * What became of a shipment to a cluster.  Cannot fail.
 */
static bool
delivery_finish_routed(InvalShipment *shipment, InvalTarget *target)
{
	InvalRoute *route = shipment->route;
	int			i;

	shipment->confirmed = route->confirmed;
	strlcpy(shipment->error, route->error, sizeof(shipment->error));
	if (shipment->detailed)
		for (i = 0; i < shipment->entries; i++)
		{
			if (route->items[i].state == INVAL_ROUTE_CONFIRMED)
				shipment->outcomes[i] = INVAL_OUTCOME_CONFIRMED;
			else if (route->items[i].state == INVAL_ROUTE_REFUSED)
			{
				shipment->outcomes[i] = INVAL_OUTCOME_REFUSED;
				shipment->errors[i] = route->errors[i];
			}
		}

	if (route->failed && inval_cluster_has_lost_all(route->cluster))
	{
		inval_target_failed(target, shipment->error);
		shipment->lost = true;
	}
	else if (route->served)
		inval_target_succeeded(target, route->confirmed,
							   inval_clock_us() - route->started);
	return shipment->confirmed == shipment->entries;
}

/*
 * Waits for the replies.  Who may wait for long, and for a master that may have
 * been replaced meanwhile, looks at intervals whether it was.
 */
static bool
delivery_await(InvalTarget *target, uint64 deadline, InvalWait wait, bool *moved)
{
	for (;;)
	{
		uint64		until = deadline;

		if (wait == INVAL_WAIT_INTERRUPTIBLE && inval_address_next_question(target) != 0)
			until = Min(deadline, inval_clock_us() + LOOK_INTERVAL_US);
		if (inval_redis_finish(target->connection, until, wait))
			return true;
		if (until == deadline || !inval_redis_is_waiting(target->connection))
			return false;
		*moved = inval_address_has_moved(target);
		if (*moved)
			return false;
	}
}

static void
delivery_handle_reply(const InvalReply *reply, void *arg)
{
	InvalShipment *shipment = arg;
	int			entries = shipment->commands.pipeline.items[shipment->next_command++];
	int			i;

	if (reply->type == INVAL_REPLY_OK)
		shipment->confirmed += entries;
	else
	{
		if (shipment->error[0] == '\0')
			strlcpy(shipment->error, reply->text, sizeof(shipment->error));
		if (delivery_is_about_target(reply->text))
			shipment->target_refuses = true;
	}

	if (shipment->detailed)
		for (i = shipment->next_entry; i < shipment->next_entry + entries; i++)
		{
			if (reply->type == INVAL_REPLY_OK)
				shipment->outcomes[i] = INVAL_OUTCOME_CONFIRMED;
			else if (!delivery_is_about_target(reply->text))
			{
				shipment->outcomes[i] = INVAL_OUTCOME_REFUSED;
				shipment->errors[i] = pstrdup(reply->text);
			}
		}
	shipment->next_entry += entries;
}

/*
 * Whether an error reply would meet any other entry too.
 */
static bool
delivery_is_about_target(const char *error)
{
	InvalErrorKind kind = inval_error_kind(error);

	return kind == INVAL_ERROR_SERVER || kind == INVAL_ERROR_LATER;
}

/*
 * Asks the target for a sign of life.  Does not close the breaker, since a
 * server that answers may still refuse writes; on failure opens it.
 */
bool
inval_delivery_ping(InvalTarget *target, uint64 deadline)
{
	InvalShipment shipment;
	InvalPipeline *commands = &shipment.commands.pipeline;
	uint64		start = inval_clock_us();
	bool		done;

	/* Its nodes have just been asked for the map. */
	if (inval_url_is_cluster(&target->url))
		return true;
	inval_shipment_init(&shipment, target, false);
	inval_pipeline_ping(commands);
	done = inval_redis_exchange(target->connection, commands->bytes.data,
								commands->bytes.len, commands->count, deadline,
								INVAL_WAIT_INTERRUPTIBLE,
								delivery_handle_reply, &shipment);
	if (!done)
		inval_target_failed(target, inval_redis_error(target->connection));
	else if (shipment.error[0] != '\0')
		inval_target_failed(target, shipment.error);
	else
	{
		inval_target_measured(target, inval_clock_us() - start);
		inval_pipeline_free(commands);
		return true;
	}
	inval_pipeline_free(commands);
	return false;
}
