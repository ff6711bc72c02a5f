--
-- via: a query finds the rows that name the keys.
--
ALTER SEQUENCE inval_rule_id_seq RESTART 100;	-- for messages that have a rule's number
SELECT inval_stats_reset();
CREATE TABLE article (id integer PRIMARY KEY, title text, tags text[]);
CREATE TABLE tag (id integer PRIMARY KEY, name text);
CREATE TABLE article_tag (article_id integer REFERENCES article ON DELETE CASCADE,
	tag_id integer REFERENCES tag ON DELETE CASCADE, PRIMARY KEY (article_id, tag_id));
INSERT INTO article VALUES (1, 'one', '{x}'), (2, 'two', '{y,z}'), (3, 'three', NULL);
INSERT INTO tag VALUES (10, 'red'), (20, 'blue'), (30, 'unused');
INSERT INTO article_tag VALUES (1, 10), (2, 10), (2, 20);

SELECT inval_track('tag', key => 'article:{article_id}',
	via => 'SELECT article_id FROM article_tag WHERE tag_id = {id}') AS rule \gset
SELECT inval_track('tag', key => 'article:{article_id}',
	via => 'SELECT article_id FROM article_tag WHERE tag_id = {id}') = :rule AS same;
SELECT relation, key, via FROM inval_rule WHERE id = :rule;
UPDATE tag SET name = 'crimson' WHERE id = 10;
SELECT * FROM queued();
UPDATE tag SET name = upper(name);
SELECT * FROM queued();
-- Rows that name no key
INSERT INTO tag VALUES (40, 'new');
UPDATE tag SET name = 'still unused' WHERE id = 30;
SELECT * FROM queued();
SELECT rows_seen, keys_queued, keys_coalesced, skipped FROM inval_stats WHERE rule = :rule;
SELECT key FROM inval_preview('tag') ORDER BY key;
-- The link rows go in the same cascade.
DELETE FROM tag WHERE id = 10;
SELECT * FROM queued();
SELECT count(*) FROM article_tag WHERE tag_id = 10;
-- A link that this transaction has made, moved or removed: before and after
BEGIN;
INSERT INTO tag VALUES (50, 'fifty');
INSERT INTO article_tag VALUES (3, 50);
UPDATE tag SET name = '50' WHERE id = 50;
COMMIT;
SELECT * FROM queued();
BEGIN;
UPDATE article_tag SET article_id = 1 WHERE tag_id = 50;
UPDATE tag SET name = 'L' WHERE id = 50;
COMMIT;
SELECT * FROM queued();
BEGIN;
DELETE FROM article_tag;
DELETE FROM tag;
COMMIT;
SELECT * FROM queued();
INSERT INTO tag VALUES (10, 'red'), (20, 'blue');
INSERT INTO article_tag VALUES (1, 10), (2, 10), (2, 20);
BEGIN;
SAVEPOINT a;
UPDATE article_tag SET article_id = 3 WHERE tag_id = 20;
UPDATE tag SET name = 'x' WHERE id = 20;
ROLLBACK TO a;
UPDATE tag SET name = 'y' WHERE id = 20;
COMMIT;
SELECT * FROM queued();
TRUNCATE tag CASCADE;
SELECT * FROM queued();

-- Many to many from both sides: rules on the link table
INSERT INTO tag VALUES (10, 'red'), (20, 'blue');
SELECT inval_untrack_rule(:rule);
SELECT inval_track('article_tag', key => 'article:{article_id}') IS NOT NULL AS article,
	inval_track('article_tag', key => 'tag:{name}', via => 'SELECT name FROM tag WHERE id = {tag_id}') IS NOT NULL AS tag;
INSERT INTO article_tag VALUES (1, 10), (2, 20);
SELECT * FROM queued();
UPDATE article_tag SET tag_id = 20 WHERE tag_id = 10;
SELECT * FROM queued();
DELETE FROM tag WHERE id = 20;
SELECT * FROM queued();
SELECT inval_untrack('article_tag');

