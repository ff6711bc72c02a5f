/*
 * marker.h
 *		Names of what is kept beside a key.
 */
#ifndef INVAL_MARKER_H
#define INVAL_MARKER_H

/* What the names of markers have behind their key */
#define INVAL_LEASE		":inval-lease"
#define INVAL_STALE		":inval-stale"	/* how long the value is, at its end */
#define INVAL_FENCE		":inval-fence"
#define INVAL_TAKEN		":inval-taken"	/* what a set has listed: worker/members.c */

/* How all of them begin */
#define INVAL_MARKER	":inval-"

/* The bytes that the name of a key's marker has at most */
#define INVAL_MARKER_SIZE(key_length)	(2 * (Size) (key_length) + 16)

extern Size inval_marker_write(const char *kind, const char *key, Size length, char *name);
extern bool inval_marker_is(const char *name, Size length);
extern bool inval_marker_stays(const char *name, Size length);

#endif							/* INVAL_MARKER_H */
