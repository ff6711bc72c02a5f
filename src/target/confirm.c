/*
 * confirm.c
 *		What the replies to a shipment confirm.
 *
 * To what removes, the number of keys or fields that are gone is the answer, and
 * nothing else is (command.h has what is to others): a reply that could not have
 * been given to the command shows that replies and commands do not go together any
 * more, and then none of those that came with it is believed.
 *
 * An error reply is about the entry (a wrong type, a key that an ACL forbids) or
 * about the server as a whole (loading, read-only): the second concerns all others,
 * the first nobody else.  That a command is not known or not allowed, or that there
 * is no memory for what it adds, is about the server if it was a removal, and else
 * about the entry: removals go on.  Where several keys went in one command, none of
 * them is confirmed by an error; the worker then sends them one by one.
 */
#include "postgres.h"

#include "target/cluster.h"
#include "target/confirm.h"
#include "target/library.h"

#define OUT_OF_MEMORY	"OOM "
#define NO_RIGHT		"NOPERM "

static int	confirm_number(const InvalPart *part, int i);
static bool confirm_end(InvalPart *part, const InvalReply *reply);
static bool confirm_is_answer(const InvalCommand *command, const InvalReply *reply);
static void confirm_error(InvalPart *part, int number, const InvalReply *reply);
static void confirm_refuse(InvalShipment *shipment, int number, const char *error);
static void confirm_redirect(InvalPart *part, int number, const InvalReply *reply);
static void confirm_chain(InvalShipment *shipment, int first, int last);
static void confirm_refuse_chain(InvalShipment *shipment, int first, int last, int refused);
static bool confirm_is_removal(const InvalShipment *shipment, int number);

/*
 * A reply: notes what became of its command.  Returns false if it is none to it.
 */
bool
inval_confirm_reply(const InvalReply *reply, void *arg)
{
	InvalPart  *part = arg;
	int			number = confirm_number(part, part->next++);
	InvalCommand *command;

	if (number == INVAL_PART_END)
		return confirm_end(part, reply);
	if (number == INVAL_PART_ASKING)
		return reply->type == INVAL_REPLY_TEXT || reply->type == INVAL_REPLY_ERROR;
	command = &part->shipment->commands.commands[number];
	if (reply->kind == INVAL_ERROR_PING)
		return false;
	if (reply->type == INVAL_REPLY_ERROR)
	{
		confirm_error(part, number, reply);
		return true;
	}
	if (!confirm_is_answer(command, reply))
		return false;
	if (command->has_fence && reply->integer == command->fence_answer)
		part->shipment->fences_lost++;
	if (command->answer == INVAL_ANSWER_LIST)
		part->shipment->list = *reply;
	if (command->removes)
		command->removed += (uint64) reply->integer;
	part->shipment->number = reply->integer;
	command->state = INVAL_COMMAND_CONFIRMED;
	return true;
}

/*
 * Which command has this number in a part.
 */
static int
confirm_number(const InvalPart *part, int i)
{
	if (part->numbers != NULL)
		return part->numbers[i];
	return i < part->shipment->commands.pipeline.count ? i : INVAL_PART_END;
}

/*
 * The reply to the PING behind all others: returns false if it is none.  Who does not
 * serve at all refuses that, too, as it could have refused the last of the others; so
 * none of them is believed, but why is.
 */
static bool
confirm_end(InvalPart *part, const InvalReply *reply)
{
	if (reply->type != INVAL_REPLY_ERROR)
		return reply->type == INVAL_REPLY_TEXT && reply->length == strlen("PONG");
	if (reply->kind == INVAL_ERROR_SERVER)
	{
		inval_confirm_take_back(part);
		strlcpy(part->error, reply->text, sizeof(part->error));
		part->refuses = true;
		return true;
	}
	return reply->kind == INVAL_ERROR_PING;
}

