/*
 * settings.h
 *		The settings, as inval.* in postgresql.conf.
 */
#ifndef INVAL_SETTINGS_H
#define INVAL_SETTINGS_H

/* The release, as META.json has it: test/versions compares them. */
#define INVAL_VERSION "1.0.0"

extern const char *inval_redis_url;
extern int	inval_commit_timeout;	/* ms */
extern int	inval_commit_max_keys;
extern int	inval_connect_timeout;	/* ms */
extern int	inval_reply_timeout;	/* ms */
extern int	inval_pending_memory;	/* kB */
extern int	inval_retry_max;		/* ms */
extern int	inval_sweep_interval;	/* ms */
extern int	inval_refill_timeout;
extern int	inval_audit_interval;
extern int	inval_audit_sample;
extern int	inval_shadow_keys;
extern int	inval_history_keys;
extern int	inval_batch_keys;
extern int	inval_workers;
extern int	inval_max_targets;
extern int	inval_max_connections;
extern int	inval_backlog_max_keys;
extern int	inval_backlog_max_age;	/* s */
extern bool inval_look_again;
extern int	inval_progress_interval;	/* ms; -1: never */
extern bool inval_log_keys;
extern bool inval_repeat_after_replay;
extern int	inval_replay_timeout;	/* ms */
extern bool inval_load_library;
extern int	inval_strict_timeout;	/* ms */
extern int	inval_fence_life;	/* ms */
extern int	inval_stream_max_entries;

extern void inval_settings_init(void);

#endif							/* INVAL_SETTINGS_H */
