/*
 * progress.h
 *		How far work is that takes long, for others to see.
 */
#ifndef INVAL_PROGRESS_H
#define INVAL_PROGRESS_H

#include "datatype/timestamp.h"

#define INVAL_PROGRESS_NAME_LEN		64
#define INVAL_PROGRESS_DETAIL_LEN	160

/* One piece of work, in shared memory */
typedef struct InvalProgress
{
	int			pid;			/* 0: nobody's */
	TimestampTz process_start;	/* of that process: pids come again */
	Oid			database;
	char		operation[INVAL_PROGRESS_NAME_LEN];
	char		target[INVAL_PROGRESS_NAME_LEN];	/* "": of none */
	char		detail[INVAL_PROGRESS_DETAIL_LEN];	/* never a key; "": none */
	int64		done;
	int64		total;			/* -1: not known */
	TimestampTz started_at;
} InvalProgress;

extern void inval_progress_init(void);
extern InvalProgress *inval_progress_begin(const char *operation, const char *target,
										   int64 total);
extern void inval_progress_update(InvalProgress *progress, int64 done);
extern void inval_progress_detail(InvalProgress *progress, const char *detail);
extern void inval_progress_end(InvalProgress *progress);
extern InvalProgress *inval_progress_copies(int *count);

#endif							/* INVAL_PROGRESS_H */
