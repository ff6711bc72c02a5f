--
-- Every way a row can change.
--
ALTER SEQUENCE inval_rule_id_seq RESTART 100;	-- for messages that have a rule's number
SELECT inval_stats_reset();
CREATE TABLE doc (id integer PRIMARY KEY, team_id integer, note text);
SELECT inval_track('doc', 'team_id') AS rule \gset

-- INSERT … SELECT … RETURNING
INSERT INTO doc SELECT i, i * 10 FROM generate_series(1, 3) i RETURNING id;
SELECT * FROM queued();
-- COPY, with a filter, and one that fails
COPY doc FROM stdin WHERE team_id <> 60;
5	50	a
6	60	b
7	\N	c
\.
SELECT * FROM queued();
COPY doc (id, team_id) FROM stdin;
8	80
5	50
\.
SELECT * FROM queued();
COPY (DELETE FROM doc WHERE id = 5 RETURNING team_id) TO stdout;
SELECT * FROM queued();
-- ON CONFLICT
INSERT INTO doc VALUES (1, 99), (9, 90) ON CONFLICT DO NOTHING;
SELECT * FROM queued();
INSERT INTO doc VALUES (1, 11), (4, 40) ON CONFLICT (id) DO UPDATE SET team_id = excluded.team_id;
SELECT * FROM queued();
INSERT INTO doc VALUES (1, 12) ON CONFLICT (id) DO UPDATE SET note = 'x' WHERE doc.note = 'no';
SELECT * FROM queued();
-- MERGE
MERGE INTO doc USING (VALUES (1, 'd'), (2, 'u'), (3, 'n'), (10, 'i')) v (id, what) ON doc.id = v.id
	WHEN MATCHED AND what = 'd' THEN DELETE
	WHEN MATCHED AND what = 'n' THEN DO NOTHING
	WHEN MATCHED THEN UPDATE SET team_id = 21
	WHEN NOT MATCHED THEN INSERT VALUES (v.id, 100);
SELECT * FROM queued();
-- Writable CTEs, UPDATE … FROM, DELETE … USING, a row changed twice
WITH d AS (DELETE FROM doc WHERE id = 10 RETURNING *), i AS (INSERT INTO doc SELECT 11, team_id + 1 FROM d RETURNING *)
UPDATE doc SET team_id = 91 WHERE id = 9;
SELECT * FROM queued();
UPDATE doc SET team_id = v.t FROM (VALUES (9, 92), (9, 93)) v (id, t) WHERE doc.id = v.id;
SELECT count(*) FROM queued() WHERE key IN ('doc:91', 'doc:92', 'doc:93');
DELETE FROM doc USING generate_series(9, 11) i WHERE doc.id = i;
SELECT count(*) FROM queued();
UPDATE doc SET (team_id, note) = (SELECT 22, 'two') WHERE id = 2;
SELECT * FROM queued();
-- Prepared statements, cursors, functions, DO, exceptions, EXPLAIN ANALYZE
PREPARE move (integer, integer) AS UPDATE doc SET team_id = $2 WHERE id = $1;
EXECUTE move (2, 23);
EXECUTE move (2, 24);
SELECT * FROM queued();
DEALLOCATE move;
BEGIN;
DECLARE c CURSOR FOR SELECT * FROM doc WHERE id = 2 FOR UPDATE;
FETCH c;
UPDATE doc SET team_id = 25 WHERE CURRENT OF c;
FETCH c;
COMMIT;
SELECT * FROM queued();
BEGIN;
DECLARE c CURSOR FOR SELECT * FROM doc ORDER BY id FOR UPDATE;
MOVE 1 IN c;
DELETE FROM doc WHERE CURRENT OF c;
ROLLBACK;
SELECT * FROM queued();
CREATE FUNCTION write_doc(integer) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
	UPDATE doc SET team_id = $1 WHERE id = 2;
	BEGIN
		UPDATE doc SET team_id = -1 WHERE id = 3;
		INSERT INTO doc VALUES (2, -2);
	EXCEPTION WHEN unique_violation THEN
		UPDATE doc SET note = 'caught' WHERE id = 4;
	END;
	RETURN $1;
END
$$;
SELECT write_doc(26) FROM generate_series(1, 2);
SELECT * FROM queued();
CREATE PROCEDURE write_docs() LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 27 .. 29 LOOP
		UPDATE doc SET team_id = i WHERE id = 2;
		IF i = 28 THEN ROLLBACK; ELSE COMMIT; END IF;
	END LOOP;
