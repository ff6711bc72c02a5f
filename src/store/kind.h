/*
 * kind.h
 *		Kinds of settings that live in the database.
 */
#ifndef INVAL_STORE_KIND_H
#define INVAL_STORE_KIND_H

/* Kinds of items, which are the TYPE of their servers */
#define INVAL_STORE_RULE		"rule"
#define INVAL_STORE_VARIABLE	"variable"
#define INVAL_STORE_GUARD		"guard"
#define INVAL_STORE_TARGET		"target"
#define INVAL_STORE_PAUSE		"pause"
#define INVAL_STORE_RULE_PAUSE	"rule_pause"

extern const char *inval_store_prefix(const char *kind);

#endif							/* INVAL_STORE_KIND_H */
