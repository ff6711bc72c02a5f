/*
 * skips.h
 *		Says once per statement what was skipped, and how often.
 */
#ifndef INVAL_SKIPS_H
#define INVAL_SKIPS_H

/* Why a key is skipped; the texts are in skips.c */
typedef enum InvalSkip
{
	INVAL_SKIP_LONG,
	INVAL_SKIP_ENCODING,
	INVAL_SKIP_TELLING			/* not the key, but what is told of it */
} InvalSkip;

extern void inval_skips_init(void);
extern void inval_skips_note(uint32 rule, InvalSkip why);
extern void inval_skips_say(void);
extern bool inval_skips_mute(bool mute);
extern bool inval_skips_are_muted(void);

#endif							/* INVAL_SKIPS_H */
