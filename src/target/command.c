/*
 * command.c
 *		Invalidations as Redis commands.
 *
 * The one place that knows what an action sends.  Neighbouring deletes share
 * an UNLINK, which costs the server and the wire less than one command each.
 */
#include "postgres.h"

#include "redis/marker.h"
#include "redis/slot.h"
#include "target/command.h"

/* Room for the names of leases that wait, at first */
#define NAMES_SIZE		4096

static void commands_wait(InvalCommands *commands, const char *key, Size length);
static void commands_add_lease(InvalCommands *commands, const InvalEntry *entry);
static void commands_append(InvalCommands *commands, int argc, const char **arguments,
							const size_t *lengths, int keys, int entries);

/*
 * Starts without any, in the current memory context.
 */
void
inval_commands_init(InvalCommands *commands, bool routed, bool no_unlink)
{
	inval_pipeline_init(&commands->pipeline);
	commands->max_commands = 16;
	commands->commands = palloc(commands->max_commands * sizeof(InvalCommand));
	commands->routed = routed;
	commands->no_unlink = no_unlink;
	commands->waiting = 0;
	commands->waiting_entries = 0;
	commands->names = NULL;
	commands->names_size = commands->names_used = 0;
}

/*
 * Adds what an entry sends.  The entry's bytes must stay where they are until
 * inval_commands_finish.
 */
void
inval_commands_add(InvalCommands *commands, const InvalEntry *entry)
{
	Assert(entry->action == INVAL_ACTION_DELETE);

	if (entry->field != NULL)
	{
		const char *arguments[] = {"HDEL", entry->key, entry->field};
		size_t		lengths[] = {4, entry->key_length, entry->field_length};

		inval_commands_finish(commands);
		commands_append(commands, 3, arguments, lengths, 1, 1);
		return;
	}

	if (entry->fence)
		commands_add_lease(commands, entry);
	commands_wait(commands, entry->key, entry->key_length);
	commands->waiting_entries++;
	if (commands->routed || commands->waiting == INVAL_COMMAND_KEYS)
		inval_commands_finish(commands);
}

/*
 * Adds what voids the leases on an entry's key, before the key: who reads between
 * the two takes a new lease, and stores what is new.  To a cluster it is a command
 * of its own, since a slot that is being moved takes one name at a time.
 */
static void
commands_add_lease(InvalCommands *commands, const InvalEntry *entry)
{
	Size		size = INVAL_LEASE_SIZE(entry->key_length);
	char	   *name;

	if (commands->waiting + 2 > INVAL_COMMAND_KEYS ||
		commands->names_used + size > commands->names_size)
		inval_commands_finish(commands);
	if (size > commands->names_size)
	{
		/* Nothing waits that points into it. */
		if (commands->names != NULL)
			pfree(commands->names);
		commands->names_size = Max(size, NAMES_SIZE);
		commands->names = palloc(commands->names_size);
	}
	name = commands->names + commands->names_used;
	size = inval_marker_lease(entry->key, entry->key_length, name);
	commands->names_used += size;
	commands_wait(commands, name, size);
	if (!commands->routed)
		return;
	inval_commands_finish(commands);
	commands->commands[commands->pipeline.count - 1].leads = true;
}

static void
commands_wait(InvalCommands *commands, const char *key, Size length)
{
	commands->waiting++;
	commands->arguments[commands->waiting] = key;
	commands->lengths[commands->waiting] = length;
}

/*
 * Writes out what waits to be joined.  DEL does what UNLINK does, and lets the
 * others wait while it gives the memory back.
 */
void
inval_commands_finish(InvalCommands *commands)
{
	int			keys = commands->waiting;

	if (keys == 0)
		return;
	commands->arguments[0] = commands->no_unlink ? "DEL" : "UNLINK";
	commands->lengths[0] = strlen(commands->arguments[0]);
	commands_append(commands, keys + 1, commands->arguments, commands->lengths,
					keys, commands->waiting_entries);
	commands->waiting = 0;
	commands->waiting_entries = 0;
	commands->names_used = 0;
}

static void
commands_append(InvalCommands *commands, int argc, const char **arguments,
				const size_t *lengths, int keys, int entries)
{
	InvalPipeline *pipeline = &commands->pipeline;
	InvalCommand *command;
	Size		offset = (Size) pipeline->bytes.len;

	if (pipeline->count == commands->max_commands)
	{
		commands->max_commands *= 2;
		commands->commands = repalloc_huge(commands->commands,
										   commands->max_commands * sizeof(InvalCommand));
	}
	command = &commands->commands[pipeline->count];
	inval_pipeline_append(pipeline, argc, arguments, lengths);
	memset(command, 0, sizeof(*command));
	command->offset = offset;
	command->length = (int) ((Size) pipeline->bytes.len - offset);
	command->entries = entries;
	command->keys = keys;
	command->state = INVAL_COMMAND_OPEN;
	if (commands->routed)
		command->slot = (uint16) inval_slot_of_key(arguments[1], lengths[1]);
}
