/*
 * slot_claim.c
 *		Which slots a node of a Redis Cluster says are its own.
 *
 * Read from its answer to CLUSTER NODES, which has a line for each node:
 *
 *		id host:port@port,name flags primary ping pong epoch link slot slot ...
 *
 * A slot is "7", "7-9", or, in the line of the node that was asked, what is
 * being moved: "[7->-id]" to another node, "[7-<-id]" from one.  Whenever a slot
 * has come to a node its epoch is a new one, unless it was the highest already; so
 * what goes and comes back leaves a trace.
 */
#include "postgres.h"

#include "common/hashfn.h"

#include "redis/slot_claim.h"

/* Where in a line, by the number of its word */
#define WORD_EPOCH		6
#define WORD_SLOTS		8

#define MYSELF			"myself"

static const char *claim_own_line(const char *text, const char *end);
static const char *claim_word(const char *line, const char *end, int number);
static const char *claim_end_of(const char *place, const char *end, const char *stops);
static bool claim_has_flag(const char *line, const char *end, const char *flag);
static void claim_read_slots(InvalSlotClaim *claim, const char *word, const char *stop);
static bool claim_find_node(const char *text, const char *end, const char *id, Size length,
							char *host, Size host_size, int *port);

/*
 * Reads an answer to CLUSTER NODES; what it claims is added to what others have
 * claimed.  Hands each node to "heir" that slots are being moved to.  Returns false
 * and a message if the answer makes no sense.
 */
bool
inval_slot_claim_read(InvalSlotClaim *claim, const InvalReply *nodes, InvalSlotHeir heir,
					  void *arg, char *error, Size error_size)
{
	const char *text = nodes->text;
	const char *end = nodes->type == INVAL_REPLY_TEXT ? text + nodes->length : NULL;
	const char *line = end != NULL ? claim_own_line(text, end) : NULL;
	const char *epoch = line != NULL ? claim_word(line, end, WORD_EPOCH) : NULL;
	const char *word;

	if (epoch == NULL)
	{
		strlcpy(error, "the answer to CLUSTER NODES is not of the known form", error_size);
		return false;
	}
	claim->imports = false;
	claim->state = hash_bytes_extended((const unsigned char *) epoch,
									   (int) (claim_end_of(epoch, end, " \r\n") - epoch), 0);
	word = claim_word(line, end, WORD_SLOTS);
	if (word != NULL)
		claim->state ^= hash_bytes_extended((const unsigned char *) word,
											(int) (claim_end_of(word, end, "\r\n") - word), 1);
	claim->state = Max(claim->state, 1);
	while (word != NULL)
	{
		const char *stop = claim_end_of(word, end, " \r\n");
		const char *id = memchr(word, '>', (Size) (stop - word));
		char		host[INVAL_NODE_HOST_LEN];
		int			port;

		if (*word != '[')
			claim_read_slots(claim, word, stop);
		else if (id == NULL)
			claim->imports = true;
		else if (id + 2 < stop &&
				 claim_find_node(text, end, id + 2, (Size) (stop - id - 3), host,
								 sizeof(host), &port))
			heir(host, port, arg);
		word = stop < end && *stop == ' ' ? stop + 1 : NULL;
	}
	return true;
}

static const char *
claim_own_line(const char *text, const char *end)
{
	while (text < end)
	{
		if (claim_has_flag(text, end, MYSELF))
			return text;
		text = claim_end_of(text, end, "\n") + 1;
	}
	return NULL;
}

/*
 * A word of a line, by its number; NULL if the line has not so many.
 */
static const char *
claim_word(const char *line, const char *end, int number)
{
	const char *place = line;

	for (; number > 0; number--)
	{
		place = claim_end_of(place, end, " \r\n");
		if (place == end || *place != ' ')
			return NULL;
		place++;
	}
	return place < end && *place != '\r' && *place != '\n' ? place : NULL;
}

/*
 * The first of some bytes, or the end.
 */
static const char *
claim_end_of(const char *place, const char *end, const char *stops)
{
	while (place < end && (*place == '\0' || strchr(stops, *place) == NULL))
		place++;
	return place;
}

static bool
claim_has_flag(const char *line, const char *end, const char *flag)
{
	const char *place = claim_word(line, end, 2);

	while (place != NULL)
	{
		const char *stop = claim_end_of(place, end, ", \r\n");

		if ((Size) (stop - place) == strlen(flag) &&
			memcmp(place, flag, (Size) (stop - place)) == 0)
			return true;
		place = stop < end && *stop == ',' ? stop + 1 : NULL;
	}
	return false;
}

/*
 * "7" or "7-9"
 */
static void
claim_read_slots(InvalSlotClaim *claim, const char *word, const char *stop)
{
	int			bounds[2] = {0, -1};
	int			i = 0;
	int			slot;

	for (; word < stop; word++)
	{
		if (*word == '-' && i == 0)
			bounds[++i] = 0;
		else if (*word < '0' || *word > '9' || bounds[i] >= INVAL_SLOTS)
			return;
		else
			bounds[i] = bounds[i] * 10 + (*word - '0');
	}
	if (i == 0)
		bounds[1] = bounds[0];
	for (slot = bounds[0]; slot <= bounds[1] && slot < INVAL_SLOTS; slot++)
		claim->claimed[slot] = true;
}

/*
 * The address of a node, by its id: what is before the last colon in front of the @.
 */
static bool
claim_find_node(const char *text, const char *end, const char *id, Size length,
				char *host, Size host_size, int *port)
{
	const char *line;

	for (line = text; line < end; line = claim_end_of(line, end, "\n") + 1)
	{
		const char *address = claim_word(line, end, 1);
		const char *colon = NULL;
		const char *place;

		if (address == NULL || (Size) (address - 1 - line) != length ||
			memcmp(line, id, length) != 0)
			continue;
		for (place = address; place < claim_end_of(address, end, "@, \r\n"); place++)
			if (*place == ':')
				colon = place;
		if (colon == NULL || (Size) (colon - address) >= host_size)
			return false;
		memcpy(host, address, (Size) (colon - address));
		host[colon - address] = '\0';
		*port = atoi(colon + 1);
		return true;
	}
	return false;
}
