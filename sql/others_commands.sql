--
-- Rules that read what belongs to others.  When those others take away what was
-- read, nothing that the rule's owner has written runs within their command: a
-- function of his could keep it waiting, whatever cancels it.
--
-- The numbers of rules are shown.
ALTER SEQUENCE inval_rule_id_seq RESTART 9001;
SELECT count(*) >= 0 AS emptied FROM queued();
CREATE ROLE regress_inval_reader;
CREATE ROLE regress_inval_friend;
CREATE ROLE regress_inval_boss;
GRANT regress_inval_boss TO regress_inval_friend;
CREATE SCHEMA read AUTHORIZATION regress_inval_boss;
CREATE SCHEMA own AUTHORIZATION regress_inval_reader;
GRANT USAGE ON SCHEMA read, own TO PUBLIC;
GRANT CREATE ON SCHEMA own TO regress_inval_friend;

SET ROLE regress_inval_boss;
CREATE TYPE read.pair AS (a integer);
CREATE TABLE read.link (article integer, tag integer) PARTITION BY LIST (tag);
CREATE TABLE read.link_1 PARTITION OF read.link FOR VALUES IN (1);
CREATE TABLE read.link_2 PARTITION OF read.link FOR VALUES IN (2);
CREATE TABLE read.link_3 PARTITION OF read.link FOR VALUES IN (3);
CREATE VIEW read.seen AS SELECT article, tag FROM read.link;
CREATE MATERIALIZED VIEW read.kept AS SELECT 9 AS article, 1 AS tag;
CREATE FUNCTION read.twice(integer) RETURNS integer LANGUAGE sql STABLE AS 'SELECT 2 * $1';
GRANT SELECT ON read.link, read.seen, read.kept TO regress_inval_reader;

-- This one says whenever it is run.
SET ROLE regress_inval_reader;
CREATE FUNCTION own.ask(integer) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
	RAISE NOTICE 'asked';
	RETURN $1;
END $$;
CREATE TABLE own.tag (id integer PRIMARY KEY, n integer, pair read.pair);
GRANT ALL ON own.tag TO regress_inval_boss;
SELECT inval_track('own.tag', key => 'reader:{a}', via =>
	'SELECT own.ask(s.article) AS a FROM read.seen s WHERE s.tag = {id} UNION ALL
	SELECT own.ask(read.twice(k.article)) FROM read.kept k WHERE k.tag = {id}') AS reader \gset
SET ROLE regress_inval_friend;
CREATE TABLE own.friend (id integer PRIMARY KEY, n integer);
GRANT ALL ON own.friend TO regress_inval_boss;
SELECT inval_track('own.friend', key => 'friend:{article}', via =>
	'SELECT article FROM read.link WHERE tag = {id}') IS NOT NULL AS tracked;
SET ROLE regress_inval_boss;
INSERT INTO read.link VALUES (10, 1), (20, 2), (30, 3);
INSERT INTO own.tag VALUES (1), (2), (3);
INSERT INTO own.friend VALUES (1), (2), (3);
RESET ROLE;
SELECT * FROM queued();
SELECT inval_stats_reset();
\set VERBOSITY default

-- Commands after which nobody can ask what was there.  They say nothing, since no
-- row is changed that the rule is about.
SET ROLE regress_inval_boss;
BEGIN;
TRUNCATE read.link_1;
ALTER TABLE read.link DETACH PARTITION read.link_2;
DROP TABLE read.link_3;
CREATE OR REPLACE VIEW read.seen AS SELECT article + 1 AS article, tag FROM read.link;
CREATE OR REPLACE FUNCTION read.twice(integer) RETURNS integer LANGUAGE sql STABLE AS 'SELECT 3 * $1';
REFRESH MATERIALIZED VIEW read.kept;
ALTER TABLE read.link ADD COLUMN n double precision DEFAULT random();
-- One who could do the same to the owner is asked, as ever.
RESET ROLE;
SELECT * FROM queued();
-- If such a row is changed in the same transaction, that is said and counted.
SET ROLE regress_inval_boss;
UPDATE own.tag SET n = 1 WHERE id = 2;
INSERT INTO own.tag VALUES (4);
COMMIT;
RESET ROLE;
SELECT * FROM queued();
SELECT rule = :reader AS reader, skipped FROM inval_stats WHERE rule > 0 AND skipped > 0;

-- What was changed before the command is looked up before it, by who has changed it.
SET ROLE regress_inval_boss;
BEGIN;
UPDATE own.tag SET n = 2 WHERE id = 1;
REFRESH MATERIALIZED VIEW read.kept;
COMMIT;
RESET ROLE;
SELECT * FROM queued();
-- In the next transaction all is as ever.
UPDATE own.tag SET n = 3 WHERE id = 1;
SELECT * FROM queued();

-- A type of others in a row that a query is about
SET ROLE regress_inval_boss;
ALTER TYPE read.pair ADD ATTRIBUTE b integer;
RESET ROLE;
SET ROLE regress_inval_reader;
SELECT inval_track('own.tag', key => 'pair:{p}', via => 'SELECT own.ask(1) AS a, {pair} AS p') IS NOT NULL AS tracked;
SET ROLE regress_inval_boss;
ALTER TYPE read.pair ADD ATTRIBUTE c integer;

-- What a rule goes with
DROP MATERIALIZED VIEW read.kept CASCADE;
RESET ROLE;
SELECT * FROM queued();
SELECT rule = :reader AS reader, skipped FROM inval_stats WHERE rule > 0 AND skipped > 0 ORDER BY rule;
-- Its owner may drop it, or the table, whomever it reads.
SET ROLE regress_inval_reader;
SELECT inval_track('own.tag', key => 'again:{article}', via =>
	'SELECT article FROM read.link WHERE tag = {id}') IS NOT NULL AS tracked;
RESET ROLE;
INSERT INTO read.link VALUES (50, 1);
SET ROLE regress_inval_reader;
DROP TABLE own.tag;
RESET ROLE;
SELECT * FROM queued();
-- And so may whoever else may, with what the owner has written: it is his own table.
SET ROLE regress_inval_reader;
CREATE TABLE own.tag AS SELECT 1 AS id;
SELECT inval_track('own.tag', key => 'superuser:{article}', via =>
	'SELECT own.ask(article) AS article FROM read.link WHERE tag = {id}') IS NOT NULL AS tracked,
	inval_track('own.tag', key => 'too:{article}', via =>
	'SELECT own.ask(article) AS article FROM read.link WHERE tag = {id}') IS NOT NULL AS tracked;
RESET ROLE;
BEGIN;
DROP TABLE own.tag;
SELECT * FROM queued();
ROLLBACK;
DROP TABLE read.link CASCADE;
SELECT * FROM queued();

\set VERBOSITY terse
SET client_min_messages = warning;
DROP SCHEMA own, read CASCADE;
RESET client_min_messages;
DROP ROLE regress_inval_reader, regress_inval_friend, regress_inval_boss;
SELECT count(*) FROM queued();
