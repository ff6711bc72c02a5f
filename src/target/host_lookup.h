/*
 * host_lookup.h
 *		getaddrinfo() that can be interrupted.
 */
#ifndef INVAL_HOST_LOOKUP_H
#define INVAL_HOST_LOOKUP_H

#include <netdb.h>

extern int	inval_host_lookup(const char *host, struct addrinfo **found);

#endif							/* INVAL_HOST_LOOKUP_H */
