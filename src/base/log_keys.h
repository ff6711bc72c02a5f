/*
 * log_keys.h
 *		Keys in the server's log.
 */
#ifndef INVAL_LOG_KEYS_H
#define INVAL_LOG_KEYS_H

extern char *inval_log_key(const char *key);

#endif							/* INVAL_LOG_KEYS_H */
