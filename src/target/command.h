/*
 * command.h
 *		Invalidations as Redis commands.
 */
#ifndef INVAL_COMMAND_H
#define INVAL_COMMAND_H

#include "lib/stringinfo.h"

#include "base/entry.h"

/* Most keys that one command removes */
#define INVAL_COMMAND_KEYS	64

/*
 * A pipeline of commands.  What was added may wait to be joined with what
 * comes next until inval_commands_finish.
 */
typedef struct InvalCommands
{
	StringInfoData bytes;		/* as sent */
	int			count;			/* of commands, so of replies */
	int			max_count;
	int		   *entries;		/* how many entries each command stands for */
	int			waiting;		/* keys that the next UNLINK will remove */
	const char *arguments[INVAL_COMMAND_KEYS + 1];
	size_t		lengths[INVAL_COMMAND_KEYS + 1];
} InvalCommands;

extern void inval_commands_init(InvalCommands *commands);
extern void inval_commands_reset(InvalCommands *commands);
extern void inval_commands_free(InvalCommands *commands);
extern void inval_commands_add(InvalCommands *commands, const InvalEntry *entry);
extern void inval_commands_finish(InvalCommands *commands);

extern void inval_commands_log_in(InvalCommands *commands, const char *user,
								  const char *password);
extern void inval_commands_words(InvalCommands *commands, int argc, const char **words);
extern void inval_commands_ping(InvalCommands *commands);
extern void inval_commands_append_words(InvalCommands *commands, int argc,
										const char **words);

#endif							/* INVAL_COMMAND_H */
