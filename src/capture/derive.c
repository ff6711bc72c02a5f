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
} Derivation;

static StringInfoData key_buffer;
static StringInfoData field_buffer;

static void derive_note_lost(InvalRule *rule);
static void derive_begin(void);
static void derive_reset_buffer(StringInfo buffer);
static void derive_row(Derivation *derivation, TupleTableSlot *row);
static void derive_key(StringInfo key, void *arg);
static void derive_field(StringInfo field, void *arg);
static bool derive_fill_entry(const InvalRule *rule, InvalEntry *entry);

/*
 * Renders the invalidation that a row owes under a plain rule.  Returns false
 * if it owes none, because a column is NULL; or because the key is too long to
 * be one, which is said aloud.  The entry's bytes are good until the next call.
 */
bool
inval_derive_plain(InvalRule *rule, TupleTableSlot *row, InvalEntry *entry)
{
	derive_begin();
	if (!inval_render(&key_buffer, rule->key, row) ||
		(rule->field != NULL && !inval_render(&field_buffer, rule->field, row)))
	{
		derive_note_lost(rule);
		return false;
	}
	return derive_fill_entry(rule, entry);
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
	Derivation	derivation = {rule, row, state, INVAL_RENDER_NULL, callback, arg, 0};

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
 * Notes that a key was left out because it cannot be written in UTF-8.
 */
static void
derive_note_lost(InvalRule *rule)
{
	if (likely(!rule->key->lost && (rule->field == NULL || !rule->field->lost)))
		return;
	rule->key->lost = false;
	if (rule->field != NULL)
		rule->field->lost = false;
	inval_skips_note(rule->id, INVAL_SKIP_ENCODING);
}

static void
derive_begin(void)
{
	if (unlikely(key_buffer.data == NULL))
	{
		MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

		initStringInfo(&key_buffer);
		initStringInfo(&field_buffer);
		MemoryContextSwitchTo(old);
	}
	derive_reset_buffer(&key_buffer);
	derive_reset_buffer(&field_buffer);
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
	InvalRenderResult result;

	derivation->row = row;
	resetStringInfo(&key_buffer);
	result = inval_render_each(&key_buffer, derivation->rule->key, row,
							   derivation->state, derive_key, derivation);
	if (result == INVAL_RENDER_MISSING)
		derivation->result = result;
}

static void
derive_key(StringInfo key, void *arg)
{
	Derivation *derivation = arg;
	InvalRenderResult result;

	(void) key;
	if (derivation->rule->field == NULL)
	{
		derive_field(NULL, derivation);
		return;
	}
	resetStringInfo(&field_buffer);
	result = inval_render_each(&field_buffer, derivation->rule->field, derivation->row,
							   derivation->state, derive_field, derivation);
	if (result == INVAL_RENDER_MISSING)
		derivation->result = result;
}

static void
derive_field(StringInfo field, void *arg)
{
	Derivation *derivation = arg;
	InvalEntry	entry;

	(void) field;
	if (derivation->entries++ == INVAL_MAX_KEYS)
		inval_render_refuse_many();
	if (!derive_fill_entry(derivation->rule, &entry))
		return;
	if (derivation->result == INVAL_RENDER_NULL)
		derivation->result = INVAL_RENDER_DONE;
	derivation->callback(&entry, derivation->arg);
}

/*
 * Makes an entry of what the buffers hold; false if that is too long.
 */
static bool
derive_fill_entry(const InvalRule *rule, InvalEntry *entry)
{
	if (key_buffer.len + field_buffer.len > INVAL_MAX_KEY_LENGTH)
	{
		inval_skips_note(rule->id, INVAL_SKIP_LONG);
		return false;
	}
	entry->action = rule->action;
	entry->fence = rule->fence;
	entry->rule = rule->id;
	entry->key = key_buffer.data;
	entry->key_length = (uint32) key_buffer.len;
	entry->field = rule->field != NULL ? field_buffer.data : NULL;
	entry->field_length = (uint32) field_buffer.len;
	return true;
}
