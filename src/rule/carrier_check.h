/*
 * carrier_check.h
 *		Rules that this version cannot read.
 */
#ifndef INVAL_CARRIER_CHECK_H
#define INVAL_CARRIER_CHECK_H

#include "rule/definition.h"

#define INVAL_CARRIER_PREFIX	"00_inval_rule_"

/* What becomes of one */
typedef enum InvalCarrierUnread
{
	INVAL_CARRIER_ERROR,
	INVAL_CARRIER_WARN,			/* it is left out; from then on silently */
	INVAL_CARRIER_SILENT
} InvalCarrierUnread;

extern bool inval_carrier_check(const InvalDefinition *definition, const char *unknown,
								InvalCarrierUnread *unread);

#endif							/* INVAL_CARRIER_CHECK_H */
