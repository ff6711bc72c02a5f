--
-- Rules are rows of inval_rule: who may write to it changes many at once, and
-- options that are not changed stay as they are, whatever they are.
--
CREATE TABLE shelf (id integer, room integer);
SELECT inval_add_target('far', 'unix:///nonexistent/far.sock', namespace => 'far:');
SELECT inval_pause('far');
SELECT inval_track('shelf', 'room', repeat_after => '1.5 s') AS repeated \gset
SELECT inval_track('shelf', key => 'far:{room}', targets => '{far,default}') AS far \gset
SELECT inval_track('shelf', key => 'both:{room}', changes => '{room}', delivery => 'background',
	repeat_after => '2 days' - interval '47 hours 59 min') AS both \gset
UPDATE inval_rule SET state = 'off' WHERE relation = 'shelf'::regclass;
SELECT key, repeat_after, targets, changes, delivery, state FROM inval_rule
WHERE relation = 'shelf'::regclass ORDER BY id;
INSERT INTO shelf VALUES (1, 1);
SELECT * FROM queued();
UPDATE inval_rule SET state = 'on' WHERE relation = 'shelf'::regclass;
INSERT INTO shelf VALUES (2, 2);
SELECT * FROM queued();
-- The same call is the same rule, and has nothing to change.
SELECT inval_track('shelf', 'room', repeat_after => '1.5 s') = :repeated AS same;
-- What is stored does not depend on the session's way to write intervals.
SET IntervalStyle = iso_8601;
UPDATE inval_rule SET state = 'shadow' WHERE id = :repeated;
RESET IntervalStyle;
SET IntervalStyle = sql_standard;
UPDATE inval_rule SET repeat_after = '2 s', state = 'on' WHERE id = :both;
RESET IntervalStyle;
SELECT t.tgname ~ '^00_inval_rule_' AS carrier, encode(t.tgargs, 'escape') ~ 'repeat_after.{1,5}(1500|2000) ms' AS "in ms"
FROM pg_trigger t WHERE t.tgrelid = 'shelf'::regclass AND t.tgname IN
	('00_inval_rule_' || :repeated, '00_inval_rule_' || :both);
-- Each can be set, added and taken away, and is checked as by inval_track.
UPDATE inval_rule SET repeat_after = NULL, targets = NULL, state = NULL WHERE id = :repeated;
INSERT INTO inval_rule (relation, key, repeat_after, targets) VALUES ('shelf', 'far:new:{id}', '1 min', '{far}');
SELECT key, repeat_after, targets, state FROM inval_rule WHERE relation = 'shelf'::regclass ORDER BY id;
\set VERBOSITY default
UPDATE inval_rule SET repeat_after = '2 h' WHERE id = :repeated;
UPDATE inval_rule SET repeat_after = '-1 s' WHERE id = :repeated;
UPDATE inval_rule SET targets = '{}' WHERE id = :repeated;
UPDATE inval_rule SET targets = '{far,NULL}' WHERE id = :repeated;
UPDATE inval_rule SET targets = '{us}' WHERE id = :repeated;
UPDATE inval_rule SET targets = '{default,default}' WHERE id = :repeated;
UPDATE inval_rule SET targets = '{far}' WHERE id = :repeated;
UPDATE inval_rule SET ttl = '1 min' WHERE id = :repeated;
UPDATE inval_rule SET refill = 'SELECT 1' WHERE id = :repeated;
DELETE FROM inval_rule WHERE relation = 'shelf'::regclass AND repeat_after IS NOT NULL;
SELECT key FROM inval_rule WHERE relation = 'shelf'::regclass ORDER BY id;

DROP TABLE shelf;
SELECT inval_drop_target('far');
SELECT count(*) FROM queued();
