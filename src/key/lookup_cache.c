/*
 * lookup_cache.c
 *		What look-ups have found.
 *
 * A hash table from the bytes of (look-up, state, parameters) to rows.
 *
 * Table and rows are in one context below the transaction's, so they go with
 * the transaction however it ends.  What is handed out is only good until the
 * next call of anything here, so callers copy it at once.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "common/hashfn.h"
#include "utils/memutils.h"

#include "key/lookup_cache.h"

/*
 * Beyond that much memory the cache is emptied: enough for some 40,000 parents
 * with a single short column.  An answer that takes up an eighth of it is not
 * kept.
 */
#define CACHE_MAX_BYTES		(8 * 1024 * 1024)
#define CACHE_MAX_ANSWER	(CACHE_MAX_BYTES / 8)

/* Blocks: small for the many transactions that look up little */
#define CACHE_MIN_BLOCK		(8 * 1024)
#define CACHE_MAX_BLOCK		(256 * 1024)

typedef struct CacheBytes
{
	const char *bytes;
	uint32		length;
	uint32		hash;
} CacheBytes;

typedef struct CacheEntry
{
	CacheBytes	key;
	char		status;
	InvalCacheAnswer *answer;
} CacheEntry;

#define SH_PREFIX answers
#define SH_ELEMENT_TYPE CacheEntry
#define SH_KEY_TYPE CacheBytes
#define SH_KEY key
#define SH_HASH_KEY(tb, key) ((key).hash)
#define SH_EQUAL(tb, a, b) ((a).length == (b).length && \
							memcmp((a).bytes, (b).bytes, (a).length) == 0)
#define SH_STORE_HASH
#define SH_GET_HASH(tb, a) ((a)->key.hash)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

static MemoryContext cache_context = NULL;	/* NULL: nothing in it */
static answers_hash *cache_answers = NULL;

static CacheBytes cache_bytes_of(const InvalCacheKey *key);
static void cache_begin(void);
static void cache_forget(void *arg);
static Size cache_answer_size(HeapTuple *rows, int count);
static InvalCacheAnswer *cache_answer_write(char *place, HeapTuple *rows, int count);

/*
 * Starts a key.
 */
void
inval_cache_key_begin(InvalCacheKey *key)
{
	key->bytes = key->first_room;
	key->length = 0;
	key->room = sizeof(key->first_room);
}

/*
 * Adds to a key; it must not be possible to read the whole in two ways.
 */
void
inval_cache_key_append(InvalCacheKey *key, const void *bytes, Size length)
{
	if (unlikely(key->length + length > key->room))
	{
		Size		room = (key->length + length) * 2;
		char	   *larger = MemoryContextAllocHuge(CurrentMemoryContext, room);

		memcpy(larger, key->bytes, key->length);
		key->bytes = larger;
		key->room = room;
	}
	memcpy(key->bytes + key->length, bytes, length);
	key->length += length;
}

/*
 * The answer that was stored under this key, or NULL.  Good until the next
 * call of inval_cache_store or inval_cache_empty.
 */
InvalCacheAnswer *
inval_cache_find(const InvalCacheKey *key)
{
	CacheBytes	bytes = cache_bytes_of(key);
	CacheEntry *entry;

	if (unlikely(cache_context == NULL))
		return NULL;
	entry = answers_lookup_hash(cache_answers, bytes, bytes.hash);
	return entry == NULL ? NULL : entry->answer;
}

/*
 * Copies an answer into the cache, in place of the one that was there, and
 * returns the copy.  It is as good as what inval_cache_find returns; one that
 * is too large is only copied to the current memory context.
 */
InvalCacheAnswer *
inval_cache_store(const InvalCacheKey *key, HeapTuple *rows, int count)
{
	Size		size = cache_answer_size(rows, count);
	Size		needed = MAXALIGN(key->length) + size;
	CacheBytes	bytes = cache_bytes_of(key);
	CacheEntry *entry;
	char	   *place;
	bool		found;

	if (needed > CACHE_MAX_ANSWER)
		return cache_answer_write(MemoryContextAllocHuge(CurrentMemoryContext, size), rows, count);

	if (cache_context != NULL &&
		MemoryContextMemAllocated(cache_context, false) + needed > CACHE_MAX_BYTES)
		inval_cache_empty();
	if (cache_context == NULL)
		cache_begin();

	place = MemoryContextAlloc(cache_context, needed);
	memcpy(place, key->bytes, key->length);
	entry = answers_insert_hash(cache_answers, bytes, bytes.hash, &found);

	/* One that is replaced stays where it is until the cache is emptied. */
	entry->key.bytes = place;
	entry->answer = cache_answer_write(place + MAXALIGN(key->length), rows, count);
	return entry->answer;
}

/*
 * Forgets all answers.
 */
void
inval_cache_empty(void)
{
	if (cache_context != NULL)
		MemoryContextDelete(cache_context);
}

static CacheBytes
cache_bytes_of(const InvalCacheKey *key)
{
	CacheBytes	bytes;

	bytes.bytes = key->bytes;
	bytes.length = (uint32) key->length;
	bytes.hash = hash_bytes((const unsigned char *) key->bytes, (int) key->length);
	return bytes;
}

static void
cache_begin(void)
{
	MemoryContext context = GenerationContextCreate(TopTransactionContext,
													"inval look-ups",
													0, CACHE_MIN_BLOCK, CACHE_MAX_BLOCK);
	MemoryContextCallback *callback = MemoryContextAlloc(context, sizeof(*callback));

	cache_answers = answers_create(context, 8, NULL);
	callback->func = cache_forget;
	callback->arg = NULL;
	MemoryContextRegisterResetCallback(context, callback);
	cache_context = context;
}

/*
 * The context is about to go: with the transaction, or emptied.
 */
static void
cache_forget(void *arg)
{
	(void) arg;
	cache_context = NULL;
	cache_answers = NULL;
}

static Size
cache_answer_size(HeapTuple *rows, int count)
{
	Size		size = MAXALIGN(sizeof(InvalCacheAnswer)) +
		MAXALIGN(count * sizeof(HeapTuple));
	int			i;

	for (i = 0; i < count; i++)
		size += MAXALIGN(HEAPTUPLESIZE + rows[i]->t_len);
	return size;
}

static InvalCacheAnswer *
cache_answer_write(char *place, HeapTuple *rows, int count)
{
	InvalCacheAnswer *answer = (InvalCacheAnswer *) place;
	int			i;

	place += MAXALIGN(sizeof(InvalCacheAnswer));
	answer->count = count;
	answer->rows = (HeapTuple *) place;
	place += MAXALIGN(count * sizeof(HeapTuple));
	for (i = 0; i < count; i++)
	{
		HeapTuple	copy = (HeapTuple) place;

		*copy = *rows[i];
		copy->t_data = (HeapTupleHeader) (place + HEAPTUPLESIZE);
		memcpy(copy->t_data, rows[i]->t_data, rows[i]->t_len);
		answer->rows[i] = copy;
		place += MAXALIGN(HEAPTUPLESIZE + rows[i]->t_len);
	}
	return answer;
}
