/*
 * wire.h
 *		Bytes to and from a server, and waiting for them.
 */
#ifndef INVAL_WIRE_H
#define INVAL_WIRE_H

#include <poll.h>
#include <sys/socket.h>

#include "redis/tls.h"
#include "redis/waiting.h"

/* How to wait for servers */
typedef enum InvalWait
{
	INVAL_WAIT_HELD,			/* interrupts held: nothing but the sockets */
	INVAL_WAIT_INTERRUPTIBLE	/* may raise an error */
} InvalWait;

typedef enum InvalWireResult
{
	INVAL_WIRE_DONE,
	INVAL_WIRE_WAITS,			/* call again when the socket is ready */
	INVAL_WIRE_FAILED			/* "problem" says why */
} InvalWireResult;

/* A socket, with TLS or without */
typedef struct InvalWire
{
	int			fd;				/* -1: none */
	InvalTls   *tls;			/* NULL: none */
	bool		send_wants_read;	/* TLS has to receive before it sends on */
	bool		receive_wants_write;	/* and the other way round */
	bool		hung_up;		/* what failed last: the server closed it */
	bool		may_wait;		/* inval_wire_receive_waiting is of use */
	uint64		patience_us;	/* that the system was told of for it; 0: not yet */
	const char *problem;		/* of what failed last; no secrets */
	struct sockaddr_storage address;
	socklen_t	address_length;
} InvalWire;

extern uint64 inval_clock_us(void);

extern bool inval_wire_open(InvalWire *wire, const InvalUrl *url);
extern InvalWireResult inval_wire_connect(InvalWire *wire);
extern InvalWireResult inval_wire_shake_hands(InvalWire *wire);
extern void inval_wire_close(InvalWire *wire);
extern ssize_t inval_wire_send(InvalWire *wire, const char *bytes, Size length);
extern ssize_t inval_wire_receive(InvalWire *wire, char *buffer, Size size);
extern ssize_t inval_wire_receive_waiting(InvalWire *wire, char *buffer, Size size,
										  uint64 deadline);
extern bool inval_wire_is_quiet(InvalWire *wire);
extern bool inval_wire_has_bytes(InvalWire *wire);
extern short inval_wire_events(const InvalWire *wire, bool to_send);

extern void inval_wire_wait(struct pollfd *sockets, int count, uint64 deadline,
							InvalWait wait, InvalWaiting what);

#endif							/* INVAL_WIRE_H */
