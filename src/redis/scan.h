/*
 * scan.h
 *		Visiting all keys of one Redis server, step by step.
 */
#ifndef INVAL_SCAN_H
#define INVAL_SCAN_H

#include "redis/connection.h"

#define INVAL_CURSOR_LEN	24

/* How far a server has been visited */
typedef struct InvalCursor
{
	char		place[INVAL_CURSOR_LEN];	/* where SCAN goes on */
	int			visited;		/* keys of the server by one step */
	bool		through;		/* all there was has been found */
} InvalCursor;

extern void inval_scan_init(InvalCursor *cursor);
extern void inval_scan_begin(InvalCursor *cursor);
extern bool inval_scan_fewer(InvalCursor *cursor);
extern const InvalReply *inval_scan_step(InvalCursor *cursor, const char *pattern,
										 InvalConnection *connection, uint64 deadline,
										 char *error, Size error_size);
extern double inval_scan_share(const InvalCursor *cursor);

#endif							/* INVAL_SCAN_H */
