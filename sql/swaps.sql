--
-- Swaps by rename: a table that was built aside takes the place of a tracked one.
--
CREATE SCHEMA swaps;
SET search_path = swaps, public;
CREATE TABLE t (id integer, v integer);
CREATE TABLE t_new (id integer, v integer);
INSERT INTO t VALUES (1, 1);
INSERT INTO t_new VALUES (2, 2);
SELECT inval_track('t', key => 't:{id}:{v}') IS NOT NULL AS tracked;
BEGIN;
ALTER TABLE t RENAME TO t_old;
ALTER TABLE t_new RENAME TO t;
COMMIT;
SELECT * FROM queued();
-- And back
BEGIN;
ALTER TABLE t RENAME TO t_new;
ALTER TABLE t_old RENAME TO t;
COMMIT;
SELECT * FROM queued();
-- Tracked in the same transaction, as it should be
BEGIN;
ALTER TABLE t RENAME TO t_old;
SAVEPOINT a;
ALTER TABLE t_new RENAME TO t;
ROLLBACK TO a;
ALTER TABLE t_new RENAME TO t;
SELECT inval_track('t', key => 't:{id}:{v}') IS NOT NULL AS tracked;
DROP TABLE t_old;
COMMIT;
SELECT * FROM queued();
-- Another schema; a new table; one that lacks a column
CREATE SCHEMA swaps_aside;
BEGIN;
ALTER TABLE t SET SCHEMA swaps_aside;
CREATE TABLE t AS SELECT 7 AS id, 7 AS v;
COMMIT;
SELECT * FROM queued();
BEGIN;
ALTER TABLE t RENAME TO u;
ALTER TABLE swaps_aside.t SET SCHEMA swaps;
ALTER TABLE t RENAME TO t_old;
CREATE TABLE t (id integer);
INSERT INTO t VALUES (1);
ROLLBACK;
SELECT * FROM queued();
-- Names that nobody takes, and temporary tables
BEGIN;
ALTER TABLE swaps_aside.t RENAME TO other;
CREATE TEMP TABLE t (id integer);
CREATE TABLE swaps_aside.t2 (id integer);
COMMIT;
SELECT * FROM queued();
-- Columns: the rule goes with the retired one, and that is said.
ALTER TABLE swaps_aside.other ADD COLUMN id_big bigint;
BEGIN;
ALTER TABLE swaps_aside.other RENAME id TO id_old;
ALTER TABLE swaps_aside.other RENAME id_big TO id;
COMMIT;
SELECT key FROM inval_rule WHERE relation = 'swaps_aside.other'::regclass;
-- Rows that the transaction has written itself, under a key that is looked up
CREATE TABLE author (id integer PRIMARY KEY, team integer);
INSERT INTO author VALUES (1, 10), (2, 20);
CREATE TABLE book (id integer, author integer REFERENCES author);
INSERT INTO book VALUES (1, 1);
SELECT inval_track('book', key => 'books:{author.team}') > 0 AS tracked;
BEGIN;
CREATE TABLE book_new (id integer, author integer REFERENCES author);
INSERT INTO book_new VALUES (2, 2);
ALTER TABLE book RENAME TO book_old;
ALTER TABLE book_new RENAME TO book;
SELECT inval_track('book', key => 'books:{author.team}') > 0 AS tracked;
COMMIT;
SELECT key FROM queued();
-- The column has another name, so that the first table's rule cannot be applied
CREATE TABLE price (id integer, thing integer);
INSERT INTO price VALUES (1, 1);
SELECT inval_track('price', key => 'price:{thing}') > 0 AS tracked;
BEGIN;
CREATE TABLE price_new (id integer, item integer);
INSERT INTO price_new VALUES (1, 2), (2, 2);
\set VERBOSITY sqlstate
ALTER TABLE price RENAME TO price_old;
ALTER TABLE price_new RENAME TO price;
\set VERBOSITY default
SELECT inval_track('price', key => 'price:{item}') > 0 AS tracked;
COMMIT;
SELECT key FROM queued() ORDER BY key;

RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA swaps, swaps_aside CASCADE;
RESET client_min_messages;
SELECT count(*) FROM queued();
