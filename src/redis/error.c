/*
 * error.c
 *		What an error reply is about.
 *
 * Nothing here allocates or raises an error.
 */
#include "postgres.h"

#include "redis/error.h"
#include "redis/slot.h"

static bool error_starts(const char *error, const char *prefix);

/*
 * Classifies an error reply by its first words.
 */
InvalErrorKind
inval_error_kind(const char *error)
{
	static const char *const prefixes[] = {
		"LOADING ", "READONLY ", "OOM ", "NOAUTH ", "WRONGPASS ", "MISCONF ",
		"MASTERDOWN ", "NOREPLICAS ", "BUSY ", "CLUSTERDOWN ",
		"ERR max number of clients"
	};
	Size		i;

	if (error_starts(error, "MOVED "))
		return INVAL_ERROR_MOVED;
	if (error_starts(error, "ASK "))
		return INVAL_ERROR_ASK;
	if (error_starts(error, "TRYAGAIN ") ||
		error_starts(error, "CLUSTERDOWN Hash slot not served"))
		return INVAL_ERROR_LATER;
	for (i = 0; i < lengthof(prefixes); i++)
		if (error_starts(error, prefixes[i]))
			return INVAL_ERROR_SERVER;

	/* An ACL forbids the command itself, as opposed to one of the keys. */
	if (error_starts(error, "NOPERM ") && strstr(error, " to run the ") != NULL)
		return INVAL_ERROR_SERVER;
	return INVAL_ERROR_ENTRY;
}

static bool
error_starts(const char *error, const char *prefix)
{
	return strncmp(error, prefix, strlen(prefix)) == 0;
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
