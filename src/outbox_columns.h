/*
 * outbox_columns.h
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
	OUTBOX_BIG,
	OUTBOX_COLUMNS
};

#endif							/* INVAL_OUTBOX_COLUMNS_H */
