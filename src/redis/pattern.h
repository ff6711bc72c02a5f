/*
 * pattern.h
 *		Which keys of a Redis server are searched for.
 */
#ifndef INVAL_PATTERN_H
#define INVAL_PATTERN_H

/* The pointer points into somebody else's bytes and is not terminated. */
typedef struct InvalPrefix
{
	const char *bytes;
	Size		length;
} InvalPrefix;

typedef struct InvalPattern
{
	InvalPrefix *prefixes;		/* each key that is found starts with one of them; in
								 * order, and none of them starts with another */
	int			count;
	Size		common;			/* so many bytes at the start are the same in all */
	char	   *keys;			/* as SCAN wants it */
	char	   *leases;			/* the same for the leases of such keys */
} InvalPattern;

extern void inval_pattern_of_prefixes(InvalPattern *pattern, const InvalPrefix *prefixes,
									  int count);
extern void inval_pattern_of_glob(InvalPattern *pattern, const char *start,
								  Size start_length, const char *glob, Size length);
extern bool inval_pattern_has(const InvalPattern *pattern, const char *key, Size length);
extern const char *inval_glob_start(const char *glob, Size length, char *start,
									Size *start_length);

#endif							/* INVAL_PATTERN_H */
