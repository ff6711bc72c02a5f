/*
 * wire.h
 *		Bytes to and from a server, and waiting for them.
 */
#ifndef INVAL_WIRE_H
#define INVAL_WIRE_H

#include "redis/tls.h"

/* How to wait for the server */
typedef enum InvalWait
{
	INVAL_WAIT_HELD,			/* interrupts held: nothing but the socket */
	INVAL_WAIT_INTERRUPTIBLE	/* by the latch; may raise an error */
} InvalWait;

/* What is said of a deadline that was met in vain */
#define INVAL_NO_ANSWER	"no answer in time"

/* A connected socket, with TLS or without */
typedef struct InvalWire
{
	int			fd;
	InvalTls   *tls;			/* NULL: none */
	bool		send_wants_read;	/* TLS has to receive before it sends on */
	bool		receive_wants_write;	/* and the other way round */
	bool		hung_up;		/* what failed last: the server closed it */
	const char *problem;		/* of what failed last; no secrets */
} InvalWire;

extern uint64 inval_clock_us(void);

extern bool inval_wire_start_tls(InvalWire *wire, const InvalUrl *url, uint64 deadline);
extern void inval_wire_end_tls(InvalWire *wire);
extern ssize_t inval_wire_send(InvalWire *wire, const char *bytes, Size length);
extern ssize_t inval_wire_receive(InvalWire *wire, char *buffer, Size size);
extern bool inval_wire_wait(InvalWire *wire, bool to_send, uint64 deadline,
							InvalWait wait);
extern bool inval_wire_is_quiet(InvalWire *wire);

/* For who waits for several (group.c) */
extern bool inval_wire_has_bytes(InvalWire *wire);
extern short inval_wire_events(const InvalWire *wire, bool to_send);
extern uint32 inval_wire_wait_event(void);

#endif							/* INVAL_WIRE_H */
