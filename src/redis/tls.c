/*
 * tls.c
 *		TLS over a socket.
 *
 * The only file that includes OpenSSL, which we use directly: hiredis has TLS
 * from version 1.0 on only, and there checks no host name.  Nothing here waits:
 * the socket does not block, and who calls waits for what the result says.
 *
 * The server's certificate must be signed by somebody who is trusted (cacert,
 * else those the system trusts) and must be for the host of the URL (or sni).
 * There is no way to switch that off.
 *
 * The files are read for each connection anew, so that certificates that are
 * renewed need no reload.  OpenSSL allocates by malloc and reports a failure as
 * an error, so that sending and receiving are safe after the commit record.
 * It writes to the socket without MSG_NOSIGNAL; the server ignores SIGPIPE.
 *
 * The queue of OpenSSL's errors is the process's, and the server's own
 * connections use it too: it is emptied before each call and after a failure.
 */
#include "postgres.h"

#include "redis/tls.h"

#ifdef INVAL_TLS

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#define ERROR_LEN	128

struct InvalTls
{
	SSL		   *ssl;
	char		error[ERROR_LEN];
};

static SSL_CTX *tls_create_context(const InvalUrl *url, const char **problem);
static int	tls_no_password(char *buffer, int size, int rwflag, void *userdata);
static bool tls_expect_name(SSL *ssl, const char *name);
static InvalTlsResult tls_result(InvalTls *tls, int returned);
static void tls_explain(InvalTls *tls);
static const char *tls_queued_error(void);

/*
 * Prepares TLS over a connected socket that does not block.  On failure returns
 * NULL and a message, which stays until the next.  To be freed by
 * inval_tls_free, which leaves the socket open.  Raises no error.
 */
InvalTls *
inval_tls_create(const InvalUrl *url, int fd, const char **error)
{
	static char text[ERROR_LEN];
	InvalTls   *tls = calloc(1, sizeof(InvalTls));
	const char *problem = "out of memory";
	SSL_CTX    *context;

	ERR_clear_error();
	context = tls ? tls_create_context(url, &problem) : NULL;
	if (context != NULL)
	{
		problem = "could not prepare TLS";
		tls->ssl = SSL_new(context);
		SSL_CTX_free(context);	/* the SSL object has a reference */
	}
	if (tls != NULL && tls->ssl != NULL &&
		tls_expect_name(tls->ssl, url->server_name) && SSL_set_fd(tls->ssl, fd) == 1)
	{
		SSL_set_connect_state(tls->ssl);
		return tls;
	}
	snprintf(text, sizeof(text), "%s: %s", problem, tls_queued_error());
	*error = text;
	inval_tls_free(tls);
	return NULL;
}

static SSL_CTX *
tls_create_context(const InvalUrl *url, const char **problem)
{
	SSL_CTX    *context = SSL_CTX_new(TLS_client_method());

	if (context == NULL)
		return NULL;
	(void) SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
#ifdef SSL_OP_IGNORE_UNEXPECTED_EOF
	/* A reply has its length in it: a mere end of the connection is no attack. */
	(void) SSL_CTX_set_options(context, SSL_OP_IGNORE_UNEXPECTED_EOF);
#endif
	/* The commands stay where they are, and may leave in pieces. */
	(void) SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE |
							SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);

	*problem = "could not load the trusted certificates";
	if ((url->cacert[0] != '\0' ?
		 SSL_CTX_load_verify_locations(context, url->cacert, NULL) :
		 SSL_CTX_set_default_verify_paths(context)) != 1)
		goto failed;
	if (url->cert[0] == '\0')
		return context;
	/* Nobody is there to be asked for the password of a key. */
	SSL_CTX_set_default_passwd_cb(context, tls_no_password);
	*problem = "could not load the client's certificate";
	if (SSL_CTX_use_certificate_chain_file(context, url->cert) != 1)
		goto failed;
	*problem = "could not load the client's key";
	if (SSL_CTX_use_PrivateKey_file(context, url->key, SSL_FILETYPE_PEM) != 1)
		goto failed;
	return context;

failed:
	SSL_CTX_free(context);
	return NULL;
}

static int
tls_no_password(char *buffer, int size, int rwflag, void *userdata)
{
	(void) buffer;
	(void) size;
	(void) rwflag;
	(void) userdata;
	return 0;
}

/*
 * Whom the certificate must be for.  A name is also told to the server, which
 * may have several certificates; an address never is.
 */
static bool
tls_expect_name(SSL *ssl, const char *name)
{
	if (inval_url_is_address(name))
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1;
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return SSL_set1_host(ssl, name) == 1 && SSL_set_tlsext_host_name(ssl, name) == 1;
}

/*
 * Frees it without a word to the server.
 */
void
inval_tls_free(InvalTls *tls)
{
	if (tls == NULL)
		return;
	SSL_free(tls->ssl);
	free(tls);
}

/*
 * Goes on with the handshake; to be called until it is done or has failed.
 */
