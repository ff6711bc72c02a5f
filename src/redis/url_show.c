/*
 * url_show.c
 *		URLs for people to read, without passwords.
 */
#include "postgres.h"

#include "redis/url.h"

static void url_append_place(const InvalUrl *url, char *text, Size size);
static void url_append_host(const char *name, int port, char *text, Size size);
static void url_append_part(const char *part, char *text, Size size);

/*
 * The address without credentials, for views and messages.
 */
void
inval_url_address(const InvalUrl *url, char *address, Size size)
{
	static const char *const schemes[] = {
		[INVAL_URL_TCP] = "redis://",
		[INVAL_URL_TLS] = "rediss://",
		[INVAL_URL_UNIX] = "unix://",
		[INVAL_URL_SENTINEL] = "redis+sentinel://",
		[INVAL_URL_CLUSTER] = "redis+cluster://",
		[INVAL_URL_CLUSTER_TLS] = "rediss+cluster://"
	};

	strlcpy(address, schemes[url->kind], size);
	url_append_place(url, address, size);
}

/*
 * The whole URL, with asterisks in place of the password.
 */
void
inval_url_show(const InvalUrl *url, char *text, Size size)
{
	char		address[INVAL_URL_SHOWN_LEN];
	char		user[INVAL_URL_PART_LEN * 3] = "";
	const char *password = url->password[0] != '\0' ? "********" : "";
	bool		has_user = url->user[0] != '\0' || url->password[0] != '\0';
	bool		has_option = url->kind == INVAL_URL_UNIX;
	Size		i;

	inval_url_address(url, address, sizeof(address));
	url_append_part(url->user, user, sizeof(user));
	if (has_user && url->kind == INVAL_URL_UNIX)
		snprintf(text, size, "%s&user=%s&password=%s", address, user, password);
	else if (has_user)
	{
		const char *place = strstr(address, "://") + 3;

		snprintf(text, size, "%.*s%s:%s@%s", (int) (place - address), address,
				 user, password, place);
	}
	else
		strlcpy(text, address, size);

	for (i = 0; inval_url_options[i].name != NULL; i++)
	{
		const InvalUrlOption *option = &inval_url_options[i];
		const char *value = (const char *) url + option->place;

		/* User and password are there; a name that is the host says nothing. */
		if (option->kinds == INVAL_URL_ONLY(INVAL_URL_UNIX) || value[0] == '\0' ||
			(option->kinds & INVAL_URL_ONLY(url->kind)) == 0 || strcmp(value, url->host) == 0)
			continue;
		strlcat(text, has_option ? "&" : "?", size);
		strlcat(text, option->name, size);
		strlcat(text, "=", size);
		url_append_part(value, text, size);
		has_option = true;
	}
}

/*
 * What follows the scheme.
 */
static void
url_append_place(const InvalUrl *url, char *text, Size size)
{
	char		db[24];
	int			i;

	snprintf(db, sizeof(db), url->kind == INVAL_URL_UNIX ? "?db=%d" : "/%d", url->db);
	if (url->kind == INVAL_URL_UNIX)
		url_append_part(url->host, text, size);
	else if (url->kind == INVAL_URL_SENTINEL || inval_url_is_cluster(url))
		for (i = 0; i < url->host_count; i++)
		{
			if (i > 0)
				strlcat(text, ",", size);
			url_append_host(url->hosts[i].name, url->hosts[i].port, text, size);
		}
	else
		url_append_host(url->host, url->port, text, size);
	if (url->kind == INVAL_URL_SENTINEL)
	{
		strlcat(text, "/", size);
		url_append_part(url->master, text, size);
	}
	if (!inval_url_is_cluster(url))
		strlcat(text, db, size);
}

static void
url_append_host(const char *name, int port, char *text, Size size)
{
	bool		is_v6 = strchr(name, ':') != NULL;
	char		number[16];

	snprintf(number, sizeof(number), is_v6 ? "]:%d" : ":%d", port);
	if (is_v6)
		strlcat(text, "[", size);
	url_append_part(name, text, size);
	strlcat(text, number, size);
}

/*
 * As it can stand in a URL, and in any view and log: what is not plain ASCII is
 * encoded.
 */
static void
url_append_part(const char *part, char *text, Size size)
{
	Size		length = strlen(text);

	for (; *part != '\0' && length + 3 < size; part++)
	{
		bool		plain = *part > ' ' && *part <= '~' && *part != '%';

		length += (Size) snprintf(text + length, size - length,
								  plain ? "%c" : "%%%02X", (unsigned char) *part);
	}
}
