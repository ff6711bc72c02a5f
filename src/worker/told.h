/*
 * told.h
 *		What was said of rules in the server's log, so that it is said once.
 */
#ifndef INVAL_TOLD_H
#define INVAL_TOLD_H

#include "nodes/pg_list.h"

extern bool inval_told_is_news(List **told, uint32 rule, const char *why);
extern void inval_told_forget(List **told, uint32 rule);

#endif							/* INVAL_TOLD_H */
