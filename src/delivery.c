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
 */
#include "postgres.h"

#include "delivery.h"

static void delivery_handle_reply(const InvalReply *reply, void *arg);
static bool delivery_is_about_target(const char *error);

/*
 * Starts an empty shipment in the current memory context.  A detailed one
 * keeps the reason of each refusal, which allocates: for interruptible sending
 * only.
 */
void
inval_shipment_init(InvalShipment *shipment, bool detailed)
{
	memset(shipment, 0, sizeof(*shipment));
	inval_commands_init(&shipment->commands);
	shipment->detailed = detailed;
}

/*
 * Adds an entry, whose bytes must stay until the shipment is sealed.
 */
void
inval_shipment_add(InvalShipment *shipment, const InvalEntry *entry)
{
	inval_commands_add(&shipment->commands, entry);
	shipment->entries++;
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
}

/*
 * Sends a shipment over the target's connection, which must be there.  Returns
 * true if every entry was confirmed.  Keeps the target's health up to date.
 * With INVAL_WAIT_HELD it cannot fail.
 */
bool
inval_shipment_send(InvalShipment *shipment, InvalTarget *target,
					uint64 deadline, InvalWait wait)
{
	inval_shipment_start(shipment, target);
	return inval_shipment_finish(shipment, target, deadline, wait);
}

/*
 * The first half: what can be sent without waiting.  Cannot fail.
 */
void
inval_shipment_start(InvalShipment *shipment, InvalTarget *target)
{
	InvalCommands *commands = &shipment->commands;

	shipment->started = inval_clock_us();
	inval_redis_start(target->connection, commands->bytes.data, commands->bytes.len,
					  commands->count, delivery_handle_reply, shipment);
}

/*
 * The second half: the rest, and the replies.
 */
bool
inval_shipment_finish(InvalShipment *shipment, InvalTarget *target,
					  uint64 deadline, InvalWait wait)
{
	bool		done = inval_redis_finish(target->connection, deadline, wait);

	if (shipment->target_refuses)
		inval_target_failed(target, shipment->error);
	else if (done)
		inval_target_succeeded(target, shipment->confirmed,
							   inval_clock_us() - shipment->started);
	else
	{
		bool		busy = inval_redis_made_progress(target->connection) &&
			inval_clock_us() >= deadline;
		bool		closed = inval_redis_was_closed(target->connection);

		strlcpy(shipment->error, inval_redis_error(target->connection),
				sizeof(shipment->error));
		/*
		 * Out of time in the midst of a large set is no outage, nor is a
		 * connection that the server had closed before.
		 */
		if (busy || closed)
			inval_target_disconnect(target);
		else
			inval_target_failed(target, shipment->error);
	}
	return shipment->confirmed == shipment->entries;
}

static void
delivery_handle_reply(const InvalReply *reply, void *arg)
{
	InvalShipment *shipment = arg;
	int			entries = shipment->commands.entries[shipment->next_command++];
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
	static const char *const prefixes[] = {
		"LOADING ", "READONLY ", "OOM ", "NOAUTH ", "WRONGPASS ", "MISCONF ",
		"MASTERDOWN ", "NOREPLICAS ", "BUSY ", "CLUSTERDOWN ", "TRYAGAIN ",
		"ERR max number of clients"
	};
	Size		i;

	for (i = 0; i < lengthof(prefixes); i++)
		if (strncmp(error, prefixes[i], strlen(prefixes[i])) == 0)
			return true;

	/* An ACL forbids the command itself, as opposed to one of the keys. */
	return strncmp(error, "NOPERM ", 7) == 0 && strstr(error, " to run the ") != NULL;
}

/*
 * Asks the target for a sign of life.  Does not close the breaker, since a
 * server that answers may still refuse writes; on failure opens it.
 */
bool
inval_delivery_ping(InvalTarget *target, uint64 deadline)
{
	InvalShipment shipment;
	InvalCommands *commands = &shipment.commands;
	bool		done;

	inval_shipment_init(&shipment, false);
	inval_commands_ping(commands);
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
		inval_commands_free(commands);
		return true;
	}
	inval_commands_free(commands);
	return false;
}
