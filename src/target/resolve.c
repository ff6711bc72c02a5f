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

	if (inval_url_is_address(host))
	{
		strlcpy(addresses[0], host, INVAL_RESOLVED_LEN);
		return 1;
	}
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
 * Gives the first address of a host.  Returns false and a message if there is
 * none.  Raises no error of its own.
 */
bool
inval_resolve_host(const char *host, char address[INVAL_RESOLVED_LEN],
				   char *error, Size error_size)
{
	return inval_resolve_all(host, (char (*)[INVAL_RESOLVED_LEN]) address, 1,
							 error, error_size) > 0;
}