END
$$;
CALL write_docs();
SELECT * FROM queued();
DO $$ BEGIN EXECUTE 'DELETE FROM doc WHERE id = $1' USING 4; END $$;
SELECT * FROM queued();
DO $$
DECLARE
	line text;
BEGIN
	FOR line IN EXPLAIN (ANALYZE) UPDATE doc SET note = 'explained' WHERE id = 2 LOOP
		IF line LIKE 'Trigger 00_inval_row%' THEN
			RAISE NOTICE '%', substring(line, 'calls=\d+');
		END IF;
	END LOOP;
	FOR line IN EXPLAIN DELETE FROM doc WHERE id = 3 LOOP
		NULL;
	END LOOP;
END
$$;
SELECT * FROM queued();
CREATE FUNCTION atomic(integer) RETURNS void LANGUAGE sql BEGIN ATOMIC UPDATE doc SET team_id = $1 WHERE id = 2; END;
SELECT atomic(30);
SELECT * FROM queued();
DROP FUNCTION atomic(integer);
SELECT write_doc(31), 1 / 0;
SELECT * FROM queued();
-- SELECT INTO and CREATE TABLE AS, tracked afterwards in the same transaction
BEGIN;
SELECT 1 AS id, 2 AS team_id INTO fresh;
SELECT inval_track('fresh', 'team_id') IS NOT NULL AS tracked;
INSERT INTO fresh VALUES (2, 3);
COMMIT;
SELECT * FROM queued();
-- Views, rules, INSTEAD OF triggers
CREATE VIEW docs AS SELECT id, team_id FROM doc WHERE id < 100 WITH CHECK OPTION;
INSERT INTO docs VALUES (12, 120);
UPDATE docs SET team_id = 121 WHERE id = 12;
INSERT INTO docs VALUES (101, 1);
DELETE FROM docs WHERE id = 12;
SELECT * FROM queued();
CREATE RULE also AS ON INSERT TO fresh DO ALSO INSERT INTO doc VALUES (new.id + 1000, new.team_id);
CREATE RULE instead AS ON DELETE TO fresh DO INSTEAD UPDATE doc SET team_id = 0 WHERE id = old.id + 1000;
INSERT INTO fresh VALUES (3, 33);
SELECT * FROM queued();
DELETE FROM fresh WHERE id = 3;
SELECT * FROM queued();
DROP TABLE fresh;
SELECT count(*) FROM queued();
-- Row security
CREATE ROLE regress_inval_ways;
GRANT ALL ON doc TO regress_inval_ways;
ALTER TABLE doc ENABLE ROW LEVEL SECURITY;
CREATE POLICY visible ON doc USING (id < 1000) WITH CHECK (true);
SET ROLE regress_inval_ways;
INSERT INTO doc VALUES (2000, 200);
UPDATE doc SET note = 'rls';
DELETE FROM doc WHERE id = 2000;
RESET ROLE;
SELECT * FROM queued();
ALTER TABLE doc DISABLE ROW LEVEL SECURITY;
DROP POLICY visible ON doc;
REVOKE ALL ON doc FROM regress_inval_ways;
DROP ROLE regress_inval_ways;
-- Roles of replication
SET session_replication_role = replica;
UPDATE doc SET note = 'replica' WHERE id = 2000;
TRUNCATE doc;
RESET session_replication_role;
SELECT * FROM queued();
SET session_replication_role = local;
INSERT INTO doc VALUES (1, 1);
RESET session_replication_role;
SELECT * FROM queued();
-- Other triggers: BEFORE ones that change the key, swallow rows or write
-- elsewhere; AFTER ones that write to the row again; deferred ones
CREATE TABLE audit (id serial, doc_id integer);
SELECT inval_track('audit', 'doc_id') IS NOT NULL AS tracked;
CREATE FUNCTION change_row() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF new.note = 'swallow' THEN RETURN NULL; END IF;
	new.team_id := new.team_id + 1;
	RETURN new;
END
$$;
CREATE FUNCTION write_audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO audit (doc_id) VALUES (new.id);
	RETURN NULL;
END
$$;
CREATE FUNCTION write_again() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	UPDATE doc SET note = 'again', team_id = 500 WHERE id = new.id AND note IS DISTINCT FROM 'again';
	RETURN NULL;
