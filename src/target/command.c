/*
 * command.c
 *		Invalidations as Redis commands.
 *
 * The one place that knows what an action sends.  Neighbouring deletes share
 * an UNLINK, which costs the server and the wire less than one command each.
 */
#include "postgres.h"

#include "redis/slot.h"
#include "target/command.h"

static void commands_append(InvalCommands *commands, int argc, const char **arguments,
							const size_t *lengths, int entries);

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
		commands_append(commands, 3, arguments, lengths, 1);
		return;
	}

	commands->waiting++;
	commands->arguments[commands->waiting] = entry->key;
	commands->lengths[commands->waiting] = entry->key_length;
	if (commands->routed || commands->waiting == INVAL_COMMAND_KEYS)
		inval_commands_finish(commands);
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
	commands->waiting = 0;
	commands_append(commands, keys + 1, commands->arguments, commands->lengths, keys);
}

static void
commands_append(InvalCommands *commands, int argc, const char **arguments,
				const size_t *lengths, int entries)
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
	command->state = INVAL_COMMAND_OPEN;
	if (commands->routed)
		command->slot = (uint16) inval_slot_of_key(arguments[1], lengths[1]);
}
