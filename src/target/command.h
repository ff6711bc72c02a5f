/*
 * command.h
 *		Invalidations as Redis commands.
 */
#ifndef INVAL_COMMAND_H
#define INVAL_COMMAND_H

#include "base/entry.h"
#include "redis/pipeline.h"

/* Most keys that one command removes */
#define INVAL_COMMAND_KEYS	64

/*
 * Commands, each of which stands for entries.  What was added may wait to be
 * joined with what comes next until inval_commands_finish.
 */
typedef struct InvalCommands
{
	InvalPipeline pipeline;
	int			waiting;		/* keys that the next UNLINK will remove */
	const char *arguments[INVAL_COMMAND_KEYS + 1];
	size_t		lengths[INVAL_COMMAND_KEYS + 1];
} InvalCommands;

extern void inval_commands_init(InvalCommands *commands);
extern void inval_commands_add(InvalCommands *commands, const InvalEntry *entry);
extern void inval_commands_finish(InvalCommands *commands);

#endif							/* INVAL_COMMAND_H */
