/*
 * sentinel.h
 *		Which server the sentinels call the master.
 */
#ifndef INVAL_SENTINEL_H
#define INVAL_SENTINEL_H

#include "redis/connection.h"

typedef enum InvalSentinelVerdict
{
	INVAL_SENTINEL_MASTER,		/* found */
	INVAL_SENTINEL_SILENT,		/* no sentinel could say */
	INVAL_SENTINEL_NO_MASTER	/* what they name is no master now */
} InvalSentinelVerdict;

extern InvalSentinelVerdict inval_sentinel_find_master(const InvalUrl *url,
													   uint64 deadline,
													   char host[INVAL_URL_PART_LEN],
													   int *port,
													   char *error, Size error_size);

#endif							/* INVAL_SENTINEL_H */