InvalTlsResult
inval_tls_handshake(InvalTls *tls)
{
	ERR_clear_error();
	return tls_result(tls, SSL_connect(tls->ssl));
}

/*
 * Sends some of the bytes; "sent" is set if done.  After WANTS_… it must be
 * called with the same bytes again.  Cannot raise an error.
 */
InvalTlsResult
inval_tls_send(InvalTls *tls, const char *bytes, Size length, Size *sent)
{
	ERR_clear_error();
	return tls_result(tls, SSL_write_ex(tls->ssl, bytes, length, sent));
}

/*
 * Receives some bytes; "received" is set if done.  Cannot raise an error.
 */
InvalTlsResult
inval_tls_receive(InvalTls *tls, char *buffer, Size size, Size *received)
{
	ERR_clear_error();
	return tls_result(tls, SSL_read_ex(tls->ssl, buffer, size, received));
}

/*
 * Whether there are bytes to receive that have left the socket already, so that
 * waiting for the socket would be in vain.
 */
bool
inval_tls_has_bytes(InvalTls *tls)
{
	return SSL_pending(tls->ssl) > 0;
}

/*
 * Whether the server has neither closed the connection nor sent any data.  What
 * TLS itself sends at times, such as tickets, is read here and is no data.
 */
bool
inval_tls_is_quiet(InvalTls *tls)
{
	char		byte;
	size_t		length;

	ERR_clear_error();
	return tls_result(tls, SSL_peek_ex(tls->ssl, &byte, 1, &length)) ==
		INVAL_TLS_WANTS_READ;
}

/*
 * Why it failed, without secrets.
 */
const char *
inval_tls_error(InvalTls *tls)
{
	return tls->error;
}

static InvalTlsResult
tls_result(InvalTls *tls, int returned)
{
	int			saved_errno = errno;

	if (returned > 0)
		return INVAL_TLS_DONE;
	switch (SSL_get_error(tls->ssl, returned))
	{
		case SSL_ERROR_WANT_READ:
			return INVAL_TLS_WANTS_READ;
		case SSL_ERROR_WANT_WRITE:
			return INVAL_TLS_WANTS_WRITE;
		case SSL_ERROR_ZERO_RETURN:
			return INVAL_TLS_CLOSED;
		case SSL_ERROR_SYSCALL:
			if (ERR_peek_error() == 0)
			{
				if (saved_errno == 0 || saved_errno == EPIPE ||
					saved_errno == ECONNRESET)
					return INVAL_TLS_CLOSED;
				strlcpy(tls->error, strerror(saved_errno), sizeof(tls->error));
				return INVAL_TLS_FAILED;
			}
			/* FALLTHROUGH */
		default:
			tls_explain(tls);
			return INVAL_TLS_FAILED;
	}
}

static void
tls_explain(InvalTls *tls)
{
	long		verdict = SSL_get_verify_result(tls->ssl);

	if (verdict != X509_V_OK)
		snprintf(tls->error, sizeof(tls->error), "certificate of the server refused: %s",
				 X509_verify_cert_error_string(verdict));
	else
		snprintf(tls->error, sizeof(tls->error), "TLS failed: %s", tls_queued_error());
	ERR_clear_error();
}

/*
 * The reason of the error that came first, which is the one that explains the
 * others.  Empties the queue.
 */
static const char *
tls_queued_error(void)
{
	unsigned long code = ERR_get_error();
	const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;

	/* From version 3 on OpenSSL has no words for errors of the system. */
#ifdef ERR_SYSTEM_ERROR
	if (ERR_SYSTEM_ERROR(code))
		reason = strerror(ERR_GET_REASON(code));
#endif
	ERR_clear_error();
	return reason != NULL ? reason : "no reason given";
}

#else							/* !INVAL_TLS */

/*
 * Without TLS the URL is refused (url.c), so that none of this is ever called.
 */
InvalTls *
inval_tls_create(const InvalUrl *url, int fd, const char **error)
{
	(void) url;
	(void) fd;
	*error = "built without TLS";
	return NULL;
}

void
inval_tls_free(InvalTls *tls)
{
	(void) tls;
}

InvalTlsResult
inval_tls_handshake(InvalTls *tls)
{
	(void) tls;
	return INVAL_TLS_FAILED;
}

InvalTlsResult
inval_tls_send(InvalTls *tls, const char *bytes, Size length, Size *sent)
{
	(void) tls;
	(void) bytes;
	(void) length;
	(void) sent;
	return INVAL_TLS_FAILED;
}

InvalTlsResult
inval_tls_receive(InvalTls *tls, char *buffer, Size size, Size *received)
{
	(void) tls;
	(void) buffer;
	(void) size;
	(void) received;
	return INVAL_TLS_FAILED;
}

bool
inval_tls_has_bytes(InvalTls *tls)
{
	(void) tls;
	return false;
}

bool
inval_tls_is_quiet(InvalTls *tls)
{
	(void) tls;
	return false;
}

const char *
inval_tls_error(InvalTls *tls)
{
	(void) tls;
	return "built without TLS";
}

#endif							/* INVAL_TLS */
