/*
 * stubs.c
 *		What the sources under test need of the server: memory, lists, errors.
 *
 * Each piece of memory is a malloc of its own, so that AddressSanitizer sees where it
 * ends, and is in a list, so that all can be freed after each input.  An error leaves by
 * siglongjmp, as in the server.  All else is from the server's own static libraries.
 */
#include "postgres.h"

#include <setjmp.h>

#include "nodes/pg_list.h"
#include "utils/memutils.h"

#include "version/server.h"
#include "stubs.h"

typedef struct Piece
{
	struct Piece *next;
	struct Piece **place;
	Size		size;
	char		bytes[FLEXIBLE_ARRAY_MEMBER];
} Piece;

static Piece *pieces = NULL;
static sigjmp_buf *handler = NULL;

MemoryContext CurrentMemoryContext = NULL;

void
fuzz_fail(const char *condition, const char *file, int line)
{
	fprintf(stderr, "%s:%d: not true: %s\n", file, line, condition);
	abort();
}

/*
 * Calls a function; false if it raised an error.
 */
bool
fuzz_try(void (*function) (void *arg), void *arg)
{
	sigjmp_buf	here;
	bool		good = false;

	handler = &here;
	if (sigsetjmp(here, 0) == 0)
	{
		function(arg);
		good = true;
	}
	handler = NULL;
	return good;
}

/*
 * An input as a text, which ends at its first zero byte.
 */
char *
fuzz_text(const uint8 *bytes, size_t length)
{
	return pnstrdup((const char *) bytes, length);
}

/*
 * Frees all that was allocated.
 */
void
fuzz_forget(void)
{
	while (pieces != NULL)
		pfree(pieces->bytes);
}

void *
palloc0(Size size)
{
	Piece	   *piece = calloc(1, offsetof(Piece, bytes) + size);

	FUZZ_CHECK(piece != NULL);
	piece->size = size;
	piece->next = pieces;
	piece->place = &pieces;
	if (pieces != NULL)
		pieces->place = &piece->next;
	pieces = piece;
	return piece->bytes;
}

void *
palloc(Size size)
{
	return memset(palloc0(size), 0x7f, size);
}

void
pfree(void *pointer)
{
	Piece	   *piece = (Piece *) ((char *) pointer - offsetof(Piece, bytes));

	*piece->place = piece->next;
	if (piece->next != NULL)
		piece->next->place = piece->place;
	free(piece);
}

void *
repalloc(void *pointer, Size size)
{
	Piece	   *piece = (Piece *) ((char *) pointer - offsetof(Piece, bytes));
	void	   *copy = palloc(size);

	memcpy(copy, pointer, Min(size, piece->size));
	pfree(pointer);
	return copy;
}

char *
pnstrdup(const char *text, Size length)
{
	char	   *copy;

	length = strnlen(text, length);
	copy = palloc(length + 1);
	memcpy(copy, text, length);
	copy[length] = '\0';
	return copy;
}

char *
pstrdup(const char *text)
{
	return pnstrdup(text, strlen(text));
}

void *
MemoryContextAllocExtended(MemoryContext context, Size size, int flags)
{
	(void) context;
	return flags & MCXT_ALLOC_ZERO ? palloc0(size) : palloc(size);
}

List *
lappend(List *list, void *datum)
{
	if (list == NIL)
	{
		list = palloc0(sizeof(List));
		list->type = T_List;
	}
	if (list->length == list->max_length)
	{
		ListCell   *cells = palloc((Size) (list->max_length * 2 + 4) * sizeof(ListCell));

		if (list->length > 0)
			memcpy(cells, list->elements, (Size) list->length * sizeof(ListCell));
		list->max_length = list->max_length * 2 + 4;
		list->elements = cells;
	}
	lfirst(&list->elements[list->length++]) = datum;
	return list;
}

bool
errstart(int level, const char *domain)
{
	(void) domain;
	return level >= ERROR;
}

bool
errstart_cold(int level, const char *domain)
{
	return errstart(level, domain);
}

/* The texts are made, as the server would, so that what they read is looked at. */
static int
stub_text(const char *format, va_list arguments)
{
	char		text[256];

	(void) vsnprintf(text, sizeof(text), format, arguments);
	return 0;
}

#define STUB_TEXT(name) \
int \
name(const char *format, ...) \
{ \
	va_list		arguments; \
\
	va_start(arguments, format); \
	(void) stub_text(format, arguments); \
	va_end(arguments); \
	return 0; \
}

STUB_TEXT(errmsg)
STUB_TEXT(errdetail)
STUB_TEXT(errhint)

int
errcode(int code)
{
	(void) code;
	return 0;
}

void
errfinish(const char *file, int line, const char *function)
{
	(void) function;
	if (handler == NULL)
		fuzz_fail("no error here", file, line);
	siglongjmp(*handler, 1);
}
