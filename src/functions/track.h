/*
 * track.h
 *		Options of inval_track, checked.
 */
#ifndef INVAL_TRACK_H
#define INVAL_TRACK_H

#include "fmgr.h"
#include "utils/relcache.h"

#include "rule/definition.h"

/* Arguments of inval_track, in their order */
enum
{
	TRACK_RELATION,
	TRACK_COLUMNS,
	TRACK_KEY,
	TRACK_FIELD,
	TRACK_ACTION,
	TRACK_DELIVERY,
	TRACK_CHANGES,
	TRACK_VIA,
	TRACK_TTL,
	TRACK_PUBLISH,
	TRACK_STREAM,
	TRACK_FENCE,
	TRACK_REPEAT_AFTER,
	TRACK_REFILL,
	TRACK_TARGETS,
	TRACK_STATE,
	TRACK_AUDIT,
	TRACK_ARGUMENTS
};

extern Relation inval_track_open(Oid relid);
extern void inval_track_check_relation(Relation relation);
extern void inval_track_check_options(FunctionCallInfo fcinfo, Relation relation,
									  InvalDefinition *definition);
extern void inval_track_check_rule(InvalDefinition *definition, Relation relation);
extern void inval_track_check_combination(InvalDefinition *definition);
extern void inval_track_check_targets(const InvalDefinition *definition,
									  Relation relation);
extern int32 inval_track_write(InvalDefinition *definition);
extern int	inval_track_drop(Oid relid, const char *key, int32 id);

#endif							/* INVAL_TRACK_H */