-- Several columns in key and field, NULLs, arrays, duplicates, other names
SELECT inval_track('tag', key => '{@table}:{a}:{"B c"|upper}', field => '{f}', via =>
	'SELECT v.a, v.b AS "B c", v.f FROM (VALUES (1, ''x'', ''f''), (2, NULL, ''f''), (NULL, ''y'', ''f''), '
	'(3, ''z'', NULL), (1, ''x'', ''f''), ({id}, {name}, {name} || {id})) v (a, b, f)') IS NOT NULL AS tracked;
UPDATE tag SET name = 'ruby' WHERE id = 10;
SELECT * FROM queued();
SELECT inval_untrack('tag');
INSERT INTO article_tag VALUES (2, 10), (3, 10);
SELECT inval_track('tag', key => 't:{tags[]}:{id}', via =>
	'SELECT tags, {id} AS id FROM article JOIN article_tag ON article.id = article_id WHERE tag_id = {id}') IS NOT NULL AS tracked;
UPDATE tag SET name = 'red' WHERE id = 10;
SELECT * FROM queued();
SELECT inval_untrack('tag');
-- Parameters have the type of their column, and can be NULL.
CREATE TABLE typed (id integer, at timestamptz, data jsonb, name varchar(10), list integer[], no text);
SELECT inval_track('typed', key => '{x}', via =>
	'SELECT format(''%s|%s|%s|%s|%s|%s'', {at} + interval ''1 day'', {data} ->> ''k'', {name} || ''!'', '
	'{list}[2], pg_typeof({name}), coalesce({no}, ''none'')) AS x') IS NOT NULL AS tracked;
INSERT INTO typed VALUES (1, '2026-01-02 03:04:05+06', '{"k": "v"}', 'a''b', '{1,2}', NULL);
SET TimeZone = 'Asia/Kathmandu';
SET DateStyle = 'SQL, DMY';
UPDATE typed SET id = 2;
RESET TimeZone;
RESET DateStyle;
SELECT * FROM queued();
DROP TABLE typed;
SELECT * FROM queued();
-- changes =>
SELECT inval_track('tag', key => 'article:{article_id}', changes => '{name}',
	via => 'SELECT article_id FROM article_tag WHERE tag_id = {id}') AS rule \gset
UPDATE tag SET id = id;
SELECT * FROM queued();
UPDATE tag SET name = 'maroon' WHERE id = 10;
SELECT * FROM queued();

