/*
 * command.c
 *		Invalidations as Redis commands.
 *
 * The one place that knows what an action sends.  Neighbouring deletes share
 * an UNLINK, which costs the server and the wire less than one command each.
 */
#include "postgres.h"

#include <hiredis/hiredis.h>

#include "target/command.h"

static void commands_append(InvalCommands *commands, int argc,
							const char **arguments, const size_t *lengths,
							int entries);

/*
 * Makes an empty pipeline in the current memory context.
 */
void
inval_commands_init(InvalCommands *commands)
{
	initStringInfo(&commands->bytes);
	commands->max_count = 64;
	commands->entries = palloc(commands->max_count * sizeof(int));
	inval_commands_reset(commands);
}

void
inval_commands_reset(InvalCommands *commands)
{
	resetStringInfo(&commands->bytes);
	commands->count = 0;
	commands->waiting = 0;
}

void
inval_commands_free(InvalCommands *commands)
{
	pfree(commands->bytes.data);
	pfree(commands->entries);
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
	commands_append(commands, keys + 1, commands->arguments, commands->lengths, keys);
}

/*
 * What logs a connection in; nothing, for the default user without password.
 */
void
inval_commands_log_in(InvalCommands *commands, const char *user, const char *password)
{
	if (user[0] != '\0')
	{
		const char *words[] = {"AUTH", user, password};

		inval_commands_words(commands, 3, words);
	}
	else if (password[0] != '\0')
	{
		const char *words[] = {"AUTH", password};

		inval_commands_words(commands, 2, words);
	}
}

void
inval_commands_ping(InvalCommands *commands)
{
	const char *words[] = {"PING"};

	inval_commands_words(commands, 1, words);
}

/*
 * Adds a command of up to six words that stands for no entry.
 */
void
inval_commands_words(InvalCommands *commands, int argc, const char **words)
{
	size_t		lengths[6];
	int			i;

	Assert(argc <= (int) lengthof(lengths));
	for (i = 0; i < argc; i++)
		lengths[i] = strlen(words[i]);
	commands_append(commands, argc, words, lengths, 0);
}

static void
commands_append(InvalCommands *commands, int argc, const char **arguments,
				const size_t *lengths, int entries)
{
	size_t		room = 32;
	char	   *formatted = NULL;
	int			length;
	int			i;

	/*
	 * All that may raise an error comes before hiredis allocates, so that
	 * what it allocates is freed.
	 */
	for (i = 0; i < argc; i++)
		room += lengths[i] + 32;
	enlargeStringInfo(&commands->bytes, (int) room);
	if (commands->count == commands->max_count)
	{
		commands->max_count *= 2;
		commands->entries = repalloc(commands->entries,
									 commands->max_count * sizeof(int));
	}

	length = redisFormatCommandArgv(&formatted, argc, arguments, lengths);
	if (length < 0)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
	appendBinaryStringInfo(&commands->bytes, formatted, length);
	redisFreeCommand(formatted);
	commands->entries[commands->count++] = entries;
}
