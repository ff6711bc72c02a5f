/*
 * columns.h
 *		The columns of an outbox table, as inval_outbox_source declares them.
 */
#ifndef INVAL_OUTBOX_COLUMNS_H
#define INVAL_OUTBOX_COLUMNS_H

enum
{
	OUTBOX_XID,
	OUTBOX_FIRST,
	OUTBOX_TARGET,
	OUTBOX_LANE,
	OUTBOX_ENTRIES,
	OUTBOX_QUEUED_AT,
	OUTBOX_PACK,
	OUTBOX_ORIGIN,
	OUTBOX_COLUMNS
};

/* What a NULL in these columns stands for */
#define OUTBOX_USUAL_FIRST		0
#define OUTBOX_USUAL_TARGET		0
#define OUTBOX_USUAL_ENTRIES	1

/*
 * What the column "lane" says: who sends the row's entries, and, by a capital
 * letter, that they are all that the transaction has queued (of refills: that the
 * commit was to deliver what comes before them).  Those that are sent
 * once more when standbys have replayed them have letters of their own, and so
 * have those of which only that is left, and those that are confirmed and stay until
 * that is settled.
 */
#define OUTBOX_LETTER_COMMIT		'c'
#define OUTBOX_LETTER_COMMIT_ALL	'C'
#define OUTBOX_LETTER_WORKER		'w'
#define OUTBOX_LETTER_WORKER_ALL	'W'
#define OUTBOX_LETTER_COMMIT_AGAIN		'd'
#define OUTBOX_LETTER_COMMIT_ALL_AGAIN	'D'
#define OUTBOX_LETTER_WORKER_AGAIN		'x'
#define OUTBOX_LETTER_WORKER_ALL_AGAIN	'X'
#define OUTBOX_LETTER_REPEAT		'r'
#define OUTBOX_LETTER_REPLAY		's'
#define OUTBOX_LETTER_HELD			'h'
#define OUTBOX_LETTER_LOOK			'l'
#define OUTBOX_LETTER_REFILL		'f'
#define OUTBOX_LETTER_REFILL_COMMITTED	'F'

#endif							/* INVAL_OUTBOX_COLUMNS_H */
