/*
 * hiredis.h
 *		What differs between versions of hiredis, from 0.14 on.
 */
#ifndef INVAL_VERSION_HIREDIS_H
#define INVAL_VERSION_HIREDIS_H

#include <hiredis/hiredis.h>

#if HIREDIS_MAJOR == 0 && HIREDIS_MINOR < 14
#error "inval needs hiredis 0.14 or later"
#endif

/* How many things a list has, as the reader is told */
#if HIREDIS_MAJOR >= 1
typedef size_t InvalHiredisCount;
#else
typedef int InvalHiredisCount;
#endif

/* In a redisReplyObjectFunctions: who makes numbers and booleans of the third version of
 * the protocol, which no 0.14 knows */
#if HIREDIS_MAJOR >= 1
#define INVAL_HIREDIS_THIRD(number, boolean)	.createDouble = (number), .createBool = (boolean),
#else
#define INVAL_HIREDIS_THIRD(number, boolean)
#endif

#endif							/* INVAL_VERSION_HIREDIS_H */
