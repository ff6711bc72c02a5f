/*
 * connection.h
 *		A connection to one Redis server.
 */
#ifndef INVAL_CONNECTION_H
#define INVAL_CONNECTION_H

#include "datatype/timestamp.h"
#include "lib/stringinfo.h"

#include "redis/reader.h"
#include "redis/wire.h"

/* A command that any server answers with PONG */
#define INVAL_PING		"*1\r\n$4\r\nPING\r\n"

/* What is said of a deadline that was met in vain */
#define INVAL_NO_ANSWER	"no answer in time"

/* Called for each reply in order; must not raise errors if the wait is held.
 * Returns false if it is no answer to what was sent: then nothing that came over
 * this connection is to be believed. */
typedef bool (*InvalReplyHandler) (const InvalReply *reply, void *arg);

typedef enum InvalConnectionState
{
	INVAL_CONNECTION_CONNECTING,
	INVAL_CONNECTION_SHAKING_HANDS,
	INVAL_CONNECTION_LOGGING_IN,
	INVAL_CONNECTION_BUSY,		/* with an exchange */
	INVAL_CONNECTION_READY,		/* for the next */
	INVAL_CONNECTION_FAILED		/* only to be closed */
} InvalConnectionState;

/* What the failure of a connection says */
typedef enum InvalFault
{
	INVAL_FAULT_NONE,			/* nothing: the connection was old, or there is none
								 * to be had; or the server was just answering */
	INVAL_FAULT_CONNECTION,		/* that there is no connection, or no more: who has
								 * had time enough may take it for the server's end */
	INVAL_FAULT_SERVER			/* that the server does not serve */
} InvalFault;

typedef struct InvalExchange
{
	const char *commands;
	Size		length;
	Size		sent;
	int			replies;		/* that are still to come */
	InvalReplyHandler handle;
	void	   *arg;
} InvalExchange;

typedef struct InvalConnection
{
	InvalConnectionState state;
	InvalFault	fault;			/* if it has failed */
	char		error[INVAL_ERROR_TEXT_LEN];	/* why, without secrets */
	bool		taken;			/* somebody is there, whatever came of it */
	bool		out_of_step;	/* what was answered is not to be believed */
	bool		progress;		/* the last exchange got a reply */
	uint64		number;			/* which of this process's it is: from 1 on, never the
								 * same again */
	uint64		last_use;		/* when it was last ready, as inval_clock_us */
	uint64		login_us;		/* how long the server took to let us in */
	uint64		library_seen;	/* when it was asked for our functions; 0: not yet */
	TimestampTz library_missed_at;	/* since when fences keep them from being loaded
									 * there; 0: they do not */
	const InvalReply *answer;	/* to inval_connection_ask, once it is ready */

	/* Nobody else's */
	bool		has_descriptor;
	InvalWire	wire;
	InvalReader reader;
	InvalExchange exchange;		/* the present one, or that after logging in */
	InvalExchange login;
	StringInfoData question;	/* data is NULL: none */
	StringInfoData login_commands;
	char	   *password;		/* until it has logged in; NULL: none */
	bool		any_answer;		/* to logging in will do, if it is not that the
								 * server does not serve; */
	bool		is_sentinel;	/* or even then */
	InvalErrorKind refusal_kind;
	char		refusal[INVAL_ERROR_TEXT_LEN];	/* empty: none */
} InvalConnection;

extern InvalConnection *inval_connection_open(const InvalUrl *url, bool prove);
extern void inval_connection_close(InvalConnection *connection);
extern bool inval_connection_check(InvalConnection *connection);
extern void inval_connection_ask(InvalConnection *connection, MemoryContext context,
								 int argc, const char **words);
extern void inval_connection_ping(InvalConnection *connection);

/* Cannot fail: may be called after the commit record */
extern void inval_connection_start(InvalConnection *connection,
								   const char *commands, Size length, int replies,
								   InvalReplyHandler handle, void *arg);
/* Without a deadline (0) it does not wait */
extern bool inval_connection_step(InvalConnection *connection, uint64 deadline);
extern bool inval_connection_may_wait(const InvalConnection *connection);
extern short inval_connection_events(const InvalConnection *connection);
extern void inval_connection_give_up(InvalConnection *connection);

#endif							/* INVAL_CONNECTION_H */
