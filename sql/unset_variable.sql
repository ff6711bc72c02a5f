--
-- A rule whose variable has no value, as a dump of a single table brings it:
-- it is said, once in a session, and coverage shows it.
--
SELECT inval_set_var('marker', 'a1');
CREATE TABLE released (id integer, team_id integer);
SELECT inval_track('released', key => '{$marker}:team:{team_id}') IS NOT NULL AS tracked;
INSERT INTO released VALUES (1, 1);
SELECT * FROM queued();
SELECT * FROM inval_coverage('team_id') WHERE relation = 'released'::regclass;
-- Literal braces are none.
SELECT inval_track('released', key => '{{$nothing}}:{team_id}', state => 'shadow') IS NOT NULL AS tracked;
-- Of a rule that is switched off it is no hole.
SELECT inval_track('released', key => '{$marker}:off:{team_id}', state => 'off') IS NOT NULL AS tracked;
DROP SERVER inval_var_marker;
SELECT * FROM inval_coverage('team_id') WHERE relation = 'released'::regclass;
INSERT INTO released VALUES (2, 2), (3, 3);
INSERT INTO released VALUES (4, 4);
SELECT key FROM inval_preview('released');
SELECT * FROM queued();
\c -
SET client_min_messages = error;
SELECT key FROM inval_preview('released');
RESET client_min_messages;
INSERT INTO released VALUES (5, 5);
\c -
INSERT INTO released VALUES (6, 6);
INSERT INTO released VALUES (7, 7);
DROP TABLE released;
