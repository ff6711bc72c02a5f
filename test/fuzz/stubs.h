/*
 * stubs.h
 *		What the targets see of the stand-ins for the server.
 */
#ifndef INVAL_FUZZ_STUBS_H
#define INVAL_FUZZ_STUBS_H

/* What libFuzzer calls; 0 is what it wants to hear. */
extern int	LLVMFuzzerTestOneInput(const uint8 *bytes, size_t length);

extern bool fuzz_try(void (*function) (void *arg), void *arg);
extern char *fuzz_text(const uint8 *bytes, size_t length);
extern void fuzz_forget(void);

/* What must be true whatever the input is */
#define FUZZ_CHECK(condition) \
	((condition) ? (void) 0 : fuzz_fail(#condition, __FILE__, __LINE__))

pg_noreturn extern void fuzz_fail(const char *condition, const char *file, int line);

#endif							/* INVAL_FUZZ_STUBS_H */
