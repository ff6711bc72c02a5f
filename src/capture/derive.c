/*
 * derive.c
 *		Which invalidations a row owes under a rule.
 *
 * Most rules are plain: the row's own columns give one key.  The others may
 * give several keys or none: arrays, variables, and what is looked up in other
 * tables along foreign keys or by a query.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "base/skips.h"
#include "capture/derive.h"

/* A rule being applied to a row */
typedef struct Derivation
{
	InvalRule  *rule;
	TupleTableSlot *row;		/* what the templates are rendered for */
	InvalState	state;
	InvalRenderResult result;
	InvalEntryCallback callback;
	void	   *arg;
	int			entries;		/* given so far */
	int			rendered;		/* how many of the templates have their text */
	bool		has[INVAL_RULE_TEMPLATES];	/* and which of those gave one */
} Derivation;

static StringInfoData buffers[INVAL_RULE_TEMPLATES];

static void derive_note_lost(InvalRule *rule);
static void derive_begin(void);
static void derive_reset_buffer(StringInfo buffer);
static void derive_row(Derivation *derivation, TupleTableSlot *row);
static void derive_next(Derivation *derivation);
static void derive_text(StringInfo text, void *arg);
static bool derive_fill_entry(const InvalRule *rule, const bool *has, InvalEntry *entry);
static void derive_fill_told(const InvalRule *rule, const bool *has, InvalEntry *entry);

/*
 * Renders the invalidation that a row owes under a plain rule.  Returns false
 * if it owes none, because a column is NULL; or because the key is too long to
 * be one, which is said aloud.  The entry's bytes are good until the next call.
 */
bool
inval_derive_plain(InvalRule *rule, TupleTableSlot *row, InvalEntry *entry)
{
	bool		has[INVAL_RULE_TEMPLATES] = {false};
	int			i;

	derive_begin();
	for (i = 0; i < INVAL_RULE_TEMPLATES; i++)
	{
		if (rule->templates[i] == NULL)
			continue;
		has[i] = inval_render(&buffers[i], rule->templates[i], row);
		if (unlikely(!has[i]))
		{
			derive_note_lost(rule);
			if (i < INVAL_RULE_CHANNEL)
				return false;
		}
	}
	return derive_fill_entry(rule, has, entry);
}

/*
 * Hands each invalidation that a row owes under a rule to the callback, with
 * what must be looked up taken as it is in "state".  Says why if there is
 * none.  Leaks into the current memory context.  Not to be called from within
 * the callback.
 */
InvalRenderResult
inval_derive_each(InvalRule *rule, TupleTableSlot *row, InvalState state,
				  InvalEntryCallback callback, void *arg)
{
	Derivation	derivation = {rule, row, state, INVAL_RENDER_NULL, callback, arg};

	derive_begin();
	if (rule->via == NULL)
		derive_row(&derivation, row);
	else
	{
		InvalViaRows *rows = inval_via_rows(rule->via, row, state);
		TupleTableSlot *found;

		while ((found = inval_via_next(rows)) != NULL)
			derive_row(&derivation, found);
	}
	derive_note_lost(rule);
	return derivation.result;
}

/*
 * Notes that a text was left out because it cannot be written in UTF-8.
 */
static void
derive_note_lost(InvalRule *rule)
{
	int			i;

	for (i = 0; i < INVAL_RULE_TEMPLATES; i++)
		if (rule->templates[i] != NULL && unlikely(rule->templates[i]->lost))
		{
			rule->templates[i]->lost = false;
			inval_skips_note(rule->id, INVAL_SKIP_ENCODING);
		}
}

static void
derive_begin(void)
{
	int			i;

	if (unlikely(buffers[0].data == NULL))
	{
		MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

		for (i = INVAL_RULE_TEMPLATES - 1; i >= 0; i--)
			initStringInfo(&buffers[i]);
		MemoryContextSwitchTo(old);
	}
	for (i = 0; i < INVAL_RULE_TEMPLATES; i++)
		derive_reset_buffer(&buffers[i]);
}

/*
 * Empties a buffer, and gives it back if some huge value made it grow.
 */
static void
derive_reset_buffer(StringInfo buffer)
{
	resetStringInfo(buffer);
	if (unlikely(buffer->maxlen > 2 * INVAL_MAX_KEY_LENGTH))
	{
		buffer->data = repalloc(buffer->data, 1024);
		buffer->maxlen = 1024;
	}
}

/*
 * A row that names keys: the changed one, or one that the query gave.
 */
