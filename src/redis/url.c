/*
 * url.c
 *		Where a Redis is, as a URL.
 *
 * redis://[user[:password]@]host[:port][/db]   (":password@" for the default user)
 * rediss://…                                   the same, over TLS
 * redis+sentinel://[user[:password]@]host[:port],…/master[/db]
 * redis+cluster://[user[:password]@]host[:port],…
 * rediss+cluster://…                           the same, over TLS
 * unix:///path
 *
 * Options follow as ?name=value&…; inval_url_options below says which of them go
 * with what.  Parts may be percent-encoded.  Nothing here allocates or raises
 * an error, so that the check of the setting can use it in any process.  For "redis" there
 * may be "valkey".
 */
#include "postgres.h"

#include <arpa/inet.h>
#include <limits.h>
#include <stddef.h>
#include <sys/un.h>

#include "redis/url.h"

#define REDIS_PORT		6379
#define SENTINEL_PORT	26379

#define ONLY(kind)	INVAL_URL_ONLY(kind)
#define ALL_KINDS	(-1)
#define TLS_KINDS	(ONLY(INVAL_URL_TLS) | ONLY(INVAL_URL_CLUSTER_TLS))

/* What this build can connect to */
#ifdef INVAL_TLS
#define KNOWN_KINDS	ALL_KINDS
#else
#define KNOWN_KINDS	(~TLS_KINDS)
#endif

const InvalUrlOption inval_url_options[] = {
	{"passfile", ALL_KINDS, true, offsetof(InvalUrl, passfile)},
	{"user", ONLY(INVAL_URL_UNIX), false, offsetof(InvalUrl, user)},
	{"password", ONLY(INVAL_URL_UNIX), false, offsetof(InvalUrl, password)},
	{"cacert", TLS_KINDS, true, offsetof(InvalUrl, cacert)},
	{"cert", TLS_KINDS, true, offsetof(InvalUrl, cert)},
	{"key", TLS_KINDS, true, offsetof(InvalUrl, key)},
	{"sni", TLS_KINDS, false, offsetof(InvalUrl, server_name)},
	{"sentinelpassfile", ONLY(INVAL_URL_SENTINEL), true,
	offsetof(InvalUrl, sentinelpassfile)},
	{NULL, 0, false, 0}
};

static bool url_parse_tcp(const char *text, InvalUrl *url, char *problem);
static bool url_parse_user(const char *from, const char *to, InvalUrl *url,
						   char *problem);
static bool url_parse_hosts(const char *from, const char *to, InvalUrl *url,
							char *problem);
static bool url_parse_host(const char *from, const char *to, char *host, int *port,
						   char *problem);
static bool url_parse_path(const char *from, const char *to, InvalUrl *url,
						   char *problem);
static bool url_parse_unix(const char *text, InvalUrl *url, char *problem);
static bool url_parse_db(const char *from, const char *to, InvalUrl *url,
						 char *problem);
static bool url_parse_options(const char *text, InvalUrl *url, char *problem);
static bool url_parse_option(const char *name, const char *value,
							 InvalUrl *url, char *problem);
static bool url_check(InvalUrl *url, char *problem);
static bool url_decode(const char *from, const char *to, char *part,
					   const char *what, char *problem);
static bool url_number(const char *from, const char *to, int max, int *number);
static bool url_problem(char *problem, const char *text);

/*
 * Parses a URL.  On failure returns false and says in "problem" what is wrong,
 * without repeating any of the URL.
 */
