/*
 * read.h
 *		Reading the outbox, and removing what is done with.
 */
#ifndef INVAL_OUTBOX_READ_H
#define INVAL_OUTBOX_READ_H

#include "storage/block.h"
#include "utils/relcache.h"
#include "utils/snapshot.h"

#include "outbox/outbox.h"

/* What is said of a row for which inval_outbox_is_readable is false */
#define INVAL_OUTBOX_UNREADABLE \
	"cannot be read, may have been written by a later version of inval"

/* Returns false to end the scan. */
typedef bool (*InvalOutboxVisitor) (InvalOutboxRow *row, void *arg);

extern void inval_outbox_scan_all(int tables, InvalOutboxVisitor visit, void *arg);
extern bool inval_outbox_scan_any(int table, BlockNumber start,
								  InvalOutboxVisitor visit, void *arg);
extern void inval_outbox_scan_own(InvalOutboxVisitor visit, void *arg);
extern bool inval_outbox_scan(int table, BlockNumber start,
							  InvalOutboxVisitor visit, void *arg);
extern void inval_outbox_never_wait(void);
extern Relation inval_outbox_open(int table, int lockmode);
extern Relation inval_outbox_open_relation(Oid relid, int lockmode);
extern void inval_outbox_scan_relation(Relation relation, Snapshot snapshot, int table,
									   BlockNumber start,
									   InvalOutboxVisitor visit, void *arg);
extern bool inval_outbox_is_owed(const InvalOutboxRow *row);
extern bool inval_outbox_is_settled(const InvalOutboxRow *row);
extern bool inval_outbox_is_waiting(const InvalOutboxRow *row);
extern bool inval_outbox_is_ripe(const InvalOutboxRow *row, TimestampTz now);
extern bool inval_outbox_refill_after(const InvalOutboxRow *row, InvalOutboxRow *before);
extern bool inval_outbox_is_readable(const InvalOutboxRow *row);
extern bool inval_outbox_delete(Relation relation, const InvalOutboxRow *row);
extern bool inval_outbox_has(Relation relation, const InvalOutboxRow *row);
extern BlockNumber inval_outbox_blocks(int table);

#endif							/* INVAL_OUTBOX_READ_H */
