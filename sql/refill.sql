-- Rules that put values back: what is refused, how the query is kept, what it needs.
-- What becomes of it is in test/t/052_refill.pl.

CREATE SCHEMA shop;
CREATE TABLE shop.article (id int PRIMARY KEY, slug text, body text, picture bytea, doc jsonb);
CREATE TABLE shop.article_tag (article_id int, tag_id int);
CREATE TABLE shop.tag (id int PRIMARY KEY, name text);
CREATE FUNCTION shop.title(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT upper($1)';
SET search_path = shop, public;

-- What it must be
SELECT inval_track('article', 'id', refill => 'SELECT body FROM article WHERE id = {id}');
SELECT inval_track('article', 'id', ttl => '1 hour');
SELECT inval_track('article', 'id', refill => 'SELECT body FROM article WHERE id = {id}', ttl => '0');
SELECT inval_track('article', key => 'h:{id}', field => 'f', refill => 'SELECT body FROM article WHERE id = {id}', ttl => '1 hour');
SELECT inval_track('article', 'id', action => 'version', refill => 'SELECT body FROM article WHERE id = {id}', ttl => '1 hour');
SELECT inval_track('article', 'id', action => 'expire', refill => 'SELECT body FROM article WHERE id = {id}', ttl => '1 hour');
SELECT inval_track('article', 'id', refill => 'SELECT id, body FROM article WHERE id = {id}', ttl => '1 hour');
SELECT inval_track('article', 'id', refill => 'SELECT doc FROM article WHERE id = {id}', ttl => '1 hour');
SELECT inval_track('article', 'id', refill => 'SELECT id FROM article WHERE id = {id}', ttl => '1 hour');
SELECT inval_track('article', 'id', refill => 'SELECT body FROM article WHERE id = ''{id}''', ttl => '1 hour');
SELECT inval_track('article', 'id', refill => 'SELECT body FROM article WHERE id = {nosuch}', ttl => '1 hour');
SELECT inval_track('article', 'id', refill => 'SELECT nosuch FROM article WHERE id = {id}', ttl => '1 hour');
SELECT inval_track('article', 'id', refill => 'DELETE FROM article RETURNING body', ttl => '1 hour');
SELECT inval_track('article', 'id', refill => 'SELECT body INTO x FROM article', ttl => '1 hour');
SELECT inval_track('article', 'id', refill => 'SELECT body FROM nosuch WHERE id = {id}', ttl => '1 hour');
CREATE TEMP TABLE mine (body text);
SELECT inval_track('article', 'id', refill => 'SELECT body FROM pg_temp.mine', ttl => '1 hour');
SELECT inval_track('tag', key => 'article:{article_id}', ttl => '1 hour',
	via => 'SELECT article_id FROM article_tag WHERE tag_id = {id}', refill => 'SELECT body FROM article WHERE body = {name}');
SELECT count(*) FROM inval_rule;

-- It is kept with all names in full, and implies a fence.
SELECT inval_track('article', 'id', refill => 'SELECT title(body) FROM article WHERE id = {id}', ttl => '1 hour') AS rule \gset
SELECT inval_track('article', 'id', refill => 'SELECT title(body) FROM article WHERE id = {id}', ttl => '1 hour') = :rule AS same;
SELECT key, refill, ttl, fence FROM inval_rule;
RESET search_path;
SELECT inval_track('shop.article', 'id', ttl => '60 min', refill => refill) = :rule AS same FROM inval_rule;
SELECT refill FROM inval_rule;
SET search_path = shop, public;
SELECT inval_track('article', 'id', refill => 'SELECT picture FROM article WHERE id = {id}', ttl => '1 day') = :rule AS same;
SELECT refill, ttl FROM inval_rule;

-- It follows renames, and takes part in dependencies.
SELECT inval_track('article', 'id', refill => 'SELECT title(body) || {slug} FROM article WHERE id = {id}', ttl => '1 hour') = :rule AS same;
ALTER TABLE article RENAME COLUMN body TO content;
ALTER TABLE article RENAME COLUMN slug TO name;
ALTER FUNCTION title RENAME TO headline;
ALTER SCHEMA shop RENAME TO store;
SET search_path = store, public;
SELECT refill FROM inval_rule;
\set VERBOSITY terse
SET client_min_messages = warning;
ALTER TABLE article DROP COLUMN content;
ALTER TABLE article DROP COLUMN name;
DROP FUNCTION headline;
ALTER TABLE article ALTER COLUMN content TYPE varchar(10);
SELECT refill FROM inval_rule;
ALTER TABLE article ALTER COLUMN content TYPE int USING 1;
DROP FUNCTION headline CASCADE;
SELECT count(*) FROM inval_rule;

-- Placeholders name what the query of via gives, before columns of the row.
SELECT inval_track('tag', key => 'article:{id}', ttl => '1 hour',
	via => 'SELECT article_id AS id FROM article_tag WHERE tag_id = {id}',
	refill => 'SELECT content::text FROM article WHERE id = {id}') IS NOT NULL AS tracked;
ALTER TABLE article_tag RENAME COLUMN article_id TO of;
ALTER TABLE article RENAME TO item;
SELECT via, refill FROM inval_rule;
ALTER TABLE item DROP COLUMN content CASCADE;
SELECT count(*) FROM inval_rule;

\set VERBOSITY default
RESET client_min_messages;

-- Another's table
CREATE ROLE regress_refill_keeper;
CREATE TABLE kept (id int);
GRANT USAGE, CREATE ON SCHEMA store TO regress_refill_keeper;
ALTER TABLE kept OWNER TO regress_refill_keeper;
SELECT inval_track('kept', 'id', refill => 'SELECT name FROM tag WHERE id = {id}', ttl => '1 hour');

-- A materialized view, by what its key is made of
CREATE MATERIALIZED VIEW names AS SELECT id, name FROM tag;
SELECT inval_track('names', 'id', refill => 'SELECT name FROM names WHERE name = {name}', ttl => '1 hour');
SELECT inval_track('names', 'id', refill => 'SELECT name FROM names WHERE id = {id}', ttl => '1 hour') IS NOT NULL AS tracked;
SELECT key, refill, ttl FROM inval_rule;
DROP MATERIALIZED VIEW names;

-- Keys go whatever becomes of the query: it is changed while keys are to be looked up, or
-- may not be run any more.
CREATE TABLE project (id int PRIMARY KEY, team_id int);
CREATE TABLE task (id int PRIMARY KEY, project_id int REFERENCES project);
INSERT INTO project VALUES (1, 7);
SELECT inval_track('task', key => 'team:{project_id.team_id}', ttl => '1 hour',
	refill => 'SELECT team_id::text FROM project WHERE id = {project_id}') AS rule \gset
BEGIN;
INSERT INTO task VALUES (1, 1);
SELECT inval_track('task', key => 'team:{project_id.team_id}', ttl => '1 hour',
	refill => 'SELECT ''x''') = :rule AS same;
COMMIT;
SELECT action, key FROM inval_queue WHERE rule = :rule;
GRANT SELECT ON tag TO regress_refill_keeper;
SELECT inval_track('kept', 'id', refill => 'SELECT name FROM tag WHERE id = {id}', ttl => '1 hour') AS rule \gset
REVOKE SELECT ON tag FROM regress_refill_keeper;
SET client_min_messages = error;
INSERT INTO kept VALUES (1);
RESET client_min_messages;
SELECT action, key FROM inval_queue WHERE rule = :rule;
SELECT inval_untrack('kept'), inval_untrack('task');

-- What is to be put back is no invalidation, and not in the queue.
SELECT inval_track('tag', 'id', refill => 'SELECT name FROM tag WHERE id = {id}', ttl => '1 hour') IS NOT NULL AS tracked;
INSERT INTO tag VALUES (1, 'x');
SELECT action, key FROM inval_queue WHERE rule = (SELECT id FROM inval_rule);
SELECT inval_track('tag', 'id') IS NOT NULL AS tracked;
SELECT refill, fence FROM inval_rule;
RESET search_path;
SET client_min_messages = error;
DROP SCHEMA store CASCADE;
DROP ROLE regress_refill_keeper;
DROP TABLE mine;
-- What comes next has a queue of its own.
SELECT count(*) > 0 AS noted FROM queued();
