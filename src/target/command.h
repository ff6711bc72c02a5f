/*
 * command.h
 *		Redis commands, each of which stands for entries.
 */
#ifndef INVAL_COMMAND_H
#define INVAL_COMMAND_H

#include "redis/pipeline.h"

/* Most keys that one command names, markers included */
#define INVAL_COMMAND_KEYS	64

typedef enum InvalCommandState
{
	INVAL_COMMAND_OPEN,			/* to be sent to the owner of the slot */
	INVAL_COMMAND_ASK,			/* to be sent to a node that is importing it */
	INVAL_COMMAND_LATER,		/* not before a pause */
	INVAL_COMMAND_CONFIRMED,
	INVAL_COMMAND_REFUSED
} InvalCommandState;

/* What confirms a command; anything else is no answer to it */
typedef enum InvalCommandAnswer
{
	INVAL_ANSWER_COUNT,			/* a number, at most that of its keys */
	INVAL_ANSWER_NUMBER,		/* any that is not negative */
	INVAL_ANSWER_SIGNED,		/* any at all: what somebody has stored, and one more */
	INVAL_ANSWER_TEXT,			/* a text, or none */
	INVAL_ANSWER_LIST			/* of texts */
} InvalCommandAnswer;

/* One command, and what became of it */
typedef struct InvalCommand
{
	Size		offset;			/* among the bytes of all */
	int			length;
	int			entries;		/* that it stands for */
	int			keys;			/* that it removes, and can confirm */
	uint8		answer;			/* an InvalCommandAnswer */
	bool		leads;			/* the next one is of the same entry, and behind it */
	bool		held;			/* it was not sent, as one before it has another way */
	bool		has_fence;		/* it is about one that should be there, */
	uint8		fence_answer;	/* which an answer of this says it is not */
	uint16		slot;			/* of a cluster's key */
	uint8		ask_node;		/* if it is to be asked */
	uint8		state;			/* an InvalCommandState */
	bool		removes;		/* keys or fields of one rule, and says how many were there */
	uint32		rule;			/* which one */
	uint64		removed;		/* so many were */
} InvalCommand;

/*
 * Commands.  Keys that are to be removed may wait to be joined with those that come
 * next until inval_commands_finish.
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
	uint32		waiting_rule;	/* whose they are */
	char	   *names;			/* room for those of markers among them; or NULL */
	Size		names_size;
	Size		names_used;
	const char *arguments[INVAL_COMMAND_KEYS + 1];
	size_t		lengths[INVAL_COMMAND_KEYS + 1];
} InvalCommands;

extern void inval_commands_init(InvalCommands *commands, bool routed, bool no_unlink);
extern void inval_commands_remove(InvalCommands *commands, const char *key, Size length);
extern void inval_commands_finish(InvalCommands *commands);
extern InvalCommand *inval_commands_append(InvalCommands *commands, int argc,
										   const char **arguments, const size_t *lengths,
										   const char *key, Size key_length);
extern char *inval_commands_marker(InvalCommands *commands, const char *kind,
								   const char *key, Size key_length, Size *length);

#endif							/* INVAL_COMMAND_H */