bool
inval_url_parse(const char *text, InvalUrl *url, char problem[INVAL_URL_PROBLEM_LEN])
{
	static const struct
	{
		const char *scheme;		/* after "redis" or "valkey" */
		InvalUrlKind kind;
	}			schemes[] = {
		{"://", INVAL_URL_TCP},
		{"s://", INVAL_URL_TLS},
		{"+sentinel://", INVAL_URL_SENTINEL},
		{"+cluster://", INVAL_URL_CLUSTER},
		{"s+cluster://", INVAL_URL_CLUSTER_TLS}
	};
	const char *rest = strncmp(text, "redis", 5) == 0 ? text + 5 :
		strncmp(text, "valkey", 6) == 0 ? text + 6 : NULL;
	Size		i;

	memset(url, 0, sizeof(*url));
	if (strncmp(text, "unix://", 7) == 0)
	{
		url->kind = INVAL_URL_UNIX;
		return url_parse_unix(text + 7, url, problem) && url_check(url, problem);
	}
	for (i = 0; rest != NULL && i < lengthof(schemes); i++)
	{
		Size		length = strlen(schemes[i].scheme);

		if (strncmp(rest, schemes[i].scheme, length) != 0)
			continue;
		url->kind = schemes[i].kind;
		return url_parse_tcp(rest + length, url, problem) && url_check(url, problem);
	}
	return url_problem(problem, "The URL must start with redis://, rediss://, redis+sentinel://, redis+cluster://, rediss+cluster:// or unix://.");
}

static bool
url_parse_tcp(const char *text, InvalUrl *url, char *problem)
{
	const char *query = strchr(text, '?');
	const char *end = query ? query : text + strlen(text);
	const char *slash = memchr(text, '/', end - text);
	const char *hosts_end = slash ? slash : end;
	const char *at;

	/* The last one: a password may hold others that nobody has encoded. */
	for (at = hosts_end; at >= text && *at != '@'; at--)
		;
	if (at >= text)
	{
		if (!url_parse_user(text, at, url, problem))
			return false;
		text = at + 1;
	}

	else if (slash != NULL && url->kind != INVAL_URL_SENTINEL &&
			 memchr(slash, '@', end - slash) != NULL)
		return url_problem(problem, "What stands before the @ of the URL has a slash: write it as %2F.");

	if (url->kind == INVAL_URL_SENTINEL || inval_url_is_cluster(url))
	{
		if (!url_parse_hosts(text, hosts_end, url, problem))
			return false;
	}
	else
	{
		url->port = REDIS_PORT;
		if (!url_parse_host(text, hosts_end, url->host, &url->port, problem))
			return false;
	}
	return url_parse_path(slash ? slash + 1 : end, end, url, problem) &&
		url_parse_options(query, url, problem);
}

static bool
url_parse_user(const char *from, const char *to, InvalUrl *url, char *problem)
{
	const char *colon = memchr(from, ':', to - from);

	if (!url_decode(from, colon ? colon : to, url->user, "user", problem))
		return false;
	return colon == NULL ||
		url_decode(colon + 1, to, url->password, "password", problem);
}

static bool
url_parse_hosts(const char *from, const char *to, InvalUrl *url, char *problem)
{
	for (;;)
	{
		const char *comma = memchr(from, ',', to - from);
		InvalUrlHost *host = &url->hosts[url->host_count];

		if (url->host_count == INVAL_URL_HOSTS)
		{
			snprintf(problem, INVAL_URL_PROBLEM_LEN,
					 "The URL names more than %d %s; some of them suffice.", INVAL_URL_HOSTS,
					 url->kind == INVAL_URL_SENTINEL ? "sentinels" : "nodes");
			return false;
		}
		host->port = url->kind == INVAL_URL_SENTINEL ? SENTINEL_PORT : REDIS_PORT;
		if (!url_parse_host(from, comma ? comma : to, host->name, &host->port, problem))
			return false;
		url->host_count++;
		if (comma == NULL)
			return true;
		from = comma + 1;
	}
}

/*
 * host[:port], where the host may be an IPv6 address in brackets.  Leaves the
 * port as it is if none is given.
 */
static bool
url_parse_host(const char *from, const char *to, char *host, int *port, char *problem)
{
	const char *host_end;
	const char *colon;

	if (from < to && *from == '[')
	{
		const char *bracket = memchr(from, ']', to - from);

		if (bracket == NULL)
			return url_problem(problem, "The host of the URL lacks its closing bracket.");
		from++;
		host_end = bracket;
		colon = bracket + 1 < to ? bracket + 1 : NULL;
	}
	else
	{
		colon = memchr(from, ':', to - from);
		host_end = colon ? colon : to;
		if (colon != NULL && memchr(colon + 1, ':', to - colon - 1) != NULL)
			return url_problem(problem, "An IPv6 address in the URL must be in brackets, as in redis://[::1]:6379.");
	}
	if (!url_decode(from, host_end, host, "host", problem))
		return false;
	if (host[0] == '\0')
		return url_problem(problem, "The URL names no host.");
	if (colon != NULL &&
		(*colon != ':' || !url_number(colon + 1, to, 65535, port) || *port == 0))
		return url_problem(problem, "The port of the URL must be a number from 1 to 65535.");
	return true;
}

