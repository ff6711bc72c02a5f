/*
 * batch.c
 *		Rows that are sent together, each of their entries once.
 *
 * Entries that invalidate the same are sent once, whichever transactions they
 * are of.  Those of paused rules are not: they are left over when the row is done with.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "store/pauses.h"
#include "worker/batch.h"

/* The set of what is sent */
typedef struct SentEntry
{
	int			number;
	uint32		hash;
	char		status;
} SentEntry;

#define SH_PREFIX sent
#define SH_ELEMENT_TYPE SentEntry
#define SH_KEY_TYPE int
#define SH_KEY number
#define SH_HASH_KEY(tb, key) \
	inval_entry_hash(&((InvalBatch *) (tb)->private_data)->sent[key])
#define SH_EQUAL(tb, a, b) \
	inval_entry_equal(&((InvalBatch *) (tb)->private_data)->sent[a], \
					  &((InvalBatch *) (tb)->private_data)->sent[b])
#define SH_STORE_HASH
#define SH_GET_HASH(tb, a) ((a)->hash)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

static void batch_add_entry(InvalBatch *batch, const InvalEntry *entry);

/*
 * An empty one, in the current memory context.
 */
void
inval_batch_init(InvalBatch *batch)
{
	memset(batch, 0, sizeof(*batch));
	batch->known = sent_create(CurrentMemoryContext, 256, batch);
}

/*
 * Adds a copy of a row.
 */
void
inval_batch_add(InvalBatch *batch, const InvalOutboxRow *row)
{
	InvalBatchRow *added;
	const char *place;
	char	   *pack;
	int			i;

	if (batch->nrows == batch->max_rows)
	{
		batch->max_rows = Max(64, batch->max_rows * 2);
		batch->rows = batch->rows == NULL ?
			palloc(batch->max_rows * sizeof(InvalBatchRow)) :
			repalloc(batch->rows, batch->max_rows * sizeof(InvalBatchRow));
	}
	pack = palloc(row->pack_length);
	memcpy(pack, row->pack, row->pack_length);
	added = &batch->rows[batch->nrows++];
	added->row = *row;
	added->row.pack = pack;
	added->number = batch->entries;
	added->settled = false;
	batch->bytes += row->pack_length;
	place = pack;
	for (i = 0; i < row->entries; i++)
	{
		InvalEntry	entry;

		place = inval_entry_read(place, pack + row->pack_length, &entry);
		entry.xid = row->xid;
		entry.queued_at = row->queued_at;
		batch_add_entry(batch, &entry);
	}
}

static void
batch_add_entry(InvalBatch *batch, const InvalEntry *entry)
{
	SentEntry  *found;
	bool		known;

	if (batch->entries == batch->max_entries)
	{
		batch->max_entries = Max(256, batch->max_entries * 2);
		batch->sent_as = batch->sent_as == NULL ?
			palloc(batch->max_entries * sizeof(int)) :
			repalloc(batch->sent_as, batch->max_entries * sizeof(int));
	}
	if (batch->nsent == batch->max_sent)
	{
		batch->max_sent = Max(256, batch->max_sent * 2);
		batch->sent = batch->sent == NULL ?
			palloc(batch->max_sent * sizeof(InvalEntry)) :
			repalloc(batch->sent, batch->max_sent * sizeof(InvalEntry));
	}
	if (unlikely(inval_pauses_hold(entry)))
	{
		batch->sent_as[batch->entries++] = -1;
		batch->paused++;
		return;
	}
	/* It must lie there to be looked up, and stays if it is new. */
	batch->sent[batch->nsent] = *entry;
	found = sent_insert(batch->known, batch->nsent, &known);
	if (!known)
		batch->nsent++;
	else
		batch->sent[found->number].fence |= entry->fence;
	batch->sent_as[batch->entries++] = found->number;
}
