/*
 * error.c
 *		What an error reply is about.
 *
 * Nothing here allocates or raises an error.
 */
#include "postgres.h"

#include "redis/error.h"
#include "redis/slot.h"

static bool error_starts(const char *error, Size length, const char *prefix);

/*
 * Classifies an error reply: all of it, as the end may say what it is about.
 */
InvalErrorKind
inval_error_kind(const char *error, Size length)
{
	static const char forbidden[] = " to run the ";
	static const char forbidden_ping[] = " to run the 'ping' ";
	static const struct
	{
		const char *prefix;
		InvalErrorKind kind;
	}			known[] = {
		{"MOVED ", INVAL_ERROR_MOVED},
		{"ASK ", INVAL_ERROR_ASK},
		{"TRYAGAIN ", INVAL_ERROR_LATER},
		{"CLUSTERDOWN Hash slot not served", INVAL_ERROR_LATER},
		{"ERR max number of clients", INVAL_ERROR_CROWDED},
		{"ERR unknown command 'PING'", INVAL_ERROR_PING},
		{"ERR unknown command `PING`", INVAL_ERROR_PING},
		{"ERR unknown command", INVAL_ERROR_COMMAND},
		{"LOADING ", INVAL_ERROR_SERVER},
		{"READONLY ", INVAL_ERROR_SERVER},
		{"OOM ", INVAL_ERROR_SERVER},
		{"NOAUTH ", INVAL_ERROR_SERVER},
		{"WRONGPASS ", INVAL_ERROR_SERVER},
		{"DENIED ", INVAL_ERROR_SERVER},
		{"MISCONF ", INVAL_ERROR_SERVER},
		{"MASTERDOWN ", INVAL_ERROR_SERVER},
		{"NOREPLICAS ", INVAL_ERROR_SERVER},
		{"BUSY ", INVAL_ERROR_SERVER},
		{"CLUSTERDOWN ", INVAL_ERROR_SERVER}
	};
	Size		i;

	for (i = 0; i < lengthof(known); i++)
		if (error_starts(error, length, known[i].prefix))
			return known[i].kind;

	/* An ACL forbids the command itself, as opposed to one of the keys. */
	if (error_starts(error, length, "NOPERM ") &&
		memmem(error, length, forbidden, strlen(forbidden)) != NULL)
		return memmem(error, length, forbidden_ping, strlen(forbidden_ping)) != NULL ?
			INVAL_ERROR_PING : INVAL_ERROR_SERVER;
	return INVAL_ERROR_ENTRY;
}

static bool
error_starts(const char *error, Size length, const char *prefix)
{
	return length >= strlen(prefix) && memcmp(error, prefix, strlen(prefix)) == 0;
}

/*
 * The slot and the server that a MOVED or ASK names: "MOVED 3999 host:port".
 * The host is empty where it is that of the server that answered.
 */
bool
inval_error_names(const char *error, int *slot, char *host, Size host_size, int *port)
{
	const char *number = strchr(error, ' ');
	const char *address = number ? strchr(number + 1, ' ') : NULL;
	const char *colon = address ? strrchr(address, ':') : NULL;

	if (colon == NULL || (Size) (colon - address) > host_size)
		return false;
	*slot = atoi(number + 1);
	*port = atoi(colon + 1);
	strlcpy(host, address + 1, (Size) (colon - address));
	return *slot >= 0 && *slot < INVAL_SLOTS && *port > 0 && *port <= 65535;
}
