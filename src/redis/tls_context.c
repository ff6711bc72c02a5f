/*
 * tls_context.c
 *		What TLS connections of a process have in common.
 *
 * To read and parse the certificates that the system trusts takes longer than a
 * commit may; so that is done once for each set of files, and again when one of
 * them has changed: certificates that are renewed need no reload.  Sessions of
 * TLS are kept for each server, so that a further connection to it costs neither
 * side the arithmetic of a handshake; they go with the files by which the server
 * was trusted.
 *
 * All of it is the C library's memory, since a session can be handed to us
 * whenever something is received.
 */
#include "postgres.h"

#include "redis/tls_context.h"

#ifdef INVAL_TLS

#include <openssl/err.h>
#include <openssl/x509.h>
#include <sys/stat.h>

/* Servers whose sessions are kept */
#define KEPT_SESSIONS	16

/* The files: trusted certificates (and where the system has others), cert, key */
#define FILES			4

typedef struct TlsSession
{
	char		host[INVAL_URL_PART_LEN];
	char		server_name[INVAL_URL_PART_LEN];
	int			port;
	SSL_SESSION *session;		/* NULL: this place is free */
} TlsSession;

struct InvalTlsContext
{
	char		paths[FILES][INVAL_URL_PART_LEN];	/* empty: none */
	struct stat files[FILES];	/* as they were when they were read */
	SSL_CTX    *ssl;			/* NULL: not read yet */
	TlsSession	sessions[KEPT_SESSIONS];
	int			next_session;	/* to be overwritten next */
	InvalTlsContext *next;
};

static InvalTlsContext *contexts = NULL;

static void context_paths(const InvalUrl *url, char (*paths)[INVAL_URL_PART_LEN]);
static bool context_is_current(const InvalTlsContext *context);
static bool context_read(InvalTlsContext *context, const InvalUrl *url,
						 const char **problem);
static bool context_load(SSL_CTX *ssl, const InvalUrl *url, const char **problem);
static void context_forget_sessions(InvalTlsContext *context);
static TlsSession *context_find_session(InvalTlsContext *context, const InvalUrl *url);
static int	context_keep_session(SSL *ssl, SSL_SESSION *session);
static int	context_no_password(char *buffer, int size, int rwflag, void *userdata);

/*
 * What goes with the files of a URL, read now if need be.  On failure returns
 * NULL and a message, which stays until the next.  Raises no error.  It takes
 * time that nobody bounds: before the clock of a commit runs.
 */
InvalTlsContext *
inval_tls_context(const InvalUrl *url, const char **error)
{
	static char text[128];
	char		paths[FILES][INVAL_URL_PART_LEN];
	InvalTlsContext *context;
	const char *problem = "out of memory";

	context_paths(url, paths);
	for (context = contexts; context != NULL; context = context->next)
		if (memcmp(context->paths, paths, sizeof(paths)) == 0)
			break;
	if (context == NULL)
	{
		context = calloc(1, sizeof(*context));
		if (context == NULL)
		{
			*error = problem;
			return NULL;
		}
		memcpy(context->paths, paths, sizeof(paths));
		context->next = contexts;
		contexts = context;
	}
	if (context_is_current(context))
		return context;
	ERR_clear_error();
	if (context_read(context, url, &problem))
		return context;
	snprintf(text, sizeof(text), "%s: %s", problem, inval_tls_queued_error());
	*error = text;
	return NULL;
}

static void
context_paths(const InvalUrl *url, char (*paths)[INVAL_URL_PART_LEN])
{
	memset(paths, 0, FILES * INVAL_URL_PART_LEN);
	if (url->cacert[0] != '\0')
		strlcpy(paths[0], url->cacert, INVAL_URL_PART_LEN);
	else
	{
		const char *file = getenv(X509_get_default_cert_file_env());
		const char *dir = getenv(X509_get_default_cert_dir_env());

		strlcpy(paths[0], file ? file : X509_get_default_cert_file(), INVAL_URL_PART_LEN);
		strlcpy(paths[1], dir ? dir : X509_get_default_cert_dir(), INVAL_URL_PART_LEN);
	}
	strlcpy(paths[2], url->cert, INVAL_URL_PART_LEN);
	strlcpy(paths[3], url->key, INVAL_URL_PART_LEN);
}

/*
 * Whether the files are what they were when they were read.
 */
static bool
context_is_current(const InvalTlsContext *context)
{
	int			i;

	if (context->ssl == NULL)
		return false;
	for (i = 0; i < FILES; i++)
	{
		const struct stat *old = &context->files[i];
		struct stat now = {0};

		if (context->paths[i][0] != '\0' && stat(context->paths[i], &now) != 0)
			memset(&now, 0, sizeof(now));
		if (now.st_ino != old->st_ino || now.st_size != old->st_size ||
			now.st_mtim.tv_sec != old->st_mtim.tv_sec ||
			now.st_mtim.tv_nsec != old->st_mtim.tv_nsec)
			return false;
	}
	return true;
}

