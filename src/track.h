/*
 * track.h
 *		Options of inval_track, checked.
 */
#ifndef INVAL_TRACK_H
#define INVAL_TRACK_H

#include "fmgr.h"
#include "utils/relcache.h"

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
	TRACK_ARGUMENTS
};

/* What a rule is made of, besides its relation */
typedef struct InvalTrackOptions
{
	char	   *key;
	char	   *field;			/* NULL: none */
	char	   *action;
	char	   *delivery;
	Datum		changes;		/* text[] */
	bool		changes_null;
	Datum		targets;		/* text[] */
	char	   *state;
} InvalTrackOptions;

extern Relation inval_track_open(Oid relid);
extern void inval_track_check_relation(Relation relation);
extern void inval_track_check_owner(Oid relid);
extern void inval_track_check_options(FunctionCallInfo fcinfo, Relation relation,
									  InvalTrackOptions *options);

#endif							/* INVAL_TRACK_H */
