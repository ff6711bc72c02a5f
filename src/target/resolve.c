/*
 * resolve.c
 *		Host names as addresses.
 *
 * Resolving has no deadline: it is for the worker, or for a session where there
 * is none.  It can be interrupted.
 */
#include "postgres.h"

#include <netdb.h>
#include <sys/socket.h>

#include "redis/url.h"
#include "target/host_lookup.h"
#include "target/resolve.h"

/* A host that has more will do with these. */
#define MAX_ADDRESSES	16

/*
 * Gives the addresses of a host, at most so many, and how many they are; 0 and
 * a message if there are none.  Raises no error of its own.
 */
int
inval_resolve_all(const char *host, char (*addresses)[INVAL_RESOLVED_LEN], int max,
				  char *error, Size error_size)
{
	struct addrinfo *found = NULL;
	struct addrinfo *address;
	int			count = 0;
	int			problem;

	problem = inval_host_lookup(host, &found);
	for (address = found; problem == 0 && address != NULL && count < max;
		 address = address->ai_next)
	{
		problem = getnameinfo(address->ai_addr, address->ai_addrlen, addresses[count],
							  INVAL_RESOLVED_LEN, NULL, 0, NI_NUMERICHOST);
		if (problem == 0)
			count++;
	}
	if (found != NULL)
		freeaddrinfo(found);
	if (count == 0)
		snprintf(error, error_size, "could not resolve the host name: %s",
				 gai_strerror(problem));
	return count;
}

/*
 * Gives the address of a host; of several the one whose turn it is, counted
 * from 0.  Returns false and a message if there is none.  Raises no error of its own.
 */
bool
inval_resolve_host(const char *host, uint32 turn, char *address, Size size,
				   char *error, Size error_size)
{
	char		addresses[MAX_ADDRESSES][INVAL_RESOLVED_LEN];
	int			count;

	if (inval_url_is_address(host))
	{
		strlcpy(address, host, size);
		return true;
	}
	count = inval_resolve_all(host, addresses, MAX_ADDRESSES, error, error_size);
	if (count == 0)
		return false;
	strlcpy(address, addresses[turn % (uint32) count], size);
	return true;
}
