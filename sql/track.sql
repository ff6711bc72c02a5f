--
-- inval_track and inval_untrack: rules, and the triggers that go with them.
--
CREATE TABLE source (id integer PRIMARY KEY, team_id integer, kind text, note text);

-- A rule gives the table its triggers.
SELECT * FROM triggers_of('source');
SELECT inval_track('source', 'team_id') AS rule \gset
SELECT * FROM triggers_of('source');
SELECT * FROM rules WHERE relation = 'source'::regclass;
INSERT INTO source VALUES (1, 42, 'pg', 'a');
SELECT * FROM queued();

-- The same call is the same rule, however it is written ...
SELECT inval_track('source', 'team_id') = :rule AS same;
SELECT inval_track('public.source'::regclass, columns => 'TEAM_ID') = :rule AS same;
SELECT inval_track('source', columns => ' "team_id" ') = :rule AS same;
SELECT inval_track('source', key => 'source:{team_id}') = :rule AS same;
-- ... and updates the other options.
SELECT inval_track('source', 'team_id', delivery => 'background',
	changes => '{note}', state => 'shadow') = :rule AS same;
SELECT * FROM rules WHERE relation = 'source'::regclass;
SELECT inval_track('source', 'team_id') = :rule AS same;
SELECT * FROM rules WHERE relation = 'source'::regclass;

-- Another key, or another field, is another rule.
SELECT inval_track('source', 'team_id, kind') <> :rule AS another;
SELECT inval_track('source', key => 'all') <> :rule AS another;
SELECT inval_track('source', 'team_id', field => 'f:{id}') AS field_rule \gset
SELECT :field_rule <> :rule AS another;
SELECT inval_track('source', 'team_id', field => 'f:{id}') = :field_rule AS same;
SELECT key, field FROM rules WHERE relation = 'source'::regclass ORDER BY key, field;
SELECT count(*) FROM triggers_of('source');
UPDATE source SET note = 'b';
SELECT * FROM queued();

-- inval_untrack takes all the rules with a key, or one by its number.
SELECT inval_untrack('source', 'no such key');
SELECT inval_untrack('source', 'source:{team_id}');
SELECT inval_untrack('source', 'source:{team_id}');
SELECT inval_untrack_rule(:rule);
SELECT key, field FROM rules WHERE relation = 'source'::regclass ORDER BY key, field;
SELECT inval_untrack_rule(id) FROM inval_rule WHERE key = 'all';
SELECT * FROM triggers_of('source');
UPDATE source SET note = 'c';
SELECT * FROM queued();
-- The triggers go with the last rule.
SELECT inval_untrack('source');
SELECT * FROM triggers_of('source');
UPDATE source SET note = 'd';
SELECT * FROM queued();
SELECT inval_untrack('source');
-- A new rule is a new rule.
SELECT inval_track('source', 'team_id') <> :rule AS another;
UPDATE source SET note = 'e';
SELECT * FROM queued();

-- "off" does nothing, "shadow" counts and sends nothing.
SELECT inval_track('source', 'team_id', state => 'off') AS rule \gset
UPDATE source SET note = 'f';
SELECT * FROM queued();
SELECT * FROM triggers_of('source');
SELECT inval_stats_reset();
SELECT inval_track('source', 'team_id', state => 'shadow') = :rule AS same;
UPDATE source SET note = 'g';
SELECT * FROM queued();
SELECT relation, rows_seen, keys_queued, keys_coalesced FROM inval_stats
WHERE rule = :rule;
SELECT inval_track('source', 'team_id', state => 'on') = :rule AS same;
UPDATE source SET note = 'h';
SELECT * FROM queued();
SELECT relation, rows_seen, keys_queued, keys_coalesced FROM inval_stats
WHERE rule = :rule;
-- State and rules can be changed as rows as well.
UPDATE inval_rule SET state = 'off' WHERE id = :rule;
UPDATE source SET note = 'i';
SELECT * FROM queued();
UPDATE inval_rule SET state = 'on', key = 'other:{team_id}' WHERE id = :rule;
UPDATE source SET note = 'j';
SELECT * FROM queued();
UPDATE inval_rule SET key = 'source:{team_id}' WHERE id = :rule;

