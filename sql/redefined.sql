--
-- What a rule reads and runs gets another definition, in a transaction that
-- changes rows too: their keys are those by the old one and those by the new one.
--
CREATE TABLE tag (id integer PRIMARY KEY, n integer);
CREATE TABLE link (article integer, tag integer);
INSERT INTO tag VALUES (1), (2);
INSERT INTO link VALUES (10, 1), (20, 2);
CREATE VIEW base AS SELECT article, tag FROM link;
CREATE VIEW viewed AS SELECT article, tag FROM base;
CREATE FUNCTION f(integer) RETURNS integer LANGUAGE sql AS 'SELECT $1 + 1';
CREATE FUNCTION f(text) RETURNS integer LANGUAGE sql AS 'SELECT 0';
CREATE FUNCTION g(i integer) RETURNS integer RETURN f(i);
CREATE AGGREGATE biggest(integer) (SFUNC = int4larger, STYPE = integer);
SELECT inval_track('tag', key => 'viewed:{article}', via => 'SELECT article FROM viewed WHERE tag = {id}') IS NOT NULL AS tracked;
SELECT inval_track('tag', key => 'f:{article}', via => 'SELECT g(article) AS article FROM link WHERE tag = {id}') IS NOT NULL AS tracked;
SELECT inval_track('tag', key => 'biggest:{article}', via => 'SELECT biggest(article) AS article FROM link WHERE tag = {id}') IS NOT NULL AS tracked;

-- A view that a view reads, rows changed before or after
BEGIN;
UPDATE tag SET n = 1 WHERE id = 1;
CREATE OR REPLACE VIEW base AS SELECT article + 1 AS article, tag FROM link;
COMMIT;
SELECT * FROM queued() WHERE key LIKE 'viewed%';
BEGIN;
CREATE OR REPLACE VIEW base AS SELECT article + 2 AS article, tag FROM link;
UPDATE tag SET n = 2 WHERE id = 1;
COMMIT;
SELECT * FROM queued() WHERE key LIKE 'viewed%';
BEGIN;
UPDATE tag SET n = 1 WHERE id = 1;
CREATE OR REPLACE RULE "_RETURN" AS ON SELECT TO base DO INSTEAD SELECT article + 3 AS article, tag FROM link;
COMMIT;
SELECT * FROM queued() WHERE key LIKE 'viewed%';
-- And what is below them
BEGIN;
TRUNCATE link;
INSERT INTO link VALUES (30, 1);
UPDATE tag SET n = 3 WHERE id = 1;
COMMIT;
SELECT * FROM queued() WHERE key LIKE 'viewed%';

-- A function that a function calls, in each way
BEGIN;
UPDATE tag SET n = 4 WHERE id = 1;
CREATE OR REPLACE FUNCTION f(integer) RETURNS integer LANGUAGE sql AS 'SELECT $1 + 2';
COMMIT;
SELECT * FROM queued() WHERE key LIKE 'f%';
BEGIN;
CREATE OR REPLACE FUNCTION f(IN integer, OUT integer) LANGUAGE sql AS 'SELECT $1 + 3';
UPDATE tag SET n = 5 WHERE id = 1;
COMMIT;
SELECT * FROM queued() WHERE key LIKE 'f%';
CREATE OR REPLACE FUNCTION f(integer) RETURNS integer LANGUAGE plpgsql SET x.plus = '4' AS
	'BEGIN RETURN $1 + current_setting(''x.plus'')::integer; END';
BEGIN;
UPDATE tag SET n = 6 WHERE id = 1;
ALTER FUNCTION f(integer) SET x.plus = '5';
COMMIT;
SELECT * FROM queued() WHERE key LIKE 'f%';
-- Another one of that name is none of its business.
CREATE SCHEMA zero;
BEGIN;
CREATE OR REPLACE FUNCTION f(text) RETURNS integer LANGUAGE sql AS 'SELECT 1';
CREATE OR REPLACE FUNCTION zero.f(integer) RETURNS integer LANGUAGE sql AS 'SELECT 1';
CREATE OR REPLACE VIEW zero.base AS SELECT 1 AS a;
COMMIT;
SELECT * FROM queued();
-- An aggregate
BEGIN;
UPDATE tag SET n = 7 WHERE id = 1;
CREATE OR REPLACE AGGREGATE biggest(integer) (SFUNC = int4pl, STYPE = integer, INITCOND = '100');
COMMIT;
SELECT * FROM queued() WHERE key LIKE 'biggest%';
-- A procedure, or what is none of the kind that it is replaced by
BEGIN;
CREATE PROCEDURE p(a integer, OUT b integer) LANGUAGE sql AS 'SELECT 1';
CREATE OR REPLACE PROCEDURE p(a integer, OUT b integer) LANGUAGE sql AS 'SELECT 2';
CREATE OR REPLACE FUNCTION p(integer) RETURNS integer LANGUAGE sql AS 'SELECT 1';
ROLLBACK;
-- By itself such a command changes no row.
CREATE OR REPLACE VIEW base AS SELECT article + 4 AS article, tag FROM link;
SELECT * FROM queued();

DROP TABLE tag;
DROP VIEW viewed, base;
DROP TABLE link;
DROP FUNCTION g(integer), f(integer), f(text);
DROP AGGREGATE biggest(integer);
\set VERBOSITY terse
SET client_min_messages = warning;
DROP SCHEMA zero CASCADE;
RESET client_min_messages;
SELECT * FROM queued();
