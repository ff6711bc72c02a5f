/*
 * marker.h
 *		Names of what readers keep beside a key.
 */
#ifndef INVAL_MARKER_H
#define INVAL_MARKER_H

/* What the name of a lease has behind its key */
#define INVAL_LEASE		":inval-lease"

/* The bytes that the name of a key's lease has at most */
#define INVAL_LEASE_SIZE(key_length)	(2 * (Size) (key_length) + 16)

extern Size inval_marker_lease(const char *key, Size length, char *name);

#endif							/* INVAL_MARKER_H */