static bool
context_read(InvalTlsContext *context, const InvalUrl *url, const char **problem)
{
	SSL_CTX    *ssl = SSL_CTX_new(TLS_client_method());
	int			i;

	if (ssl == NULL)
		return false;
	/* First, so that a change in the midst of it is seen later. */
	for (i = 0; i < FILES; i++)
		if (context->paths[i][0] == '\0' ||
			stat(context->paths[i], &context->files[i]) != 0)
			memset(&context->files[i], 0, sizeof(struct stat));

	(void) SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION);
	SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER, NULL);
#ifdef SSL_OP_IGNORE_UNEXPECTED_EOF
	/* A reply has its length in it: a mere end of the connection is no attack. */
	(void) SSL_CTX_set_options(ssl, SSL_OP_IGNORE_UNEXPECTED_EOF);
#endif
	/* The commands stay where they are, and may leave in pieces. */
	(void) SSL_CTX_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE |
							SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	/* It would go on by itself for as long as a server sends what is no data. */
	(void) SSL_CTX_clear_mode(ssl, SSL_MODE_AUTO_RETRY);
	(void) SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_CLIENT |
										  SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ssl, context_keep_session);
	SSL_CTX_set_app_data(ssl, context);

	if (!context_load(ssl, url, problem))
	{
		SSL_CTX_free(ssl);
		return false;
	}
	context_forget_sessions(context);
	/* Connections that there are have a reference to the old one. */
	SSL_CTX_free(context->ssl);
	context->ssl = ssl;
	return true;
}

static bool
context_load(SSL_CTX *ssl, const InvalUrl *url, const char **problem)
{
	*problem = "could not load the trusted certificates";
	if ((url->cacert[0] != '\0' ?
		 SSL_CTX_load_verify_locations(ssl, url->cacert, NULL) :
		 SSL_CTX_set_default_verify_paths(ssl)) != 1)
		return false;
	if (url->cert[0] == '\0')
		return true;
	/* Nobody is there to be asked for the password of a key. */
	SSL_CTX_set_default_passwd_cb(ssl, context_no_password);
	*problem = "could not load the client's certificate";
	if (SSL_CTX_use_certificate_chain_file(ssl, url->cert) != 1)
		return false;
	*problem = "could not load the client's key";
	return SSL_CTX_use_PrivateKey_file(ssl, url->key, SSL_FILETYPE_PEM) == 1;
}

static int
context_no_password(char *buffer, int size, int rwflag, void *userdata)
{
	(void) buffer;
	(void) size;
	(void) rwflag;
	(void) userdata;
	return 0;
}

/*
 * An SSL object for a connection to the server of a URL, which takes up the last
 * session with it; NULL if there is no memory.
 */
SSL *
inval_tls_context_ssl(InvalTlsContext *context, const InvalUrl *url)
{
	TlsSession *kept = context_find_session(context, url);
	SSL		   *ssl = SSL_new(context->ssl);

	if (ssl == NULL)
		return NULL;
	if (kept == NULL)
	{
		kept = &context->sessions[context->next_session];
		context->next_session = (context->next_session + 1) % KEPT_SESSIONS;
		SSL_SESSION_free(kept->session);
		kept->session = NULL;
		strlcpy(kept->host, url->host, sizeof(kept->host));
		strlcpy(kept->server_name, url->server_name, sizeof(kept->server_name));
		kept->port = url->port;
	}
	else if (kept->session != NULL)
		(void) SSL_set_session(ssl, kept->session);
	return ssl;
}

static TlsSession *
context_find_session(InvalTlsContext *context, const InvalUrl *url)
{
	int			i;

	for (i = 0; i < KEPT_SESSIONS; i++)
	{
		TlsSession *kept = &context->sessions[i];

		if (kept->port == url->port && strcmp(kept->host, url->host) == 0 &&
			strcmp(kept->server_name, url->server_name) == 0)
			return kept;
	}
	return NULL;
}

static void
context_forget_sessions(InvalTlsContext *context)
{
	int			i;

	for (i = 0; i < KEPT_SESSIONS; i++)
		SSL_SESSION_free(context->sessions[i].session);
	memset(context->sessions, 0, sizeof(context->sessions));
}

/*
 * The server has given a session: called by OpenSSL.  Returns 1 if it is kept.
 */
static int
context_keep_session(SSL *ssl, SSL_SESSION *session)
{
	const InvalUrl *url = SSL_get_app_data(ssl);
	InvalTlsContext *context = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	TlsSession *kept;

	/* Not one by which the server was trusted for files that have changed. */
	if (url == NULL || context->ssl != SSL_get_SSL_CTX(ssl))
		return 0;
	kept = context_find_session(context, url);
	if (kept == NULL)
		return 0;
	SSL_SESSION_free(kept->session);
	kept->session = session;
	return 1;
}

/*
 * The reason of the error that came first, which is the one that explains the
 * others.  Empties the queue, which is the process's: the server's own
 * connections use it too.
 */
const char *
inval_tls_queued_error(void)
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

#endif							/* INVAL_TLS */
