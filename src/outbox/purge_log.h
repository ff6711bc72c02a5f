/*
 * purge_log.h
 *		The record of purges.
 */
#ifndef INVAL_PURGE_LOG_H
#define INVAL_PURGE_LOG_H

#include "utils/timestamp.h"

/* Texts are in the database's encoding. */
typedef struct InvalPurgeRecord
{
	int64		id;				/* as of an entry of the outbox, inval_outbox_entry_id */
	TimestampTz started_at;
	const char *session_user;	/* names of roles */
	const char *user;
	const char *target;
	const char *pattern;
	const char *reason;
	int64		removed;		/* keys, so far */
	TimestampTz finished_at;	/* 0: it goes on in the background */
} InvalPurgeRecord;

extern void inval_purge_log_hold(void);
extern void inval_purge_log_write(const InvalPurgeRecord *record);
extern bool inval_purge_log_finish(int64 id, int64 removed);

#endif							/* INVAL_PURGE_LOG_H */