/*
 * What follows the hosts and their slash: [db], or master[/db].  A cluster has
 * no databases.
 */
static bool
url_parse_path(const char *from, const char *to, InvalUrl *url, char *problem)
{
	if (url->kind == INVAL_URL_SENTINEL)
	{
		const char *slash = memchr(from, '/', to - from);

		if (!url_decode(from, slash ? slash : to, url->master, "master's name", problem))
			return false;
		if (url->master[0] == '\0')
			return url_problem(problem, "The URL names no master, as in redis+sentinel://host/master.");
		if (slash == NULL)
			return true;
		from = slash + 1;
	}
	if (inval_url_is_cluster(url) && from < to)
		return url_problem(problem, "A Redis Cluster has no databases to choose from.");
	return from == to || url_parse_db(from, to, url, problem);
}

static bool
url_parse_unix(const char *text, InvalUrl *url, char *problem)
{
	const char *query = strchr(text, '?');
	const char *end = query ? query : text + strlen(text);

	if (*text != '/')
		return url_problem(problem, "The path of a unix:// URL must be absolute, as in unix:///run/redis.sock.");
	if (!url_decode(text, end, url->host, "path", problem))
		return false;
	if (strlen(url->host) >= sizeof(((struct sockaddr_un *) NULL)->sun_path))
		return url_problem(problem, "The path of the URL is longer than a Unix socket's can be.");
	return url_parse_options(query, url, problem);
}

static bool
url_parse_db(const char *from, const char *to, InvalUrl *url, char *problem)
{
	return url_number(from, to, INT_MAX, &url->db) ||
		url_problem(problem, "The database of the URL must be a number.");
}

/*
 * ?name=value&…, or NULL for none.
 */
static bool
url_parse_options(const char *query, InvalUrl *url, char *problem)
{
	while (query != NULL)
	{
		const char *name = query + 1;
		const char *next = strchr(name, '&');
		const char *stop = next ? next : name + strlen(name);
		const char *equals = memchr(name, '=', stop - name);
		char		option[24];
		char		value[INVAL_URL_PART_LEN];

		if (equals == NULL || equals - name >= (ptrdiff_t) sizeof(option))
			return url_problem(problem, "An option of the URL is not of the form name=value.");
		memcpy(option, name, equals - name);
		option[equals - name] = '\0';
		if (!url_decode(equals + 1, stop, value, "option", problem) ||
			!url_parse_option(option, value, url, problem))
			return false;
		query = next;
	}
	return true;
}

static bool
url_parse_option(const char *name, const char *value, InvalUrl *url, char *problem)
{
	static const char *const taken[] = {
		[INVAL_URL_TCP] = "A redis:// URL takes the option passfile.",
		[INVAL_URL_TLS] = "A rediss:// URL takes the options cacert, cert, key, sni and passfile.",
		[INVAL_URL_UNIX] = "A unix:// URL takes the options db, user, password and passfile.",
		[INVAL_URL_SENTINEL] = "A redis+sentinel:// URL takes the options passfile and sentinelpassfile.",
		[INVAL_URL_CLUSTER] = "A redis+cluster:// URL takes the option passfile.",
		[INVAL_URL_CLUSTER_TLS] = "A rediss+cluster:// URL takes the options cacert, cert, key, sni and passfile."
	};
	Size		i;

	if (url->kind == INVAL_URL_UNIX && strcmp(name, "db") == 0)
		return url_parse_db(value, value + strlen(value), url, problem);
	for (i = 0; inval_url_options[i].name != NULL; i++)
	{
		const InvalUrlOption *option = &inval_url_options[i];

		if (strcmp(name, option->name) != 0 || (option->kinds & ONLY(url->kind)) == 0)
			continue;
		if (option->is_path && value[0] != '/')
		{
			snprintf(problem, INVAL_URL_PROBLEM_LEN,
					 "The option %s of the URL must be an absolute path.", option->name);
			return false;
		}
		strlcpy((char *) url + option->place, value, INVAL_URL_PART_LEN);
		return true;
	}
	return url_problem(problem, taken[url->kind]);
}

