/*
 * library.h
 *		The functions that readers call, in Redis.
 */
#ifndef INVAL_LIBRARY_H
#define INVAL_LIBRARY_H

#include "target/target.h"

extern void inval_library_keep(InvalTarget *target);
extern bool inval_library_is_missing(const InvalTarget *target, char *why, Size size);

/* Cannot fail: may be called after the commit record */
extern void inval_library_note_error(InvalTarget *target, const char *error);

#endif							/* INVAL_LIBRARY_H */
