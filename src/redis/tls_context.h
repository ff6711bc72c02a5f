/*
 * tls_context.h
 *		What TLS connections of a process have in common.
 */
#ifndef INVAL_TLS_CONTEXT_H
#define INVAL_TLS_CONTEXT_H

#ifdef INVAL_TLS

#include <openssl/ssl.h>

#include "redis/url.h"

typedef struct InvalTlsContext InvalTlsContext;

extern InvalTlsContext *inval_tls_context(const InvalUrl *url, const char **error);
extern SSL *inval_tls_context_ssl(InvalTlsContext *context, const InvalUrl *url);
extern const char *inval_tls_queued_error(void);

#endif							/* INVAL_TLS */
#endif							/* INVAL_TLS_CONTEXT_H */