-- Values are parameters, never pasted.
CREATE TABLE hostile (id integer, name text);
SELECT inval_track('hostile', key => '{n}', via => 'SELECT {name} AS n WHERE {name} <> ''''') IS NOT NULL AS tracked;
INSERT INTO hostile VALUES (1, '''; DROP TABLE article; --'), (2, '$1'), (3, '{name}'), (4, '\'';');
SELECT * FROM queued();
DROP TABLE hostile;
SELECT count(*) FROM queued();

-- Errors when it runs name the rule, and fail the statement: nothing is skipped.
CREATE TABLE fragile (id integer, divisor integer);
SELECT inval_track('fragile', key => 'f:{n}', via => 'SELECT 100 / {divisor} AS n') AS fragile_rule \gset
INSERT INTO fragile VALUES (1, 5);
SELECT * FROM queued();
INSERT INTO fragile VALUES (2, 0);
BEGIN;
INSERT INTO fragile VALUES (3, 4);
SAVEPOINT a;
INSERT INTO fragile VALUES (4, 0);
ROLLBACK TO a;
INSERT INTO fragile VALUES (5, 10);
COMMIT;
SELECT * FROM queued();
SELECT id FROM fragile ORDER BY id;
SELECT inval_track('fragile', key => 'f:{n}', via => 'SELECT 100 / {divisor} AS n', state => 'off') = :fragile_rule AS same;
INSERT INTO fragile VALUES (6, 0);
SELECT inval_untrack('fragile');
-- A function that writes, or that looks up itself: the rule is broken.
CREATE TABLE written (id integer);
CREATE FUNCTION write_it() RETURNS integer LANGUAGE sql VOLATILE AS 'INSERT INTO public.written VALUES (1) RETURNING id';
SELECT inval_track('fragile', key => 'w:{n}', via => 'SELECT write_it() AS n') IS NOT NULL AS tracked;
INSERT INTO fragile VALUES (7, 0);
SELECT * FROM queued();
SELECT * FROM written;
SELECT inval_untrack('fragile');
DROP FUNCTION write_it();
CREATE FUNCTION look_up(n integer) RETURNS integer LANGUAGE plpgsql AS $$ BEGIN
	PERFORM count(*) FROM public.inval_preview('public.written');
	RETURN n;
END $$;
SELECT inval_track('written', key => 'l:{n}', via => 'SELECT 1 AS n WHERE {id} > 0') IS NOT NULL AS tracked;
SELECT inval_track('fragile', key => 'l:{n}', via => 'SELECT look_up({id}) AS n') IS NOT NULL AS tracked;
SET client_min_messages = error;
INSERT INTO fragile VALUES (8, 0), (9, 0);
RESET client_min_messages;
SELECT * FROM queued();
SELECT inval_untrack('fragile') + inval_untrack('written') AS rules;
DROP FUNCTION look_up(integer);
-- A preview by one who has the owner's rights runs the owner's code as the owner.
CREATE ROLE regress_inval_coder;
GRANT CREATE ON SCHEMA public TO regress_inval_coder;
SET ROLE regress_inval_coder;
CREATE FUNCTION who() RETURNS text LANGUAGE sql AS 'SELECT current_user::text';
CREATE TABLE coded (id integer);
INSERT INTO coded VALUES (1);
SELECT inval_track('coded', key => '{who}', via => 'SELECT who() AS who') IS NOT NULL AS tracked;
RESET ROLE;
SELECT key FROM inval_preview('coded');
DROP TABLE coded;
DROP FUNCTION who();
REVOKE CREATE ON SCHEMA public FROM regress_inval_coder;
DROP ROLE regress_inval_coder;
SELECT count(*) >= 0 AS emptied FROM queued();
-- What is read is written anew, or loses a partition, in the same transaction.
CREATE TABLE reader (id integer);
CREATE TABLE read (id integer, n integer) PARTITION BY LIST (id);
CREATE TABLE read_1 PARTITION OF read FOR VALUES IN (1);
CREATE TABLE read_2 PARTITION OF read FOR VALUES IN (2);
INSERT INTO reader VALUES (1), (2);
INSERT INTO read VALUES (1, 10), (2, 20);
SELECT inval_track('reader', key => 'r:{n}', via => 'SELECT n FROM read WHERE id = {id}') IS NOT NULL AS tracked;
BEGIN;
ALTER TABLE read_2 SET UNLOGGED;
UPDATE read SET n = n + 1;
UPDATE reader SET id = id WHERE id = 2;
COMMIT;
SELECT DISTINCT key FROM queued() ORDER BY key;
BEGIN;
DROP TABLE read_1;
UPDATE reader SET id = id WHERE id = 1;
COMMIT;
SELECT DISTINCT key FROM queued() ORDER BY key;
SELECT inval_untrack('reader');
DROP TABLE reader, read;
-- A view and a function that it needs are not dropped in silence.
CREATE VIEW via_thing AS SELECT 1 AS n;
SELECT inval_track('fragile', key => 'v:{n}', via => 'SELECT n FROM via_thing') IS NOT NULL AS tracked;
DROP VIEW via_thing;
SET client_min_messages = warning;
DROP VIEW via_thing CASCADE;
RESET client_min_messages;
SELECT count(*) FROM inval_rule WHERE relation = 'fragile'::regclass;
SELECT DISTINCT key FROM queued();
SELECT inval_untrack('fragile');
CREATE FUNCTION thing() RETURNS integer LANGUAGE sql STABLE AS 'SELECT 1';
SELECT inval_track('fragile', key => 'g:{n}', via => 'SELECT thing() AS n') IS NOT NULL AS tracked;
DROP FUNCTION thing();
SELECT count(*) FROM inval_rule WHERE relation = 'fragile'::regclass;
SELECT inval_untrack('fragile');
-- What it does may change.
CREATE FUNCTION other() RETURNS integer LANGUAGE sql STABLE AS 'SELECT 2';
SELECT inval_track('fragile', key => 'o:{n}', via => 'SELECT other() AS n') IS NOT NULL AS tracked;
CREATE OR REPLACE FUNCTION other() RETURNS integer LANGUAGE sql STABLE AS 'SELECT 3';
INSERT INTO fragile VALUES (9, 1);
SELECT * FROM queued();
SELECT inval_untrack('fragile');
-- All of it at once
CREATE SCHEMA whole;
CREATE TABLE whole.a (id integer);
CREATE TABLE whole.link (id integer, key text);
CREATE VIEW whole.links AS SELECT * FROM whole.link;
CREATE FUNCTION whole.shout(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1 || ''!''';
SELECT inval_track('whole.a', key => '{key}', via => 'SELECT shout(key) AS key FROM links WHERE id = {id}') IS NOT NULL AS tracked;
INSERT INTO whole.link VALUES (1, 'whole');
INSERT INTO whole.a VALUES (1);
SELECT * FROM queued();
SET client_min_messages = warning;
DROP SCHEMA whole CASCADE;
RESET client_min_messages;
SELECT * FROM queued();
SELECT count(*) FROM inval_rule WHERE key = '{key}';
SELECT count(inval_untrack_rule(id)) FROM inval_rule WHERE key = '{key}';
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS whole CASCADE;
RESET client_min_messages;
SELECT count(*) FROM queued();
DROP TABLE fragile;
DROP TABLE written;
DROP FUNCTION thing(), other();

-- It has the rights of the table's owner, whoever writes.
CREATE ROLE regress_inval_owner;
CREATE ROLE regress_inval_app;
CREATE SCHEMA own AUTHORIZATION regress_inval_owner;
GRANT USAGE ON SCHEMA own TO regress_inval_app;
CREATE TABLE secret (id integer, team_id integer);
INSERT INTO secret VALUES (1, 100);
SET ROLE regress_inval_owner;
CREATE TABLE own.doc (id integer, name text);
CREATE TABLE own.link (doc_id integer, team_id integer);
INSERT INTO own.link VALUES (1, 11), (1, 12);
GRANT INSERT, UPDATE, DELETE, TRUNCATE ON own.doc TO regress_inval_app;
GRANT SELECT ON own.doc TO regress_inval_app;
SELECT inval_track('own.doc', key => 's:{team_id}', via => 'SELECT team_id FROM public.secret WHERE id = {id}');
SELECT inval_untrack('own.doc', 's:{team_id}');
SELECT inval_track('own.doc', key => 'l:{team_id}:{who}:{user}', via =>
	'SELECT team_id, current_user AS who, session_user <> current_user AS "user" FROM link WHERE doc_id = {id}') IS NOT NULL AS tracked;
SET ROLE regress_inval_app;
SELECT * FROM own.link;
INSERT INTO own.doc VALUES (1, 'a');
UPDATE own.doc SET name = 'b';
SELECT * FROM inval_preview('own.doc');
SELECT current_user;
RESET ROLE;
SELECT * FROM queued();
-- Names are those of the table's schema; what the session has in its path, or
-- in its temporary schema, is not seen.
GRANT CREATE ON DATABASE :DBNAME TO regress_inval_app;
SET ROLE regress_inval_app;
CREATE SCHEMA evil;
CREATE FUNCTION evil.shout() RETURNS boolean LANGUAGE plpgsql AS
	'BEGIN RAISE EXCEPTION ''executed as %'', current_user; END';
CREATE FUNCTION evil.int4eq(integer, integer) RETURNS boolean LANGUAGE sql AS 'SELECT evil.shout()';
CREATE OPERATOR evil.= (FUNCTION = evil.int4eq, LEFTARG = integer, RIGHTARG = integer);
CREATE TABLE evil.link (doc_id integer, team_id integer);
CREATE TEMPORARY TABLE link (doc_id integer, team_id integer);
INSERT INTO link VALUES (1, 666);
INSERT INTO evil.link VALUES (1, 666);
SET search_path = evil, pg_temp, pg_catalog, public;
UPDATE own.doc SET name = 'c';
DELETE FROM own.doc;
RESET search_path;
DROP TABLE pg_temp.link;
RESET ROLE;
SELECT * FROM queued();
-- It is a security-restricted operation, and nothing of its settings stays.
SET ROLE regress_inval_owner;
CREATE FUNCTION own.meddle() RETURNS text LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	SET ROLE regress_inval_app;
	RETURN current_user;
EXCEPTION WHEN OTHERS THEN
	RETURN sqlerrm;
END
$$;
SELECT inval_untrack('own.doc');
SELECT inval_track('own.doc', key => 'm:{x}', via => 'SELECT meddle() AS x') IS NOT NULL AS tracked;
RESET ROLE;
SET search_path = pg_catalog;
INSERT INTO own.doc VALUES (2);
SHOW search_path;
RESET search_path;
SELECT current_user = session_user AS same;
SELECT * FROM queued();
-- The owner that the table has then
ALTER TABLE own.doc OWNER TO regress_inval_app;
UPDATE own.doc SET name = 'd';
SELECT inval_untrack('own.doc');
-- Row security must not apply to the owner: what is found would depend on more
-- than the rows.
ALTER TABLE own.doc OWNER TO regress_inval_owner;
ALTER TABLE own.link ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY eleven ON own.link USING (team_id = 11);
SELECT inval_track('own.doc', key => 'r:{team_id}', via => 'SELECT team_id FROM link WHERE doc_id = {id}') IS NOT NULL AS tracked;
CREATE VIEW own.eleven AS SELECT * FROM own.link WHERE team_id = 11;
GRANT SELECT ON own.eleven TO regress_inval_owner;
SELECT inval_track('own.doc', key => 'r:{team_id}', via => 'SELECT team_id + 100 AS team_id FROM eleven WHERE doc_id = {id}') IS NOT NULL AS tracked;
ALTER TABLE own.link NO FORCE ROW LEVEL SECURITY;
SELECT inval_track('own.doc', key => 'r:{team_id}', via => 'SELECT team_id FROM link WHERE doc_id = {id}') IS NOT NULL AS tracked;
INSERT INTO own.doc VALUES (1, 'rls');
SELECT * FROM queued();
SET client_min_messages = warning;
DROP SCHEMA own, evil CASCADE;
RESET client_min_messages;
SELECT * FROM queued();
DROP TABLE secret;
REVOKE CREATE ON DATABASE :DBNAME FROM regress_inval_app;
DROP ROLE regress_inval_owner, regress_inval_app;

-- What it reads is renamed: tables, schemas, columns, views, functions and the
-- tracked table's own columns
ALTER SEQUENCE inval_rule_id_seq RESTART 200;
SELECT relation, key, via FROM inval_rule;
CREATE SCHEMA sub;
CREATE TABLE sub.link (tag_id integer, "Article Id" integer);
CREATE VIEW sub.links AS SELECT * FROM sub.link;
CREATE FUNCTION sub.times(integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 100';
INSERT INTO sub.link VALUES (10, 7);
SELECT inval_untrack('tag');
SELECT inval_track('tag', key => 'n:{article}', via =>
	'SELECT sub.times(l."Article Id") AS article FROM sub.links l JOIN sub.link USING (tag_id) WHERE l.tag_id = {id} AND ''{{}}'' <> {name}') AS rule \gset
UPDATE tag SET name = 'a';
SELECT * FROM queued();
ALTER TABLE sub.link RENAME TO link2;
ALTER VIEW sub.links RENAME TO links2;
ALTER VIEW sub.links2 RENAME COLUMN "Article Id" TO art;
ALTER TABLE sub.link2 RENAME COLUMN tag_id TO label_id;
ALTER SCHEMA sub RENAME TO "Sub";
ALTER FUNCTION "Sub".times(integer) RENAME TO "Times";
ALTER TABLE tag RENAME COLUMN id TO number;
ALTER TABLE tag RENAME COLUMN name TO "A {Name}";
ALTER TABLE tag RENAME TO label;
SELECT relation, key, via FROM inval_rule;
UPDATE label SET "A {Name}" = 'b';
SELECT * FROM queued();
SELECT inval_track('label', key => via_rule.key, via => via_rule.via) = :rule AS same FROM inval_rule via_rule WHERE id = :rule;
CREATE SCHEMA moved;
ALTER TABLE "Sub".link2 SET SCHEMA moved;
UPDATE label SET "A {Name}" = 'c';
SELECT * FROM queued();
-- What it needs cannot be dropped; what it does not need can.
ALTER TABLE moved.link2 ADD COLUMN spare integer;
ALTER TABLE moved.link2 DROP COLUMN spare;
ALTER TABLE label DROP COLUMN "A {Name}";
DROP VIEW "Sub".links2;
DROP FUNCTION "Sub"."Times"(integer);
SET client_min_messages = warning;
DROP TABLE moved.link2 CASCADE;
RESET client_min_messages;
SELECT key FROM queued();
SELECT relation, key FROM rules;
SELECT * FROM triggers_of('label');
SELECT count(inval_untrack_rule(id)) FROM inval_rule WHERE key = 'n:{article}';
SET client_min_messages = warning;
DROP SCHEMA "Sub", moved CASCADE;
RESET client_min_messages;

-- Tables and links that are dropped together
SELECT inval_track('label', key => 'article:{article_id}',
	via => 'SELECT article_id FROM article_tag WHERE tag_id = {number}') IS NOT NULL AS tracked;
UPDATE label SET "A {Name}" = 'c';
SELECT * FROM queued();
DROP TABLE article_tag, article, label;
SELECT * FROM queued();
SELECT count(*) FROM inval_rule;

-- In partitions and children; and a query that reads the tracked table itself
CREATE TABLE part (id integer, up integer) PARTITION BY RANGE (id);
CREATE TABLE part_1 (up integer, dropped text, id integer);
ALTER TABLE part_1 DROP COLUMN dropped;
ALTER TABLE part ATTACH PARTITION part_1 FOR VALUES FROM (0) TO (10);
CREATE TABLE part_2 PARTITION OF part FOR VALUES FROM (10) TO (20);
SELECT inval_track('part', key => 'all below:{id}', via =>
	'WITH RECURSIVE below AS (SELECT {id} AS id UNION SELECT p.id FROM part p JOIN below b ON p.up = b.id) SELECT id FROM below') IS NOT NULL AS tracked;
INSERT INTO part VALUES (1, NULL), (2, 1), (12, 2);
SELECT * FROM queued();
UPDATE part SET up = NULL WHERE id = 2;
SELECT * FROM queued();
UPDATE part SET id = 3 WHERE id = 2;
SELECT * FROM queued();
DROP TABLE part;
SELECT count(*) > 0 AS queued FROM queued();
SELECT count(*) FROM inval_rule;