static bool
confirm_is_answer(const InvalCommand *command, const InvalReply *reply)
{
	if (command->answer == INVAL_ANSWER_TEXT)
		return reply->type == INVAL_REPLY_TEXT || reply->type == INVAL_REPLY_NIL;
	if (command->answer == INVAL_ANSWER_LIST)
		return reply->type == INVAL_REPLY_LIST;
	if (reply->type != INVAL_REPLY_INTEGER || command->answer == INVAL_ANSWER_SIGNED)
		return reply->type == INVAL_REPLY_INTEGER;
	return reply->integer >= 0 &&
		(command->answer == INVAL_ANSWER_NUMBER || reply->integer <= command->keys);
}

static void
confirm_error(InvalPart *part, int number, const InvalReply *reply)
{
	InvalShipment *shipment = part->shipment;
	InvalCommand *command = &shipment->commands.commands[number];
	InvalErrorKind kind = reply->kind;
	bool		removes = confirm_is_removal(shipment, number);

	inval_shipment_note_error(shipment, reply->text);
	inval_library_note_error(shipment->target, reply->text);
	if (kind == INVAL_ERROR_COMMAND && removes && !shipment->commands.no_unlink &&
		inval_target_shares_health(shipment->target))
	{
		/* It has DEL, then, with which it is tried again. */
		pg_atomic_write_u32(&shipment->target->health->no_unlink, 1);
		command->state = INVAL_COMMAND_LATER;
		return;
	}
	if (!removes && (kind == INVAL_ERROR_COMMAND ||
					 strncmp(reply->text, OUT_OF_MEMORY, strlen(OUT_OF_MEMORY)) == 0 ||
					 strncmp(reply->text, NO_RIGHT, strlen(NO_RIGHT)) == 0))
		kind = INVAL_ERROR_ENTRY;
	if (!shipment->commands.routed)
	{
		/* It should have been a cluster's URL. */
		if (kind == INVAL_ERROR_MOVED || kind == INVAL_ERROR_ASK)
			kind = INVAL_ERROR_ENTRY;
		else if (kind == INVAL_ERROR_LATER)
			kind = INVAL_ERROR_SERVER;
	}
	switch (kind)
	{
		case INVAL_ERROR_MOVED:
		case INVAL_ERROR_ASK:
			confirm_redirect(part, number, reply);
			break;
		case INVAL_ERROR_LATER:
			command->state = INVAL_COMMAND_LATER;
			shipment->target->cluster->stale = true;
			break;
		case INVAL_ERROR_SERVER:
		case INVAL_ERROR_CROWDED:
		case INVAL_ERROR_COMMAND:
			command->state = INVAL_COMMAND_LATER;
			if (!part->refuses)
				strlcpy(part->error, reply->text, sizeof(part->error));
			part->refuses = true;
			break;
		case INVAL_ERROR_PING:
		case INVAL_ERROR_ENTRY:
			confirm_refuse(shipment, number, reply->text);
			break;
	}
}

static bool
confirm_is_removal(const InvalShipment *shipment, int number)
{
	const InvalCommands *commands = &shipment->commands;
	const char *bytes = commands->pipeline.bytes.data + commands->commands[number].offset;
	const char *name = memchr(bytes, '$', (size_t) commands->commands[number].length);

	return name != NULL && (strncmp(name, "$6\r\nUNLINK\r\n", 12) == 0 ||
							strncmp(name, "$3\r\nDEL\r\n", 9) == 0);
}

static void
confirm_refuse(InvalShipment *shipment, int number, const char *error)
{
	shipment->commands.commands[number].state = INVAL_COMMAND_REFUSED;
	if (shipment->detailed)
		shipment->command_errors[number] = pstrdup(error);
}

/*
 * Another node has the slot, or may have the key of a slot that is moving.  Who
 * points to nobody whom we know is refusing it, for all that we can do.
 */
