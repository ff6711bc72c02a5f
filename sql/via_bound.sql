--
-- A via query is bound once, when the rule is made: nothing that is created later
-- can take the place of what it named.
--
ALTER SEQUENCE inval_rule_id_seq RESTART 100;	-- for messages that have a rule's number
CREATE ROLE regress_inval_mallory;
CREATE SCHEMA bound;
GRANT USAGE, CREATE ON SCHEMA bound TO regress_inval_mallory;
CREATE TABLE bound.tag (name varchar PRIMARY KEY);
CREATE TABLE bound.article_tag (article_id integer, tag varchar);
INSERT INTO bound.article_tag VALUES (7, 'y');
SELECT inval_track('bound.tag', key => 'article:{article_id}',
	via => 'SELECT article_id FROM article_tag WHERE tag = {name}') AS rule \gset
-- The same call again finds the same rule.
SELECT inval_track('bound.tag', key => 'article:{article_id}',
	via => 'SELECT article_id FROM article_tag WHERE tag = {name}') = :rule AS same;
SELECT via FROM inval_rule WHERE id = :rule;
SET ROLE regress_inval_mallory;
CREATE FUNCTION bound.steal(varchar, varchar) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	RAISE WARNING 'hostile code runs as %', current_user;
	RETURN $1::text = $2::text;
END
$$;
CREATE OPERATOR bound.= (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = bound.steal);
RESET ROLE;
INSERT INTO bound.tag VALUES ('y');
SELECT * FROM queued();
\c -
UPDATE bound.tag SET name = 'y';
SELECT * FROM queued();
-- Nor by the search path of whoever writes.
\c -
SET search_path = bound, pg_catalog, public;
UPDATE bound.tag SET name = 'y';
SELECT * FROM queued();
SELECT inval_track('bound.tag', key => 'by:{path}', via => 'SELECT current_setting(''search_path'') AS path') AS by \gset
UPDATE bound.tag SET name = 'y';
SELECT * FROM queued();
SELECT inval_untrack_rule(:by);
RESET search_path;
-- Nor where the row of the rule is written again.
UPDATE inval_rule SET delivery = 'background' WHERE id = :rule;
UPDATE bound.tag SET name = 'y';
SELECT * FROM queued();
SELECT inval_untrack('bound.tag');
DROP OPERATOR bound.= (varchar, varchar);

-- A new column takes no name.
CREATE TABLE bound.s (id integer PRIMARY KEY, tenant integer);
CREATE TABLE bound.w (sid integer);
INSERT INTO bound.s VALUES (1, 77);
INSERT INTO bound.w VALUES (1);
SELECT inval_track('bound.s', key => 'w:{t}', via =>
	'SELECT {tenant} AS t FROM s WHERE s.id = {id} AND EXISTS (SELECT 1 FROM w WHERE sid = id)') IS NOT NULL AS tracked;
ALTER TABLE bound.w ADD COLUMN id integer;
UPDATE bound.s SET tenant = 78;
SELECT * FROM queued();
SELECT inval_untrack('bound.s');

-- A function that would fit better than a polymorphic one, or without a default,
-- is not run.
CREATE FUNCTION bound.one(anyelement, integer DEFAULT 1) RETURNS anyelement LANGUAGE sql AS 'SELECT $1';
CREATE TABLE bound.f (id integer);
SELECT inval_track('bound.f', key => 'f:{x}', via => 'SELECT one({id}) AS x') IS NOT NULL AS tracked;
INSERT INTO bound.f VALUES (1);
SELECT * FROM queued();
SET ROLE regress_inval_mallory;
CREATE FUNCTION bound.one(integer) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
	RAISE WARNING 'hostile code runs as %', current_user;
	RETURN $1;
END
$$;
RESET ROLE;
INSERT INTO bound.f VALUES (2);
DROP FUNCTION bound.one(integer);
INSERT INTO bound.f VALUES (3);
SELECT * FROM queued();
SELECT inval_untrack('bound.f');

