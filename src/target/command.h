/*
 * command.h
 *		Invalidations as Redis commands.
 */
#ifndef INVAL_COMMAND_H
#define INVAL_COMMAND_H

#include "base/entry.h"
#include "redis/pipeline.h"

/* Most keys that one command removes, leases included */
#define INVAL_COMMAND_KEYS	64

typedef enum InvalCommandState
{
	INVAL_COMMAND_OPEN,			/* to be sent to the owner of the slot */
	INVAL_COMMAND_ASK,			/* to be sent to a node that is importing it */
	INVAL_COMMAND_LATER,		/* not before a pause */
	INVAL_COMMAND_CONFIRMED,
	INVAL_COMMAND_REFUSED
} InvalCommandState;

/* One command, and what became of it */
typedef struct InvalCommand
{
	Size		offset;			/* among the bytes of all */
	int			length;
	int			entries;		/* that it stands for */
	int			keys;			/* that it removes, and can confirm */
	bool		leads;			/* the next one is of the same entry, and behind it */
	bool		held;			/* it was not sent, as that before it has another way */
	uint16		slot;			/* of a cluster's key */
	uint8		ask_node;		/* if it is to be asked */
	uint8		state;			/* an InvalCommandState */
} InvalCommand;

/*
 * Commands, each of which stands for entries.  What was added may wait to be
 * joined with what comes next until inval_commands_finish.
 */
typedef struct InvalCommands
{
	InvalPipeline pipeline;
	InvalCommand *commands;
	int			max_commands;
	bool		routed;			/* to a cluster: each key has a command, and a slot, of its own */
	bool		no_unlink;		/* the server has DEL only */
	int			waiting;		/* keys that the next command will remove, */
	int			waiting_entries;	/* and what they are of */
	char	   *names;			/* room for those of leases among them; or NULL */
	Size		names_size;
	Size		names_used;
	const char *arguments[INVAL_COMMAND_KEYS + 1];
	size_t		lengths[INVAL_COMMAND_KEYS + 1];
} InvalCommands;

extern void inval_commands_init(InvalCommands *commands, bool routed, bool no_unlink);
extern void inval_commands_add(InvalCommands *commands, const InvalEntry *entry);
extern void inval_commands_finish(InvalCommands *commands);

#endif							/* INVAL_COMMAND_H */
