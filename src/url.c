/*
 * url.c
 *		Where a Redis is, as a URL.
 *
 * redis://[user[:password]@]host[:port][/db]   (":password@" for the default user)
 * unix:///path[?db=0][&user=…][&password=…]
 *
 * Parts may be percent-encoded.  Nothing here allocates or raises an error, so
 * that the check of the setting can use it in any process.
 */
#include "postgres.h"

#include <limits.h>
#include <sys/un.h>

#include "url.h"

static bool url_decode(const char *from, const char *to, char *part,
					   const char *what, char *problem);
static bool url_number(const char *text, int max, int *number);
static bool url_parse_tcp(const char *text, InvalUrl *url, char *problem);
static bool url_parse_unix(const char *text, InvalUrl *url, char *problem);
static bool url_parse_option(const char *name, const char *value,
							 InvalUrl *url, char *problem);

/*
 * Parses a URL.  On failure returns false and says in "problem" what is wrong,
 * without repeating any of the URL.
 */
bool
inval_url_parse(const char *text, InvalUrl *url, char problem[INVAL_URL_PROBLEM_LEN])
{
	memset(url, 0, sizeof(*url));
	url->port = 6379;

	if (strncmp(text, "redis://", 8) == 0)
		return url_parse_tcp(text + 8, url, problem);
	if (strncmp(text, "unix://", 7) == 0)
		return url_parse_unix(text + 7, url, problem);
	if (strncmp(text, "rediss://", 9) == 0 ||
		strncmp(text, "redis+", 6) == 0)
		strlcpy(problem, "This version of inval connects to single servers without TLS only.",
				INVAL_URL_PROBLEM_LEN);
	else
		strlcpy(problem, "The URL must start with redis:// or unix://.",
				INVAL_URL_PROBLEM_LEN);
	return false;
}

static bool
url_parse_tcp(const char *text, InvalUrl *url, char *problem)
{
	const char *end = text + strlen(text);
	const char *query = strchr(text, '?');
	const char *slash = strchr(text, '/');
	const char *at;
	const char *host_end;
	const char *colon;

	if (query != NULL)
	{
		strlcpy(problem, "A redis:// URL takes no options.", INVAL_URL_PROBLEM_LEN);
		return false;
	}
	if (slash != NULL)
	{
		if (slash[1] != '\0' && !url_number(slash + 1, INT_MAX, &url->db))
		{
			strlcpy(problem, "The database of the URL must be a number.",
					INVAL_URL_PROBLEM_LEN);
			return false;
		}
		end = slash;
	}

	/* The last one: a password may hold others that nobody has encoded. */
	for (at = end; at >= text && *at != '@'; at--)
		;
	if (at >= text)
	{
		colon = memchr(text, ':', at - text);
		if (!url_decode(text, colon ? colon : at, url->user, "user", problem))
			return false;
		if (colon &&
			!url_decode(colon + 1, at, url->password, "password", problem))
			return false;
		text = at + 1;
	}

	if (*text == '[')			/* an IPv6 address */
	{
		const char *bracket = memchr(text, ']', end - text);

		if (bracket == NULL)
		{
			strlcpy(problem, "The host of the URL lacks its closing bracket.",
					INVAL_URL_PROBLEM_LEN);
			return false;
		}
		text++;
		host_end = bracket;
		colon = bracket + 1 < end ? bracket + 1 : NULL;
	}
	else
	{
		colon = memchr(text, ':', end - text);
		host_end = colon ? colon : end;
	}
	if (!url_decode(text, host_end, url->host, "host", problem))
		return false;
	if (url->host[0] == '\0')
	{
		strlcpy(problem, "The URL names no host.", INVAL_URL_PROBLEM_LEN);
		return false;
	}
	if (colon != NULL)
	{
		char		port[8];

		if (*colon != ':' || end - colon - 1 >= (ptrdiff_t) sizeof(port))
			colon = NULL;
		else
		{
			memcpy(port, colon + 1, end - colon - 1);
			port[end - colon - 1] = '\0';
		}
		if (colon == NULL || !url_number(port, 65535, &url->port) || url->port == 0)
		{
			strlcpy(problem, "The port of the URL must be a number from 1 to 65535.",
					INVAL_URL_PROBLEM_LEN);
			return false;
		}
	}
	return true;
}

static bool
url_parse_unix(const char *text, InvalUrl *url, char *problem)
{
	const char *query = strchr(text, '?');
	const char *end = query ? query : text + strlen(text);

	url->is_unix = true;
	if (*text != '/')
	{
		strlcpy(problem, "The path of a unix:// URL must be absolute, as in unix:///run/redis.sock.",
				INVAL_URL_PROBLEM_LEN);
		return false;
	}
	if (!url_decode(text, end, url->host, "path", problem))
		return false;
	if (strlen(url->host) >= sizeof(((struct sockaddr_un *) NULL)->sun_path))
	{
		strlcpy(problem, "The path of the URL is longer than a Unix socket's can be.",
				INVAL_URL_PROBLEM_LEN);
		return false;
	}

	while (query != NULL)
	{
		const char *name = query + 1;
		const char *next = strchr(name, '&');
		const char *stop = next ? next : name + strlen(name);
		const char *equals = memchr(name, '=', stop - name);
		char		option[16];
		char		value[INVAL_URL_PART_LEN];

		if (equals == NULL || equals - name >= (ptrdiff_t) sizeof(option))
		{
			strlcpy(problem, "An option of the URL is not of the form name=value.",
					INVAL_URL_PROBLEM_LEN);
			return false;
		}
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
	if (strcmp(name, "db") == 0)
	{
		if (url_number(value, INT_MAX, &url->db))
			return true;
		strlcpy(problem, "The database of the URL must be a number.",
				INVAL_URL_PROBLEM_LEN);
		return false;
	}
	if (strcmp(name, "user") == 0)
		strlcpy(url->user, value, sizeof(url->user));
	else if (strcmp(name, "password") == 0)
		strlcpy(url->password, value, sizeof(url->password));
	else
	{
		strlcpy(problem, "A unix:// URL takes the options db, user and password.",
				INVAL_URL_PROBLEM_LEN);
		return false;
	}
	return true;
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
url_number(const char *text, int max, int *number)
{
	char	   *end;
	long		value;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	value = strtol(text, &end, 10);
	if (errno != 0 || *end != '\0' || value > max)
		return false;
	*number = (int) value;
	return true;
}

/*
 * The address without credentials, for views and messages.
 */
void
inval_url_address(const InvalUrl *url, char *address, Size size)
{
	if (url->is_unix)
		snprintf(address, size, "unix://%s?db=%d", url->host, url->db);
	else if (strchr(url->host, ':') != NULL)
		snprintf(address, size, "redis://[%s]:%d/%d", url->host, url->port, url->db);
	else
		snprintf(address, size, "redis://%s:%d/%d", url->host, url->port, url->db);
}

/*
 * The whole URL, with asterisks in place of the password.
 */
void
inval_url_show(const InvalUrl *url, char *text, Size size)
{
	char		address[INVAL_URL_PART_LEN + 32];
	const char *password = url->password[0] != '\0' ? "********" : "";

	inval_url_address(url, address, sizeof(address));
	if (url->user[0] == '\0' && url->password[0] == '\0')
		strlcpy(text, address, size);
	else if (url->is_unix)
		snprintf(text, size, "%s&user=%s&password=%s", address, url->user, password);
	else
		snprintf(text, size, "redis://%s:%s@%s", url->user, password,
				 address + strlen("redis://"));
}
