/*
 * tls.c
 *		TLS over a socket.
 *
 * We use OpenSSL directly: hiredis has TLS from version 1.0 on only, and there
 * checks no host name.  Nothing here waits: the socket does not block, and who
 * calls waits for what the result says.
 *
 * Whoever is at the other end may send without end what OpenSSL takes and says
 * nothing of, before it has proved to be anybody.  So the bytes come through a
 * BIO of our own, which has no more than a few for each call; then the caller
 * looks at his deadline.
 *
 * The server's certificate must be signed by somebody who is trusted (cacert,
 * else those the system trusts) and must be for the host of the URL (or sni).
 * There is no way to switch that off.
 *
 * OpenSSL allocates by malloc and reports a failure as an error, so that sending
 * and receiving are safe after the commit record.
 */
#include "postgres.h"

#include "redis/tls.h"

#ifdef INVAL_TLS

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include "redis/tls_context.h"
#include "version/server.h"

#define ERROR_LEN	128

/* Bytes that one call may receive */
#define CALL_BYTES	(64 * 1024)

struct InvalTls
{
	SSL		   *ssl;
	int			fd;
	int			may_receive;	/* bytes, in this call */
	bool		at_end;			/* the server has closed the connection */
	InvalUrl	url;			/* whose sessions are kept */
	char		error[ERROR_LEN];
};

static BIO *tls_bio(InvalTls *tls);
static int	tls_bio_read(BIO *bio, char *buffer, int size);
static int	tls_bio_write(BIO *bio, const char *bytes, int size);
static long tls_bio_control(BIO *bio, int command, long number, void *pointer);
static bool tls_expect_name(SSL *ssl, const char *name);
static void tls_begin(InvalTls *tls);
static InvalTlsResult tls_result(InvalTls *tls, int returned);
static void tls_explain(InvalTls *tls);

/*
 * Reads the files that connecting takes, if that is yet to be done, which may
 * take longer than a commit has time for.  On failure returns false and a
 * message, which stays until the next.  Raises no error.
 */
bool
inval_tls_prepare(const InvalUrl *url, const char **error)
{
	return inval_tls_context(url, error) != NULL;
}

/*
 * Prepares TLS over a socket that does not block, and need not be connected yet.
 * On failure returns NULL and a message, which stays until the next.  To be
 * freed by inval_tls_free, which leaves the socket open.  Raises no error.
 */
InvalTls *
inval_tls_create(const InvalUrl *url, int fd, const char **error)
{
	InvalTlsContext *context = inval_tls_context(url, error);
	InvalTls   *tls;
	BIO		   *bio;

	if (context == NULL)
		return NULL;
	*error = "could not prepare TLS";
	tls = calloc(1, sizeof(InvalTls));
	if (tls == NULL)
		return NULL;
	ERR_clear_error();
	tls->fd = fd;
	tls->url = *url;
	tls->ssl = inval_tls_context_ssl(context, url);
	bio = tls->ssl != NULL ? tls_bio(tls) : NULL;
	if (bio != NULL)
	{
		SSL_set_bio(tls->ssl, bio, bio);
		SSL_set_app_data(tls->ssl, &tls->url);
		SSL_set_connect_state(tls->ssl);
		if (tls_expect_name(tls->ssl, url->server_name))
			return tls;
	}
	ERR_clear_error();
	inval_tls_free(tls);
	return NULL;
}

/*
 * The socket, as OpenSSL sees it.
 */
static BIO *
tls_bio(InvalTls *tls)
{
	static BIO_METHOD *method = NULL;
	BIO		   *bio;

	if (method == NULL)
	{
		method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "inval");
		if (method == NULL)
			return NULL;
		(void) BIO_meth_set_read(method, tls_bio_read);
		(void) BIO_meth_set_write(method, tls_bio_write);
		(void) BIO_meth_set_ctrl(method, tls_bio_control);
	}
	bio = BIO_new(method);
	if (bio != NULL)
	{
		BIO_set_data(bio, tls);
		BIO_set_init(bio, 1);
	}
	return bio;
}

static int
tls_bio_read(BIO *bio, char *buffer, int size)
{
	InvalTls   *tls = BIO_get_data(bio);
	int			n;

	BIO_clear_retry_flags(bio);
	if (tls->may_receive <= 0)
	{
		BIO_set_retry_read(bio);
		return -1;
	}
	n = (int) recv(tls->fd, buffer, (size_t) size, MSG_DONTWAIT);
	if (n > 0)
		tls->may_receive -= n;
	else if (n == 0)
		tls->at_end = true;
	else if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
		BIO_set_retry_read(bio);
	return n;
}

static int
tls_bio_write(BIO *bio, const char *bytes, int size)
{
	InvalTls   *tls = BIO_get_data(bio);
	int			n = (int) send(tls->fd, bytes, (size_t) size, MSG_NOSIGNAL | MSG_DONTWAIT);

	BIO_clear_retry_flags(bio);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		BIO_set_retry_write(bio);
	return n;
}

static long
tls_bio_control(BIO *bio, int command, long number, void *pointer)
{
	InvalTls   *tls = BIO_get_data(bio);

	(void) number;
	(void) pointer;
	switch (command)
	{
		case BIO_CTRL_EOF:
			return tls->at_end;
		case BIO_CTRL_FLUSH:
			return 1;
		default:
			return 0;
	}
}

/*
 * Before each call of OpenSSL that may receive.
 */
static void
tls_begin(InvalTls *tls)
{
	tls->may_receive = CALL_BYTES;
	errno = 0;
	ERR_clear_error();
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
	/* Or the session would not be taken up by the next connection. */
	if (tls->ssl != NULL)
		SSL_set_shutdown(tls->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(tls->ssl);			/* and the BIO */
	free(tls);
}

/*
 * Goes on with the handshake; to be called until it is done or has failed.
 */
InvalTlsResult
inval_tls_handshake(InvalTls *tls)
{
	tls_begin(tls);
	return tls_result(tls, SSL_connect(tls->ssl));
}

/*
 * Sends some of the bytes; "sent" is set if done.  After WANTS_… it must be
 * called with the same bytes again.  Cannot raise an error.
 */
InvalTlsResult
inval_tls_send(InvalTls *tls, const char *bytes, Size length, Size *sent)
{
	tls_begin(tls);
	return tls_result(tls, SSL_write_ex(tls->ssl, bytes, length, sent));
}

/*
 * Receives some bytes; "received" is set if done.  Cannot raise an error.
 */
InvalTlsResult
inval_tls_receive(InvalTls *tls, char *buffer, Size size, Size *received)
{
	tls_begin(tls);
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

	tls_begin(tls);
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
			pg_fallthrough;
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
		snprintf(tls->error, sizeof(tls->error), "TLS failed: %s", inval_tls_queued_error());
	ERR_clear_error();
}

#endif							/* INVAL_TLS */
