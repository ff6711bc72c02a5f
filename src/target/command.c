/*
 * command.c
 *		Redis commands, each of which stands for entries.
 *
 * Neighbouring removals of one rule share an UNLINK, which costs the server and the wire
 * less than one command each; its answer says how many of the rule's keys were there.
 */
#include "postgres.h"

#include "redis/marker.h"
#include "redis/slot.h"
#include "target/command.h"

/* Room for the names of markers that wait, at first */
#define NAMES_SIZE		4096

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
	commands->waiting_rule = 0;
	commands->names = NULL;
	commands->names_size = commands->names_used = 0;
}

/*
 * Adds a key to those that the next command removes.  Its bytes must stay where
 * they are until inval_commands_finish, and there must be room for it.
 */
void
inval_commands_remove(InvalCommands *commands, const char *key, Size length)
{
	Assert(commands->waiting < INVAL_COMMAND_KEYS);
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
	InvalCommand *command;
	int			keys = commands->waiting;

	if (keys == 0)
		return;
	commands->arguments[0] = commands->no_unlink ? "DEL" : "UNLINK";
	commands->lengths[0] = strlen(commands->arguments[0]);
	command = inval_commands_append(commands, keys + 1, commands->arguments,
									commands->lengths, commands->arguments[1],
									commands->lengths[1]);
	command->answer = INVAL_ANSWER_COUNT;
	command->keys = keys;
	command->entries = commands->waiting_entries;
	command->removes = commands->waiting_entries > 0;
	command->rule = commands->waiting_rule;
	commands->waiting = 0;
	commands->waiting_entries = 0;
	commands->names_used = 0;
}

/*
 * Adds a command, which goes to where a key is, and stands for no entry yet.  What
 * is returned is good until the next one is added.
 */
InvalCommand *
inval_commands_append(InvalCommands *commands, int argc, const char **arguments,
					  const size_t *lengths, const char *key, Size key_length)
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
	command->answer = INVAL_ANSWER_NUMBER;
	command->state = INVAL_COMMAND_OPEN;
	if (commands->routed)
		command->slot = (uint16) inval_slot_of_key(key, key_length);
	return command;
}

/*
 * The name of a key's marker, good until what waits is written out.  If it would
 * not fit beside the others, those are written out first.
 */
char *
inval_commands_marker(InvalCommands *commands, const char *kind, const char *key,
					  Size key_length, Size *length)
{
	Size		size = INVAL_MARKER_SIZE(key_length);
	char	   *name;

	if (commands->names_used + size > commands->names_size)
	{
		inval_commands_finish(commands);
		commands->names_used = 0;
	}
	if (size > commands->names_size)
	{
		/* Nothing waits that points into it. */
		if (commands->names != NULL)
			pfree(commands->names);
		commands->names_size = Max(size, NAMES_SIZE);
		commands->names = palloc(commands->names_size);
	}
	name = commands->names + commands->names_used;
	*length = inval_marker_write(kind, key, key_length, name);
	commands->names_used += *length;
	return name;
}
