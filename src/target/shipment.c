/*
 * shipment.c
 *		Entries on their way to one target.
 *
 * A shipment is filled and sealed while errors are allowed; sending it
 * (delivery.c) allocates nothing and raises nothing when interrupts are held, and
 * leaves an outcome for each entry.
 */
#include "postgres.h"

#include "target/shipment.h"

static int	shipment_compare(const void *a, const void *b);

/*
 * Starts an empty shipment to a target, whose nodes must be known if it is a
 * cluster (inval_target_connect), in the current memory context.  A detailed one
 * keeps the reason of each refusal, which allocates: for interruptible sending
 * only.
 */
void
inval_shipment_init(InvalShipment *shipment, InvalTarget *target, bool detailed)
{
	memset(shipment, 0, sizeof(*shipment));
	shipment->target = target;
	shipment->detailed = detailed;
	inval_commands_init(&shipment->commands, inval_url_is_cluster(&target->url),
						inval_target_shares_health(target) &&
						pg_atomic_read_u32(&target->health->no_unlink) != 0);
}

/*
 * Adds an entry, whose bytes must stay until the shipment is sealed.
 */
void
inval_shipment_add(InvalShipment *shipment, const InvalEntry *entry)
{
	inval_action_add(&shipment->commands, shipment->target, entry);
	shipment->entries++;
}

/*
 * The same for the fence that an entry's transaction takes on its key, for so long.
 */
void
inval_shipment_add_fence(InvalShipment *shipment, const InvalEntry *entry, int life_ms)
{
	inval_action_add_fence(&shipment->commands, entry, life_ms);
	shipment->entries++;
}

/*
 * The same for the end of that.
 */
void
inval_shipment_add_end(InvalShipment *shipment, const InvalEntry *entry)
{
	inval_action_add_end(&shipment->commands, entry);
	shipment->entries++;
}

/*
 * Where an entry is best added: what is alone first, sets before anything removes them;
 * then the keys to be removed, those of one rule together, so that they can share
 * commands; and what is told last, so that whoever hears of a key finds those of all
 * other rules gone, too.
 */
uint64
inval_shipment_rank(const InvalEntry *entry)
{
	if (inval_entry_is_told(entry) && entry->action != INVAL_ACTION_MEMBERS)
		return PG_UINT64_MAX;
	return inval_action_is_alone(entry) ? 0 : (uint64) entry->rule + 1;
}

/*
 * Puts entries in that order; those of one rank stay as they were.
 */
void
inval_shipment_sort(InvalRanked *entries, Size count)
{
	qsort(entries, count, sizeof(InvalRanked), shipment_compare);
}

static int
shipment_compare(const void *a, const void *b)
{
	const InvalRanked *x = a;
	const InvalRanked *y = b;

	if (x->rank != y->rank)
		return x->rank < y->rank ? -1 : 1;
	return x->place < y->place ? -1 : x->place > y->place;
}

/*
 * Makes a shipment ready to be sent.
 */
void
inval_shipment_seal(InvalShipment *shipment)
{
	inval_commands_finish(&shipment->commands);
	if (!shipment->commands.routed && shipment->commands.pipeline.count > 1)
	{
		appendStringInfoString(&shipment->commands.pipeline.bytes, INVAL_PING);
		shipment->has_end = true;
	}
	if (!shipment->detailed)
		return;
	shipment->outcomes = palloc0(Max(shipment->entries, 1) * sizeof(InvalOutcome));
	shipment->errors = palloc0(Max(shipment->entries, 1) * sizeof(char *));
	shipment->command_errors =
		palloc0(Max(shipment->commands.pipeline.count, 1) * sizeof(char *));
}

/*
 * Adds the connections that it is on its way over, up to so many of them all; how
 * many there are then.
 */
int
inval_shipment_connections(InvalShipment *shipment, InvalConnection **connections,
						   int max)
{
	int			count = 0;
	int			i;

	for (i = 0; i < shipment->nparts && count < max; i++)
		if (shipment->parts[i].connection != NULL)
			connections[count++] = shipment->parts[i].connection;
	return count;
}

/*
 * From commands to entries: counts those that are confirmed, and says what became
 * of each, if that is asked for.
 */
void
inval_shipment_count(InvalShipment *shipment)
{
	int			first = 0;
	int			i;
	int			k;

	shipment->confirmed = 0;
	for (i = 0; i < shipment->commands.pipeline.count; i++)
	{
		const InvalCommand *command = &shipment->commands.commands[i];

		if (command->state == INVAL_COMMAND_CONFIRMED)
			shipment->confirmed += command->entries;
		for (k = first; shipment->detailed && k < first + command->entries; k++)
		{
			shipment->outcomes[k] =
				command->state == INVAL_COMMAND_CONFIRMED ? INVAL_OUTCOME_CONFIRMED :
				command->state == INVAL_COMMAND_REFUSED ? INVAL_OUTCOME_REFUSED :
				INVAL_OUTCOME_OPEN;
			shipment->errors[k] = shipment->command_errors[i];
		}
		first += command->entries;
	}
}

/*
 * Keeps the first error.
 */
void
inval_shipment_note_error(InvalShipment *shipment, const char *error)
{
	if (shipment->error[0] == '\0')
		strlcpy(shipment->error, error, sizeof(shipment->error));
}