/*
 * What concerns several parts.
 */
static bool
url_check(InvalUrl *url, char *problem)
{
	if ((ONLY(url->kind) & KNOWN_KINDS) == 0)
		return url_problem(problem, "This inval was built without TLS: build it where the headers of OpenSSL (libssl-dev) are.");
	if (url->password[0] != '\0' && url->passfile[0] != '\0')
		return url_problem(problem, "The URL has both a password and a passfile.");
	if ((url->cert[0] == '\0') != (url->key[0] == '\0'))
		return url_problem(problem, "The options cert and key of the URL go together.");
	if (url->server_name[0] == '\0')
		strlcpy(url->server_name, url->host, sizeof(url->server_name));
	return true;
}

bool
inval_url_is_cluster(const InvalUrl *url)
{
	return url->kind == INVAL_URL_CLUSTER || url->kind == INVAL_URL_CLUSTER_TLS;
}

/*
 * Whether a host is given by its address, so that there is nothing to resolve.
 */
bool
inval_url_is_address(const char *host)
{
	struct in6_addr ignored;

	return inet_pton(AF_INET, host, &ignored) == 1 ||
		inet_pton(AF_INET6, host, &ignored) == 1;
}

/*
 * Whether any part of it is read from a file of the server.
 */
bool
inval_url_names_files(const InvalUrl *url)
{
	Size		i;

	for (i = 0; inval_url_options[i].name != NULL; i++)
		if (inval_url_options[i].is_path &&
			*((const char *) url + inval_url_options[i].place) != '\0')
			return true;
	return false;
}

static int
url_hex_digit(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	if (digit >= 'a' && digit <= 'f')
		return digit - 'a' + 10;
	if (digit >= 'A' && digit <= 'F')
		return digit - 'A' + 10;
	return -1;
}

/*
 * Copies a part of the URL, percent-decoded, into a buffer of
 * INVAL_URL_PART_LEN.
 */
static bool
url_decode(const char *from, const char *to, char *part, const char *what,
		   char *problem)
{
	Size		length = 0;

	while (from < to)
	{
		char		c = *from++;

		if (c == '%')
		{
			int			high = from < to ? url_hex_digit(from[0]) : -1;
			int			low = from + 1 < to ? url_hex_digit(from[1]) : -1;

			if (high < 0 || low < 0 || (high == 0 && low == 0))
			{
				snprintf(problem, INVAL_URL_PROBLEM_LEN,
						 "The %s of the URL has a \"%%\" that two hexadecimal digits do not follow.",
						 what);
				return false;
			}
			c = (char) (high * 16 + low);
			from += 2;
		}
		if (length >= INVAL_URL_PART_LEN - 1)
		{
			snprintf(problem, INVAL_URL_PROBLEM_LEN,
					 "The %s of the URL is longer than %d bytes.",
					 what, INVAL_URL_PART_LEN - 1);
			return false;
		}
		part[length++] = c;
	}
	part[length] = '\0';
	return true;
}

static bool
url_number(const char *from, const char *to, int max, int *number)
{
	int64		value = 0;

	if (from == to)
		return false;
	for (; from < to; from++)
	{
		if (*from < '0' || *from > '9')
			return false;
		value = value * 10 + (*from - '0');
		if (value > max)
			return false;
	}
	*number = (int) value;
	return true;
}

/*
 * Returns false, for the caller to return.
 */
static bool
url_problem(char *problem, const char *text)
{
	strlcpy(problem, text, INVAL_URL_PROBLEM_LEN);
	return false;
}
