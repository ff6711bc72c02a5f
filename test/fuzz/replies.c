/*
 * replies.c
 *		A reader, fed with an input.
 */
#include "postgres.h"

#include "version/server.h"
#include "replies.h"
#include "stubs.h"

/*
 * Reads the replies in an input that comes in portions of so many bytes.  With "keeps" as
 * those about servers are, else as those to deliveries are.  False if something was
 * refused.
 */
bool
fuzz_replies(const uint8 *bytes, size_t length, size_t portion, bool keeps,
			 ReplyVisitor visit, void *arg)
{
	InvalReader reader;
	size_t		fed;
	bool		good = true;

	FUZZ_CHECK(inval_reader_init(&reader));

	/* No context is ever looked into. */
	reader.context = keeps ? (MemoryContext) &reader : NULL;
	for (fed = 0; good && fed < length; fed += portion)
	{
		const InvalReply *reply;

		good = inval_reader_feed(&reader, (const char *) bytes + fed,
								 Min(portion, length - fed));
		while (good && (reply = inval_reader_next(&reader)) != NULL)
			visit(reply, arg);
		good = good && reader.refused == NULL;
	}
	if (!good)
		FUZZ_CHECK(reader.refused != NULL && strlen(reader.refused) < 200);
	else
		(void) inval_reader_is_empty(&reader);
	inval_reader_free(&reader);
	return good;
}
