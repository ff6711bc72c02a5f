/*
 * resolve.h
 *		Host names as addresses.
 */
#ifndef INVAL_RESOLVE_H
#define INVAL_RESOLVE_H

/* Room for an address as text */
#define INVAL_RESOLVED_LEN	64

extern int	inval_resolve_all(const char *host, char (*addresses)[INVAL_RESOLVED_LEN],
							  int max, char *error, Size error_size);
extern bool inval_resolve_host(const char *host, char address[INVAL_RESOLVED_LEN],
							   char *error, Size error_size);

#endif							/* INVAL_RESOLVE_H */
