/*
 * tls.h
 *		TLS over a socket.
 */
#ifndef INVAL_TLS_H
#define INVAL_TLS_H

#include "redis/url.h"

typedef struct InvalTls InvalTls;

typedef enum InvalTlsResult
{
	INVAL_TLS_DONE,
	INVAL_TLS_WANTS_READ,		/* call again when the socket can be read */
	INVAL_TLS_WANTS_WRITE,
	INVAL_TLS_CLOSED,			/* by the server */
	INVAL_TLS_FAILED			/* inval_tls_error says why */
} InvalTlsResult;

#ifdef INVAL_TLS
extern bool inval_tls_prepare(const InvalUrl *url, const char **error);
extern InvalTls *inval_tls_create(const InvalUrl *url, int fd, const char **error);
extern void inval_tls_free(InvalTls *tls);
extern InvalTlsResult inval_tls_handshake(InvalTls *tls);
extern InvalTlsResult inval_tls_send(InvalTls *tls, const char *bytes, Size length,
									 Size *sent);
extern InvalTlsResult inval_tls_receive(InvalTls *tls, char *buffer, Size size,
										Size *received);
extern bool inval_tls_has_bytes(InvalTls *tls);
extern bool inval_tls_is_quiet(InvalTls *tls);
extern const char *inval_tls_error(InvalTls *tls);
#else

/* Then the URL is refused (url.c), so that none of this is ever asked. */
#define inval_tls_prepare(url, error)				(*(error) = "built without TLS", false)
#define inval_tls_create(url, fd, error)			(*(error) = "built without TLS", NULL)
#define inval_tls_free(tls)							((void) (tls))
#define inval_tls_handshake(tls)					INVAL_TLS_FAILED
#define inval_tls_send(tls, bytes, length, sent)	INVAL_TLS_FAILED
#define inval_tls_receive(tls, buffer, size, got)	INVAL_TLS_FAILED
#define inval_tls_has_bytes(tls)					false
#define inval_tls_is_quiet(tls)						false
#define inval_tls_error(tls)						"built without TLS"
#endif

#endif							/* INVAL_TLS_H */
