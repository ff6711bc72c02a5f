-- Queries that say what should be at a key: what is refused, how they are kept, what they
-- need; who may call inval_audit and inval_orphans, and for which rules.  What these find
-- is in test/t/061_audit.pl: there is no Redis here.

CREATE SCHEMA shop;
CREATE TABLE shop.article (id int PRIMARY KEY, slug text, body text, tags int[], other numeric);
CREATE TABLE shop.article_tag (article_id int, tag_id int);
CREATE FUNCTION shop.title(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT upper($1)';
SET search_path = shop, public;

-- What the query must be
SELECT inval_track('article', 'id', audit => 'SELECT id, body FROM article WHERE id = {id}');
SELECT inval_track('article', 'id', audit => 'SELECT id FROM article WHERE id = {id}');
SELECT inval_track('article', 'id', audit => 'SELECT body FROM article WHERE id = {nosuch}');
SELECT inval_track('article', 'id', audit => 'SELECT nosuch FROM article WHERE id = {id}');
SELECT inval_track('article', 'id', audit => 'DELETE FROM article RETURNING body');
SELECT inval_track('article', 'id', action => 'version', audit => 'SELECT body FROM article WHERE id = {id}');
SELECT inval_track('article', key => 'h:{id}', field => 'f', audit => 'SELECT body FROM article WHERE id = {id}');
CREATE TEMP TABLE mine (body text);
SELECT inval_track('article', 'id', audit => 'SELECT body FROM pg_temp.mine');
SELECT count(*) FROM inval_rule;

-- It is kept with all names in full, and neither needs a ttl nor implies a fence.
SELECT inval_track('article', 'id', audit => 'SELECT title(body) FROM article WHERE id = {id}') AS rule \gset
SELECT inval_track('article', 'id', audit => 'SELECT title(body) FROM article WHERE id = {id}') = :rule AS same;
SELECT key, audit, refill, fence FROM inval_rule;

-- It follows renames, and takes part in dependencies.
SELECT inval_track('article', 'id', audit => 'SELECT title(body) || {slug} FROM article WHERE id = {id}') = :rule AS same;
ALTER TABLE article RENAME COLUMN body TO content;
ALTER TABLE article RENAME COLUMN slug TO name;
ALTER FUNCTION title RENAME TO headline;
SELECT audit FROM inval_rule;
\set VERBOSITY terse
SET client_min_messages = warning;
ALTER TABLE article DROP COLUMN content;
ALTER TABLE article DROP COLUMN name;
DROP FUNCTION headline;
ALTER TABLE article ALTER COLUMN content TYPE varchar(10);
SELECT audit FROM inval_rule;
DROP FUNCTION headline CASCADE;
SELECT count(*) FROM inval_rule;
RESET client_min_messages;
\set VERBOSITY default

-- A rule can be written as a row, too; and what is not given again is gone.
SELECT inval_track('article', 'id', audit => 'SELECT content FROM article WHERE id = {id}') AS rule \gset
UPDATE inval_rule SET audit = 'SELECT name FROM shop.article WHERE id = {id}' WHERE id = :rule;
SELECT audit FROM inval_rule WHERE id = :rule;
SELECT inval_track('article', 'id') = :rule AS same;
SELECT audit FROM inval_rule WHERE id = :rule;

-- Numbers of rules depend on what was done before.
CREATE FUNCTION said(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	message text;
	detail text;
	hint text;
BEGIN
	EXECUTE statement;
	RETURN 'nothing';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN regexp_replace(concat_ws(E'\n', message, nullif(detail, ''), nullif(hint, '')), 'rule \d+', 'rule N');
END $$;

-- What can be audited
SELECT * FROM inval_audit(0);
SELECT said(format('SELECT * FROM inval_audit(%s)', :rule));
SELECT said(format('SELECT * FROM inval_audit(%s, 0)', :rule));
SELECT said(format('SELECT * FROM inval_audit(%s, 10001)', :rule));
SELECT * FROM inval_audit(NULL);
SELECT inval_track('article', 'id', state => 'shadow', audit => 'SELECT name FROM article WHERE id = {id}') = :rule AS same;
SELECT said(format('SELECT * FROM inval_audit(%s)', :rule));
SELECT inval_track('article', 'id', state => 'off', audit => 'SELECT name FROM article WHERE id = {id}') = :rule AS same;
SELECT said(format('SELECT * FROM inval_audit(%s)', :rule));
SELECT said(format('SELECT * FROM inval_orphans(%s)', :rule));
CREATE FOREIGN DATA WRAPPER nowhere;
CREATE SERVER nowhere FOREIGN DATA WRAPPER nowhere;
CREATE FOREIGN TABLE away (id int) SERVER nowhere;
SELECT inval_track('away', 'id', audit => 'SELECT {id}::text') AS away \gset
SELECT said(format('SELECT * FROM inval_audit(%s)', :away));
SET client_min_messages = warning;
DROP FOREIGN DATA WRAPPER nowhere CASCADE;
RESET client_min_messages;

-- A target that is paused is not asked.  What is queued is known without it.
SELECT inval_track('article', 'id', audit => 'SELECT name FROM article WHERE id = {id}') = :rule AS same;
SELECT said(format('SELECT * FROM inval_audit(%s)', :rule));
INSERT INTO article VALUES (1, 'one');
SELECT * FROM inval_audit(:rule);
SELECT audited, audit_failed FROM inval_stats WHERE rule = :rule;

-- Who has changed what is audited sees what others do not.
BEGIN;
UPDATE article SET name = 'two';
SELECT said(format('SELECT * FROM inval_audit(%s)', :rule));
ROLLBACK;
BEGIN READ ONLY;
SELECT verdict FROM inval_audit(:rule);
SELECT said(format('SELECT * FROM inval_audit(%s, repair => true)', :rule));
ROLLBACK;

-- An error of the query is the caller's.
SELECT inval_track('article', 'id', audit => 'SELECT (1 / (id - 1))::text FROM article WHERE id = {id}') = :rule AS same;
SELECT said(format('SELECT * FROM inval_audit(%s)', :rule));
SELECT inval_track('article', 'id', audit => 'SELECT x FROM (VALUES (''a''), (''b'')) v (x)') = :rule AS same;
SELECT said(format('SELECT * FROM inval_audit(%s)', :rule));

-- It runs as the owner of the table, as whom it cannot write.
CREATE FUNCTION writes() RETURNS text LANGUAGE plpgsql AS $$ BEGIN INSERT INTO shop.article VALUES (9); RETURN current_user; END $$;
SELECT inval_track('article', 'id', audit => 'SELECT writes()') = :rule AS same;
SELECT said(format('SELECT * FROM inval_audit(%s)', :rule));

-- A materialized view, whose rules are kept elsewhere
CREATE MATERIALIZED VIEW names AS SELECT id, name FROM article;
SELECT inval_track('names', 'id', audit => 'SELECT name FROM names WHERE id = {id}') AS names \gset
SELECT audit FROM inval_rule WHERE id = :names;
SELECT key, verdict FROM inval_audit(:names);
DROP MATERIALIZED VIEW names;

-- Keys that do not tell their row
SELECT inval_track('article', key => '{id}:x') AS a \gset
SELECT said(format('SELECT * FROM inval_orphans(%s)', :a));
SELECT inval_track('article', key => 'x:{name|md5}') AS a \gset
SELECT said(format('SELECT * FROM inval_orphans(%s)', :a));
SELECT inval_track('article', key => 'x:{tags[]}') AS a \gset
SELECT said(format('SELECT * FROM inval_orphans(%s)', :a));
SELECT inval_track('article', key => 'x:{name}:{content}') AS a \gset
SELECT said(format('SELECT * FROM inval_orphans(%s)', :a));
SELECT inval_track('article', key => 'x:{id}{name}') AS a \gset
SELECT said(format('SELECT * FROM inval_orphans(%s)', :a));
SELECT inval_track('article', key => 'x:{id}0') AS a \gset
SELECT said(format('SELECT * FROM inval_orphans(%s)', :a));
SELECT inval_track('article', key => 'x:{name}-{id}') AS a \gset
SELECT said(format('SELECT * FROM inval_orphans(%s)', :a));
SELECT inval_track('article', key => 'x:{other}') AS a \gset
SELECT said(format('SELECT * FROM inval_orphans(%s)', :a));
SELECT inval_track('article', key => 'x:{id}', action => 'prefix') AS a \gset
SELECT said(format('SELECT * FROM inval_orphans(%s)', :a));
SELECT inval_track('article', key => 'x:{id}', field => 'f') AS a \gset
SELECT said(format('SELECT * FROM inval_orphans(%s)', :a));
SELECT inval_track('article', key => 'x:{tag_id}', via => 'SELECT tag_id FROM article_tag WHERE article_id = {id}') AS a \gset
SELECT said(format('SELECT * FROM inval_orphans(%s)', :a));
SELECT * FROM inval_orphans(0);
SELECT said(format('SELECT * FROM inval_orphans(%s, max_keys => 0)', :rule));
SELECT said(format('SELECT * FROM inval_orphans(%s)', :rule));

-- Not for everybody, and not for the rules of others: both tell what the cache holds.
CREATE ROLE regress_audit_stranger;
CREATE ROLE regress_audit_granted;
GRANT USAGE ON SCHEMA shop TO regress_audit_stranger, regress_audit_granted;
GRANT CREATE ON SCHEMA shop TO regress_audit_granted;
GRANT EXECUTE ON FUNCTION inval_audit, inval_orphans TO regress_audit_granted;
SET ROLE regress_audit_stranger;
SELECT said(format('SELECT * FROM inval_audit(%s)', :rule));
SELECT said(format('SELECT * FROM inval_orphans(%s)', :rule));
SET ROLE regress_audit_granted;
SELECT said(format('SELECT * FROM inval_audit(%s)', :rule));
SELECT said(format('SELECT * FROM inval_orphans(%s)', :rule));
CREATE TABLE own (id int, v text);
INSERT INTO own VALUES (1, 'x');
SELECT inval_track('own', 'id', audit => 'SELECT current_user::text || v FROM own WHERE id = {id}') AS own \gset
SELECT verdict FROM inval_audit(:own);
-- The owner's query reads what he may.
SELECT inval_track('own', 'id', audit => 'SELECT name FROM article WHERE id = {id}');
RESET ROLE;
-- The superuser runs it with the rights of the owner.
GRANT SELECT ON article TO regress_audit_granted;
SET ROLE regress_audit_granted;
SELECT inval_track('own', 'id', audit => 'SELECT name FROM article WHERE id = {id}') = :own AS same;
RESET ROLE;
REVOKE SELECT ON article FROM regress_audit_granted;
SELECT said(format('SELECT * FROM inval_audit(%s)', :own));

RESET search_path;
SET client_min_messages = error;
DROP SCHEMA shop CASCADE;
DROP OWNED BY regress_audit_granted;
DROP ROLE regress_audit_stranger, regress_audit_granted;
DROP TABLE mine;
-- What comes next has a queue of its own.
SELECT count(*) > 0 AS noted FROM queued();
