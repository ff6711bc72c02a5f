/*
 * template.c
 *		Key templates: what is parsed can be written, and reads the same then.
 */
#include "postgres.h"

#include "key/template.h"
#include "version/server.h"
#include "stubs.h"

static void
parse(void *arg)
{
	List	  **segments = arg;
	char	   *text = *(char **) arg;

	*segments = inval_template_parse(text, "key");
}

int
LLVMFuzzerTestOneInput(const uint8 *bytes, size_t length)
{
	/* In: the text; out: the segments */
	void	   *state = fuzz_text(bytes, length);

	if (fuzz_try(parse, &state))
	{
		char	   *first = inval_template_write(state);
		void	   *again = first;

		FUZZ_CHECK(fuzz_try(parse, &again));
		FUZZ_CHECK(list_length(again) == list_length(state));
		FUZZ_CHECK(strcmp(inval_template_write(again), first) == 0);
	}
	fuzz_forget();
	return 0;
}