END
$$;
CREATE TRIGGER "00_a" BEFORE INSERT OR UPDATE ON doc FOR EACH ROW EXECUTE FUNCTION change_row();
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON doc DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION write_audit();
CREATE TRIGGER zz AFTER INSERT ON doc FOR EACH ROW EXECUTE FUNCTION write_again();
INSERT INTO doc VALUES (2, 2, 'a'), (3, 3, 'swallow');
SELECT * FROM queued();
SELECT * FROM doc ORDER BY id;
BEGIN;
INSERT INTO doc VALUES (4, 4, 'a');
SAVEPOINT a;
INSERT INTO doc VALUES (5, 5, 'a');
ROLLBACK TO a;
COMMIT;
SELECT * FROM queued();
DROP TRIGGER "00_a" ON doc;
DROP TRIGGER late ON doc;
DROP TRIGGER zz ON doc;
DROP FUNCTION change_row(), write_audit(), write_again(), write_doc(integer);
DROP PROCEDURE write_docs();
DROP VIEW docs;
DROP TABLE audit, doc;
SELECT count(*) FROM queued();

-- Cascades: DELETE, UPDATE, SET NULL, SET DEFAULT, to themselves, in circles
CREATE TABLE parent (id integer PRIMARY KEY, v text);
CREATE TABLE child (id integer PRIMARY KEY, cascaded integer REFERENCES parent ON DELETE CASCADE ON UPDATE CASCADE,
	nulled integer REFERENCES parent ON DELETE SET NULL, defaulted integer DEFAULT 1 REFERENCES parent ON DELETE SET DEFAULT,
	child_id integer REFERENCES child ON DELETE CASCADE);
INSERT INTO parent VALUES (1), (2), (3), (4);
SELECT inval_track('child', 'cascaded') IS NOT NULL AS c, inval_track('child', 'nulled') IS NOT NULL AS n,
	inval_track('child', key => 'd:{defaulted}') IS NOT NULL AS d;
INSERT INTO child VALUES (1, 2, 1, 1, NULL), (2, 3, 3, 1, 1), (3, 1, 4, 4, 2);
SELECT count(*) FROM queued();
UPDATE parent SET id = 20 WHERE id = 2;
SELECT * FROM queued();
DELETE FROM parent WHERE id = 4;
SELECT * FROM queued();
DELETE FROM parent WHERE id = 20;
SELECT * FROM queued();
SELECT count(*) FROM child;
DROP TABLE child, parent;
SELECT * FROM queued();

-- Generated and identity columns, domains, enums, composites
CREATE DOMAIN short AS varchar(10) CHECK (length(VALUE) > 0);
CREATE DOMAIN shorter AS short CHECK (length(VALUE) < 5);
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TYPE pair AS (a integer, b text);
CREATE TABLE kinds (id integer GENERATED ALWAYS AS IDENTITY, by_default integer GENERATED BY DEFAULT AS IDENTITY (START 100),
	base integer, twice integer GENERATED ALWAYS AS (base * 2) STORED, name shorter, mood mood, pair pair);
SELECT inval_track('kinds', key => 'k:{id}:{by_default}:{twice}') IS NOT NULL AS g,
	inval_track('kinds', key => 'n:{name|upper}:{mood}:{pair}') IS NOT NULL AS n,
	inval_track('kinds', key => 'c:{id}', changes => '{twice}') IS NOT NULL AS c;
INSERT INTO kinds (base, name, mood, pair) VALUES (1, 'abc', 'sad', ROW(1, 'x y')), (2, 'def', NULL, NULL);
SELECT * FROM queued();
UPDATE kinds SET base = 5, mood = 'ok', pair.a = 2 WHERE id = 1;
SELECT * FROM queued();
UPDATE kinds SET name = 'xyz' WHERE id = 1;
SELECT * FROM queued();
INSERT INTO kinds (id, by_default, base) OVERRIDING SYSTEM VALUE VALUES (50, 51, 52);
SELECT * FROM queued();
ALTER TYPE mood RENAME VALUE 'ok' TO 'fine';
UPDATE kinds SET base = base WHERE id = 1;
SELECT * FROM queued();
DROP TABLE kinds;
DROP TYPE mood;
DROP TYPE pair;
SELECT count(*) FROM queued();

