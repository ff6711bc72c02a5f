/*
 * via_rights.h
 *		Whether a role may read what a via query reads.
 */
#ifndef INVAL_VIA_RIGHTS_H
#define INVAL_VIA_RIGHTS_H

#include "key/via_query.h"

extern void inval_via_query_check_rights(const InvalViaQuery *query, Relation tracked,
										 Oid role);

#endif							/* INVAL_VIA_RIGHTS_H */
