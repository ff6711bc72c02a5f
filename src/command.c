/*
 * command.c
 *		Invalidations as Redis commands.
 *
 * The one place that knows what an action sends.  Neighbouring deletes share
 * an UNLINK, which costs the server and the wire less than one command each.
 */
#include "postgres.h"

#include <hiredis/hiredis.h>

#include "command.h"

static void commands_append(InvalCommands *commands, int argc,
							const char **arguments, const size_t *lengths,
							int entries);
static void commands_append_words(InvalCommands *commands, int argc,
								  const char **words);

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
 * What a new connection starts with.
 */
void
inval_commands_log_in(InvalCommands *commands, const InvalUrl *url)
{
	char		db[16];

	if (url->user[0] != '\0')
	{
		const char *words[] = {"AUTH", url->user, url->password};

		commands_append_words(commands, 3, words);
	}
	else if (url->password[0] != '\0')
	{
		const char *words[] = {"AUTH", url->password};

		commands_append_words(commands, 2, words);
	}
	if (url->db != 0)
	{
		const char *words[] = {"SELECT", db};

		snprintf(db, sizeof(db), "%d", url->db);
		commands_append_words(commands, 2, words);
	}
}

void
inval_commands_ping(InvalCommands *commands)
{
	const char *words[] = {"PING"};

	commands_append_words(commands, 1, words);
}

static void
commands_append_words(InvalCommands *commands, int argc, const char **words)
{
	size_t		lengths[4];
	int			i;

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
