/*
 * prefix.h
 *		Finding all keys of one Redis server that start with some bytes.
 */
#ifndef INVAL_PREFIX_H
#define INVAL_PREFIX_H

#include "redis/connection.h"

#define INVAL_CURSOR_LEN	24

/* A search, which goes on from step to step */
typedef struct InvalPrefixSearch
{
	char	   *prefix;
	Size		length;
	char	   *pattern;		/* the prefix as SCAN wants it */
	char	   *leases;			/* the same for the leases of such keys; NULL: they
								 * need not go first */
	bool		before;			/* these are being searched for */
	char		cursor[INVAL_CURSOR_LEN];	/* where SCAN goes on */
	bool		through;		/* all there was has been found */
} InvalPrefixSearch;

extern void inval_prefix_init(InvalPrefixSearch *search, const char *prefix,
							  Size length, bool leases_first);
extern void inval_prefix_end(InvalPrefixSearch *search);
extern void inval_prefix_rewind(InvalPrefixSearch *search);
extern const InvalReply *inval_prefix_step(InvalPrefixSearch *search,
										   InvalConnection *connection,
										   uint64 deadline, char *error,
										   Size error_size);
extern bool inval_prefix_has(const InvalPrefixSearch *search, const char *key,
							 Size length);
extern double inval_prefix_share(const InvalPrefixSearch *search);

#endif							/* INVAL_PREFIX_H */
