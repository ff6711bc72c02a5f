/*
 * marker.h
 *		Names of what readers keep beside a key.
 */
#ifndef INVAL_MARKER_H
#define INVAL_MARKER_H

/* What the name of a lease has behind its key */
#define INVAL_LEASE		":inval-lease"

/* The same of its fence; and how all of them begin */
#define INVAL_FENCE		":inval-fence"
#define INVAL_MARKER	":inval-"

/* The bytes that the name of a key's lease has at most */
#define INVAL_LEASE_SIZE(key_length)	(2 * (Size) (key_length) + 16)

extern Size inval_marker_lease(const char *key, Size length, char *name);
extern bool inval_marker_is(const char *name, Size length);
extern bool inval_marker_is_fence(const char *name, Size length);

#endif							/* INVAL_MARKER_H */