-- {col[]}: one key for each element
CREATE DOMAIN tags AS text[] CHECK (array_position(VALUE, 'no') IS NULL);
CREATE TABLE listed (id integer PRIMARY KEY, t text[], n integer[], d tags, s shorter[], at timestamptz[]);
SELECT inval_track('listed', key => 't:{t[]}') AS t_rule \gset
SELECT inval_track('listed', key => '{id}:{n[]}:{t[]|upper}', field => '{n[]}') IS NOT NULL AS both,
	inval_track('listed', key => 'd:{d[]}:{s[]}') IS NOT NULL AS domains,
	inval_track('listed', key => '{at[]}') IS NOT NULL AS at,
	inval_track('listed', key => 'whole:{n}') IS NOT NULL AS whole;
INSERT INTO listed (id, t) VALUES (1, '{a,b,a}'), (2, '{}'), (3, NULL), (4, '{NULL}'), (5, '{NULL,c,""}'), (6, '{{d,e},{f,g}}'), (7, '[5:6]={h,"i j"}');
SELECT * FROM queued();
SELECT rows_seen, keys_queued, keys_coalesced, skipped FROM inval_stats WHERE rule = :t_rule;
INSERT INTO listed (id, t, n) VALUES (8, '{x,y}', '{1,2}');
SELECT * FROM queued();
INSERT INTO listed (id, d, s) VALUES (9, '{p,q}', '{r,s}');
SELECT * FROM queued();
INSERT INTO listed (id, at) VALUES (10, '{2026-01-02 03:04+05,infinity}');
SELECT * FROM queued();
UPDATE listed SET t = t || '{z}' WHERE id = 1;
SELECT * FROM queued();
UPDATE listed SET t[1] = 'A' WHERE id = 1;
SELECT * FROM queued();
UPDATE listed SET t = array_remove(t, 'A') WHERE id = 1;
SELECT * FROM queued();
DELETE FROM listed WHERE id IN (1, 2, 6);
SELECT * FROM queued();
SELECT key, field FROM inval_preview('listed', 100) ORDER BY key COLLATE "C", field;
TRUNCATE listed;
SELECT count(*) FROM queued();
-- Many elements, toasted
INSERT INTO listed (id, t) SELECT 1, array_agg(md5(i::text)) FROM generate_series(1, 5000) i;
SELECT count(DISTINCT key) FROM queued();
UPDATE listed SET n = NULL;
SELECT count(DISTINCT key) FROM queued();
DROP TABLE listed;
SELECT count(DISTINCT key) FROM queued();
-- More combinations than anybody can mean
CREATE TABLE combined (a integer[], b integer[]);
SELECT inval_track('combined', key => '{a[]}:{b[]}') IS NOT NULL AS tracked;
INSERT INTO combined SELECT array_agg(i), array_agg(i) FROM generate_series(1, 1001) i;
SELECT count(*) FROM queued();
DROP TABLE combined;
DROP DOMAIN tags;
DROP DOMAIN shorter;
DROP DOMAIN short;

-- Toasted values that an UPDATE leaves where they are, and of rows that are gone
CREATE TABLE toasted (id integer, big text, other integer);
ALTER TABLE toasted ALTER big SET STORAGE EXTERNAL;
SELECT inval_track('toasted', key => '{big|sha256:8}:{id}') IS NOT NULL AS tracked;
BEGIN;
INSERT INTO toasted VALUES (1, repeat('x', 10000));
UPDATE toasted SET other = 1;
DELETE FROM toasted;
COMMIT;
SELECT key = left(encode(sha256(repeat('x', 10000)::bytea), 'hex'), 8) || ':1' AS right FROM queued();
DROP TABLE toasted;

-- Columns that come and go between two changes of a transaction
CREATE TABLE moving (id integer, a text);
SELECT inval_track('moving', 'id') IS NOT NULL AS tracked;
BEGIN;
INSERT INTO moving VALUES (1);
ALTER TABLE moving ADD COLUMN b integer;
INSERT INTO moving VALUES (2, 'a', 3);
SELECT inval_track('moving', 'b') IS NOT NULL AS tracked;
UPDATE moving SET a = 'x';
ALTER TABLE moving DROP COLUMN a;
DELETE FROM moving;
COMMIT;
SELECT * FROM queued();
DROP TABLE moving;
SELECT count(*) FROM inval_rule;