-- What the syntax cannot qualify is refused, what it can is kept.
CREATE TYPE bound.odd AS (v integer);
CREATE FUNCTION bound.odd_eq(bound.odd, bound.odd) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT ($1).v % 2 = ($2).v % 2';
CREATE OPERATOR bound.= (LEFTARG = bound.odd, RIGHTARG = bound.odd, FUNCTION = bound.odd_eq);
CREATE TABLE bound.o (o bound.odd, x varchar);
CREATE TABLE bound.p (o bound.odd, y varchar, c char(3));
\pset format unaligned
SELECT * FROM outcome(
	$$inval_track('bound.o', key => '{y}', via => 'SELECT y FROM p WHERE o = {o}') IS NOT NULL$$,
	$$inval_track('bound.o', key => '{y}', via => 'SELECT y FROM p WHERE o IN ({o}, ROW(2)::bound.odd)') IS NOT NULL$$,
	$$inval_track('bound.o', key => '{y}', via => 'SELECT y FROM p WHERE o IN (SELECT o FROM o)') IS NOT NULL$$,
	$$inval_track('bound.o', key => '{y}', via => 'SELECT y FROM o JOIN p USING (o)') IS NOT NULL$$,
	$$inval_track('bound.o', key => '{y}', via => 'SELECT y FROM o JOIN p ON o.o = p.o') IS NOT NULL$$,
	$$inval_track('bound.o', key => '{y}', via => 'SELECT y FROM p WHERE o IS DISTINCT FROM {o}') IS NOT NULL$$,
	$$inval_track('bound.o', key => '{y}', via => 'SELECT CASE o WHEN {o} THEN y END AS y FROM p') IS NOT NULL$$,
	$$inval_track('bound.o', key => '{y}', via => 'SELECT y FROM p WHERE NULLIF(o, {o}) IS NULL') IS NOT NULL$$,
	$$inval_track('bound.o', key => '{y}', via => 'SELECT y FROM p WHERE y IN (''a'', ''b'') AND c IN ({x}, ''c'')') IS NOT NULL$$,
	$$inval_track('bound.o', key => '{y}', via => 'SELECT DISTINCT ON (1) y, count(*) OVER w AS n FROM (VALUES (1, ''a''), (NULL, {x})) v (a, y) JOIN p USING (y) GROUP BY 1, a HAVING max(a) > 0.5 WINDOW w AS (ORDER BY y DESC) ORDER BY 1 LIMIT 3') IS NOT NULL$$,
	$$inval_track('bound.o', key => '{y}', via => 'WITH RECURSIVE r (y) AS (SELECT {x} UNION ALL SELECT y || ''x'' FROM r WHERE length(y) < 4) SELECT y FROM r UNION SELECT upper(y) FROM p, LATERAL (SELECT p.c LIKE ''a%'' AS b) q WHERE b OR y BETWEEN ''a'' AND ''b'' OR y ~ ANY (''{{a,b}}''::text[]) EXCEPT (SELECT y FROM p LIMIT 0)') IS NOT NULL$$,
	$$inval_track('bound.o', key => '{y}', via => 'WITH RECURSIVE r (y) AS (SELECT {x}::text UNION ALL SELECT y || ''x'' FROM r WHERE length(y) < 4) SELECT y FROM r UNION SELECT upper(y) FROM p, LATERAL (SELECT p.c LIKE ''a%'' AS b) q WHERE b OR y BETWEEN ''a'' AND ''b'' OR y ~ ANY (''{{a,b}}''::text[]) EXCEPT SELECT ''a$1''') IS NOT NULL$$,
	$$inval_track('bound.o', key => '{y}', via => 'SELECT y, ''{{'' || $q$it''s {{$q$ AS b, E''\n'' AS c, -1 AS d, 1.50 AS e, B''101'' AS f, interval ''1 day'' AS g, now() AT TIME ZONE ''UTC'' AS h, (ARRAY[1, 2])[1] AS i FROM p WHERE (y, c) > ({x}, ''a'')') IS NOT NULL$$);
\pset format aligned

SELECT count(*) FROM queued();
SET client_min_messages = warning;
DROP SCHEMA bound CASCADE;
RESET client_min_messages;
DROP ROLE regress_inval_mallory;
SELECT count(*) FROM queued();
