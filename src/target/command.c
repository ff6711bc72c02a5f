/*
 * command.c
 *		Invalidations as Redis commands.
 *
 * The one place that knows what an action sends.  Neighbouring deletes share
 * an UNLINK, which costs the server and the wire less than one command each.
 */
#include "postgres.h"

#include "target/command.h"

/*
 * Starts without any, in the current memory context.
 */
void
inval_commands_init(InvalCommands *commands)
{
	inval_pipeline_init(&commands->pipeline);
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
		inval_pipeline_append(&commands->pipeline, 3, arguments, lengths, 1);
		return;
	}

	commands->waiting++;
	commands->arguments[commands->waiting] = entry->key;
	commands->lengths[commands->waiting] = entry->key_length;
	if (commands->waiting == INVAL_COMMAND_KEYS)
		inval_commands_finish(commands);
}

/*
 * Writes out what waits to be joined.
 */
void
inval_commands_finish(InvalCommands *commands)
{
	int			keys = commands->waiting;

	if (keys == 0)
		return;
	commands->arguments[0] = "UNLINK";
	commands->lengths[0] = 6;
	commands->waiting = 0;
	inval_pipeline_append(&commands->pipeline, keys + 1, commands->arguments,
						  commands->lengths, keys);
}
