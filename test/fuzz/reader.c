/*
 * reader.c
 *		Replies of a Redis server: they are the same in whatever portions they come.
 */
#include "postgres.h"

#include "common/hashfn.h"

#include "redis/slot.h"
#include "version/server.h"
#include "replies.h"
#include "stubs.h"

/* What was read, so far */
typedef struct Seen
{
	int			replies;
	uint32		hash;
} Seen;

static void
see(Seen *seen, const void *bytes, Size length)
{
	seen->hash = hash_combine(seen->hash, hash_bytes(bytes, (int) length));
}

static void
see_reply(const InvalReply *reply, void *arg)
{
	Seen	   *seen = arg;
	char		host[64];
	int			slot;
	int			port;
	int			i;

	seen->replies++;
	see(seen, &reply->type, sizeof(reply->type));
	switch (reply->type)
	{
		case INVAL_REPLY_NIL:
			break;
		case INVAL_REPLY_INTEGER:
			see(seen, &reply->integer, sizeof(reply->integer));
			break;
		case INVAL_REPLY_TEXT:
			if (reply->text != NULL)
			{
				see(seen, reply->text, reply->length);
				FUZZ_CHECK(reply->text[reply->length] == '\0');
			}
			break;
		case INVAL_REPLY_LIST:
			for (i = 0; i < reply->count; i++)
				see_reply(&reply->items[i], seen);
			(void) inval_reply_text(reply, reply->count);
			break;
		case INVAL_REPLY_ERROR:
			see(seen, reply->text, strlen(reply->text));
			see(seen, &reply->kind, sizeof(reply->kind));
			if (inval_error_names(reply->text, &slot, host, sizeof(host), &port))
				FUZZ_CHECK(slot >= 0 && slot < INVAL_SLOTS && port > 0 &&
						   memchr(host, '\0', sizeof(host)) != NULL);
			break;
	}
}

int
LLVMFuzzerTestOneInput(const uint8 *bytes, size_t length)
{
	Seen		whole = {0};
	Seen		parts = {0};
	bool		keeps;
	size_t		portion;

	if (length < 2)
		return 0;
	keeps = (bytes[0] & 1) != 0;
	portion = (size_t) (bytes[0] >> 1) + 1;
	bytes++;
	length--;

	/* More than fits at a time is refused when it is fed. */
	if (fuzz_replies(bytes, length, length, keeps, see_reply, &whole))
	{
		FUZZ_CHECK(fuzz_replies(bytes, length, portion, keeps, see_reply, &parts));
		FUZZ_CHECK(parts.replies == whole.replies && parts.hash == whole.hash);
	}
	else
		(void) fuzz_replies(bytes, length, portion, keeps, see_reply, &parts);
	fuzz_forget();
	return 0;
}