-- The call repairs triggers that somebody has disabled or dropped where event
-- triggers do not fire.
SET client_min_messages = warning;
ALTER EVENT TRIGGER inval_on_ddl_end DISABLE;
ALTER EVENT TRIGGER inval_on_drop DISABLE;
ALTER TABLE source DISABLE TRIGGER ALL;
SELECT * FROM triggers_of('source');
SELECT inval_track('source', 'team_id') = :rule AS same;
SELECT * FROM triggers_of('source');
ALTER TABLE source ENABLE TRIGGER "00_inval_row";
SELECT inval_track('source', 'team_id') = :rule AS same;
SELECT * FROM triggers_of('source');
DROP TRIGGER "00_inval_truncate" ON source;
SELECT inval_track('source', 'team_id') = :rule AS same;
SELECT * FROM triggers_of('source');
ALTER EVENT TRIGGER inval_on_ddl_end ENABLE ALWAYS;
ALTER EVENT TRIGGER inval_on_drop ENABLE ALWAYS;
RESET client_min_messages;

-- A rule is part of its transaction.
BEGIN;
UPDATE source SET team_id = 43;
SELECT inval_track('source', key => 'late:{team_id}') IS NOT NULL AS tracked;
UPDATE source SET team_id = 44;
SAVEPOINT a;
SELECT inval_untrack('source');
UPDATE source SET team_id = 45;
ROLLBACK TO a;
UPDATE source SET team_id = 46;
COMMIT;
SELECT * FROM queued();
BEGIN;
SELECT inval_track('source', key => 'never:{team_id}') IS NOT NULL AS tracked;
UPDATE source SET team_id = 47;
ROLLBACK;
UPDATE source SET team_id = 48;
SELECT * FROM queued();
-- Keys queued before the rule went are still owed.
BEGIN;
UPDATE source SET team_id = 49;
SELECT inval_untrack('source');
UPDATE source SET team_id = 50;
COMMIT;
SELECT * FROM queued();
DROP TABLE source;

-- Names that need quotes, and a table in another schema with the same name.
CREATE SCHEMA "Sch{e}ma";
CREATE TABLE "Sch{e}ma"."Ta""b{l}e" (
	id integer PRIMARY KEY, "Team ID" integer, "a.b" text, "c""d" text,
	"e}f" text, "g|h" text, "@i" text, "$j" text, "k[]" text, "l,m" text, select_ text);
SELECT inval_track('"Sch{e}ma"."Ta""b{l}e"',
	'id, "Team ID", "a.b", "c""d", "e}f", "g|h", "@i", "$j", "k[]", "l,m", SELECT_') AS rule \gset
SELECT key FROM inval_rule WHERE id = :rule;
SELECT inval_track('"Sch{e}ma"."Ta""b{l}e"', key => '{@schema}:{@table}:{"a.b"}:{Team ID}') IS NOT NULL AS tracked;
INSERT INTO "Sch{e}ma"."Ta""b{l}e"
VALUES (1, 2, 'ab', 'cd', 'ef', 'gh', 'i', 'j', 'k', 'lm', 's');
SELECT * FROM queued();
TRUNCATE "Sch{e}ma"."Ta""b{l}e";
SELECT * FROM queued();
SELECT inval_untrack('"Sch{e}ma"."Ta""b{l}e"');
CREATE TABLE twin (id integer);
CREATE TABLE "Sch{e}ma".twin (id integer);
SELECT inval_track('twin', 'id') <> inval_track('"Sch{e}ma".twin', 'id') AS another;
INSERT INTO "Sch{e}ma".twin VALUES (1);
INSERT INTO twin VALUES (2);
SELECT * FROM queued();
SELECT inval_untrack('twin'), inval_untrack('"Sch{e}ma".twin');
DROP TABLE twin;
DROP SCHEMA "Sch{e}ma" CASCADE;

