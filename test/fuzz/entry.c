/*
 * entry.c
 *		Entries of the outbox: what is read can be written, and reads the same then.
 */
#include "postgres.h"

#include "base/entry.h"
#include "version/server.h"
#include "stubs.h"

static void
check_entry(const InvalEntry *entry)
{
	Size		size = inval_entry_size(entry);
	char	   *bytes = palloc(size);
	InvalEntry	again;
	InvalEntry	other = *entry;

	FUZZ_CHECK(inval_entry_write(bytes, entry) == bytes + size);
	FUZZ_CHECK(inval_entry_read(bytes, bytes + size, &again) == bytes + size);
	FUZZ_CHECK(inval_entry_equal(entry, &again));
	FUZZ_CHECK(inval_entry_hash(entry) == inval_entry_hash(&again));
	FUZZ_CHECK(again.rule == entry->rule && again.fence == entry->fence &&
			   again.strict == entry->strict && again.shared == entry->shared);

	other.rule++;
	other.fence = true;
	inval_entry_merge(bytes, &other);
	FUZZ_CHECK(inval_entry_read(bytes, bytes + size, &again) == bytes + size);
	FUZZ_CHECK(again.fence && (again.shared || again.action == INVAL_ACTION_LOOK));
}

int
LLVMFuzzerTestOneInput(const uint8 *input, size_t length)
{
	/* Of its own, so that it ends where the memory does */
	char	   *bytes = memcpy(palloc(length + 1), input, length);
	const char *place = bytes;
	InvalEntry	entry;

	bytes = repalloc(bytes, length);
	for (place = bytes; place != NULL && place < bytes + length;)
	{
		const char *next = inval_entry_read(place, bytes + length, &entry);

		if (next != NULL)
		{
			FUZZ_CHECK(next > place && next <= bytes + length);
			check_entry(&entry);
		}
		place = next;
	}
	fuzz_forget();
	return 0;
}