static void
derive_row(Derivation *derivation, TupleTableSlot *row)
{
	derivation->row = row;
	derivation->rendered = 0;
	derive_next(derivation);
}

/*
 * Renders the next template, and with each text that it gives the rest of them.
 * Without a text for what is told, the key is invalidated all the same.
 */
static void
derive_next(Derivation *derivation)
{
	int			number = derivation->rendered;
	InvalBoundTemplate *template;
	InvalRenderResult result = INVAL_RENDER_DONE;

	if (number == INVAL_RULE_TEMPLATES)
	{
		derive_text(NULL, derivation);
		return;
	}
	template = derivation->rule->templates[number];
	derivation->has[number] = template != NULL;
	derivation->rendered++;
	if (template == NULL)
		derive_next(derivation);
	else
	{
		resetStringInfo(&buffers[number]);
		result = inval_render_each(&buffers[number], template, derivation->row,
								   derivation->state, derive_text, derivation);
	}
	if (result != INVAL_RENDER_DONE && number >= INVAL_RULE_CHANNEL)
	{
		derivation->has[number] = false;
		derive_next(derivation);
	}
	else if (result == INVAL_RENDER_MISSING)
		derivation->result = result;
	derivation->rendered = number;
}

/*
 * A template has its text: goes on to the next, or hands over the entry if that
 * was the last one.
 */
static void
derive_text(StringInfo text, void *arg)
{
	Derivation *derivation = arg;
	InvalEntry	entry;

	(void) text;
	if (derivation->rendered < INVAL_RULE_TEMPLATES)
	{
		derive_next(derivation);
		return;
	}
	if (derivation->entries++ == INVAL_MAX_KEYS)
		inval_render_refuse_many();
	if (!derive_fill_entry(derivation->rule, derivation->has, &entry))
		return;
	if (derivation->result == INVAL_RENDER_NULL)
		derivation->result = INVAL_RENDER_DONE;
	derivation->callback(&entry, derivation->arg);
}

/*
 * Makes an entry of what the buffers hold; false if that is too long.
 */
static bool
derive_fill_entry(const InvalRule *rule, const bool *has, InvalEntry *entry)
{
	if (buffers[INVAL_RULE_KEY].len + buffers[INVAL_RULE_FIELD].len > INVAL_MAX_KEY_LENGTH)
	{
		inval_skips_note(rule->id, INVAL_SKIP_LONG);
		return false;
	}
	memset(entry, 0, sizeof(*entry));
	entry->action = rule->action;
	entry->fence = rule->fence;
	entry->strict = rule->lane == INVAL_LANE_STRICT;
	entry->rule = rule->id;
	if (rule->action == INVAL_ACTION_EXPIRE)
		entry->ttl_ms = (uint32) rule->ttl_ms;
	entry->key = buffers[INVAL_RULE_KEY].data;
	entry->key_length = (uint32) buffers[INVAL_RULE_KEY].len;
	if (has[INVAL_RULE_FIELD])
	{
		entry->field = buffers[INVAL_RULE_FIELD].data;
		entry->field_length = (uint32) buffers[INVAL_RULE_FIELD].len;
	}
	if (unlikely(has[INVAL_RULE_CHANNEL] || has[INVAL_RULE_STREAM]))
		derive_fill_told(rule, has, entry);
	return true;
}

/*
 * What is told of it must fit into a row of the outbox with it; the key is
 * invalidated in any case.
 */
static void
derive_fill_told(const InvalRule *rule, const bool *has, InvalEntry *entry)
{
	int			length = 0;
	int			i;

	for (i = 0; i < INVAL_RULE_TEMPLATES; i++)
		length += has[i] ? buffers[i].len : 0;
	if (length > INVAL_MAX_KEY_LENGTH)
	{
		inval_skips_note(rule->id, INVAL_SKIP_LONG);
		return;
	}
	if (has[INVAL_RULE_CHANNEL] && buffers[INVAL_RULE_CHANNEL].len > 0)
	{
		entry->channel = buffers[INVAL_RULE_CHANNEL].data;
		entry->channel_length = (uint32) buffers[INVAL_RULE_CHANNEL].len;
	}
	if (has[INVAL_RULE_STREAM] && buffers[INVAL_RULE_STREAM].len > 0)
	{
		entry->stream = buffers[INVAL_RULE_STREAM].data;
		entry->stream_length = (uint32) buffers[INVAL_RULE_STREAM].len;
	}
}