-- Columns dropped before and added after, both in rows that were there.
CREATE TABLE moving (gone integer, id integer, gone_too text, name text);
ALTER TABLE moving DROP COLUMN gone, DROP COLUMN gone_too;
INSERT INTO moving VALUES (1, 'a');
SELECT inval_track('moving', 'id, name') IS NOT NULL AS tracked;
ALTER TABLE moving ADD COLUMN added integer DEFAULT 7;
SELECT inval_track('moving', 'added') IS NOT NULL AS tracked;
SELECT key FROM inval_preview('moving') ORDER BY key;
UPDATE moving SET name = 'b';
SELECT * FROM queued();
SELECT inval_untrack('moving');
DROP TABLE moving;

-- An unlogged table can be tracked: the queue is logged all the same.
CREATE UNLOGGED TABLE unlogged (id integer);
SELECT inval_track('unlogged', 'id') IS NOT NULL AS tracked;
INSERT INTO unlogged VALUES (1);
SELECT * FROM queued();
SELECT inval_untrack('unlogged');
DROP TABLE unlogged;
SELECT count(*) FROM inval_rule;

-- Rules go with their table, by whatever command it goes, and stay if it stays.
CREATE SCHEMA going;
CREATE TABLE going.one (id integer);
CREATE TABLE going.two (id integer);
SELECT inval_track('going.one', 'id') IS NOT NULL AS one,
	inval_track('going.two', 'id') IS NOT NULL AS two;
DROP TABLE going.one;
SELECT relation FROM inval_rule;
BEGIN;
DROP SCHEMA going CASCADE;
SELECT count(*) FROM inval_rule;
ROLLBACK;
SELECT relation FROM inval_rule;
DROP SCHEMA going CASCADE;
SELECT count(*) FROM inval_rule;

-- Rules are a view that superusers may write to; what it takes is what
-- inval_track takes.
CREATE TABLE written (id integer, team_id integer, note text);
INSERT INTO inval_rule (relation, key) VALUES ('written', 'w:{team_id}')
RETURNING id > 0 AS numbered, key, field, action, delivery, changes, fence, targets, state;
SELECT * FROM triggers_of('written');
INSERT INTO written VALUES (1, 10, 'a');
SELECT * FROM queued();
UPDATE inval_rule SET field = '{id}', changes = '{note}', delivery = 'background'
WHERE relation = 'written'::regclass RETURNING key, field, changes, delivery;
UPDATE written SET team_id = 11;
SELECT * FROM queued();
UPDATE written SET note = 'b';
SELECT * FROM queued();
INSERT INTO inval_rule (id, relation, key) VALUES (1000000, 'written', 'id:{id}') RETURNING id;
SELECT inval_track('written', key => 'id:{id}');
BEGIN;
DELETE FROM inval_rule WHERE relation = 'written'::regclass RETURNING key;
SELECT * FROM triggers_of('written');
ROLLBACK;
DELETE FROM inval_rule WHERE id = 1000000 RETURNING key;
SELECT key FROM rules WHERE relation = 'written'::regclass;
SELECT * FROM triggers_of('written');
DELETE FROM inval_rule WHERE relation = 'written'::regclass RETURNING key;
SELECT * FROM triggers_of('written');
-- Several at once
CREATE TABLE written_too (id integer);
INSERT INTO inval_rule (relation, key)
VALUES ('written', 'a:{id}'), ('written', 'b:{id}'), ('written_too', 'c:{id}');
UPDATE inval_rule SET state = 'off' RETURNING key;
INSERT INTO written VALUES (2);
INSERT INTO written_too VALUES (2);
SELECT * FROM queued();
UPDATE inval_rule SET state = 'on' WHERE key > 'b';
INSERT INTO written VALUES (3);
INSERT INTO written_too VALUES (3);
SELECT * FROM queued();
DELETE FROM inval_rule;
SELECT count(*) FROM inval_rule;
DROP TABLE written, written_too;

-- It is no table, so it cannot be truncated.
TRUNCATE inval_rule;