static void
confirm_redirect(InvalPart *part, int number, const InvalReply *reply)
{
	InvalTarget *target = part->shipment->target;
	InvalCommand *command = &part->shipment->commands.commands[number];
	int			node = inval_cluster_redirect(target, part->node, command->slot,
											  reply->kind, reply->text);

	if (node < 0)
	{
		confirm_refuse(part->shipment, number, reply->text);
		return;
	}
	command->state = INVAL_COMMAND_OPEN;
	if (reply->kind == INVAL_ERROR_ASK)
	{
		command->state = INVAL_COMMAND_ASK;
		command->ask_node = (uint8) node;
	}
}

/*
 * Believes nothing of what came over a connection.
 */
void
inval_confirm_take_back(InvalPart *part)
{
	int			i;

	for (i = 0; i < part->count; i++)
	{
		int			number = confirm_number(part, i);

		if (number >= 0)
			part->shipment->commands.commands[number].state = INVAL_COMMAND_LATER;
	}
	part->refuses = false;
}

/*
 * The answer to the last command of a part is more than is kept.
 */
void
inval_confirm_too_large(InvalPart *part)
{
	int			last = part->count - 1;

	while (confirm_number(part, last) < 0)
		last--;
	confirm_refuse(part->shipment, confirm_number(part, last), INVAL_REPLY_TOO_LARGE);
}

/*
 * The commands of one entry go one behind the other.  So if one of them has to be
 * sent again, all have to be: the first may have been elsewhere all the time.  But
 * those that were only held back follow the others.
 */
void
inval_confirm_chains(InvalShipment *shipment)
{
	InvalCommand *commands = shipment->commands.commands;
	int			count = shipment->commands.pipeline.count;
	int			first;
	int			last;

	for (first = 0; first < count; first = last + 1)
	{
		for (last = first; last < count - 1 && commands[last].leads;)
			last++;
		if (last > first)
			confirm_chain(shipment, first, last);
	}
}

static void
confirm_chain(InvalShipment *shipment, int first, int last)
{
	InvalCommand *commands = shipment->commands.commands;
	bool		again = false;
	bool		later = false;
	int			i;

	for (i = first; i <= last; i++)
	{
		if (commands[i].state == INVAL_COMMAND_REFUSED)
		{
			confirm_refuse_chain(shipment, first, last, i);
			return;
		}
		later |= commands[i].state == INVAL_COMMAND_LATER;
		again |= commands[i].state != INVAL_COMMAND_CONFIRMED && !commands[i].held;
	}
	for (i = first; i <= last; i++)
	{
		if (later)
			commands[i].state = INVAL_COMMAND_LATER;
		else if (again && commands[i].state == INVAL_COMMAND_CONFIRMED)
			commands[i].state = INVAL_COMMAND_OPEN;
	}
}

/*
 * What refuses one of them refuses the entry, for which the last one stands.
 */
static void
confirm_refuse_chain(InvalShipment *shipment, int first, int last, int refused)
{
	int			i;

	if (shipment->detailed)
		shipment->command_errors[last] = shipment->command_errors[refused];
	for (i = first; i <= last; i++)
		shipment->commands.commands[i].state = INVAL_COMMAND_REFUSED;
}

/*
 * Whether there is more to be sent at once.
 */
bool
inval_confirm_is_redirected(const InvalShipment *shipment)
{
	int			i;

	for (i = 0; shipment->commands.routed && i < shipment->commands.pipeline.count; i++)
	{
		int			state = shipment->commands.commands[i].state;

		if (state == INVAL_COMMAND_ASK || state == INVAL_COMMAND_OPEN)
			return true;
	}
	return false;
}

/*
 * Nodes point to each other, and none has it.
 */
void
inval_confirm_refuse_redirected(InvalShipment *shipment)
{
	int			i;

	for (i = 0; i < shipment->commands.pipeline.count; i++)
	{
		int			state = shipment->commands.commands[i].state;

		if (state == INVAL_COMMAND_ASK || state == INVAL_COMMAND_OPEN)
			confirm_refuse(shipment, i, shipment->error);
	}
}
