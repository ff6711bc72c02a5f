--
-- Who may do what.
--
CREATE ROLE regress_inval_owner;
CREATE ROLE regress_inval_app;
CREATE ROLE regress_inval_monitor IN ROLE pg_monitor;
CREATE SCHEMA own AUTHORIZATION regress_inval_owner;
GRANT USAGE ON SCHEMA own TO regress_inval_app;

-- The owner of a table tracks it, without any right on our tables.
SET SESSION AUTHORIZATION regress_inval_owner;
CREATE TABLE own.doc (id serial PRIMARY KEY, team_id integer, note text);
SELECT inval_track('own.doc', 'team_id') AS rule \gset
SELECT inval_track('own.doc', 'team_id', field => '{id}') AS other_rule \gset
SELECT inval_track('own.doc', 'team_id', delivery => 'background') = :rule AS same;
GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON own.doc TO regress_inval_app;
GRANT USAGE ON own.doc_id_seq TO regress_inval_app;
SELECT * FROM triggers_of('own.doc');
SELECT key, field, state FROM inval_rule WHERE relation = 'own.doc'::regclass ORDER BY field;
INSERT INTO own.doc (team_id) VALUES (1);
SELECT key, field FROM inval_preview('own.doc') ORDER BY field;
SELECT inval_untrack_rule(:other_rule);
SELECT inval_untrack('own.doc');
SELECT * FROM triggers_of('own.doc');
SELECT inval_track('own.doc', 'team_id') AS rule \gset
-- But not the tables of others.
CREATE TABLE own.mine (id integer);
RESET SESSION AUTHORIZATION;
CREATE TABLE own.alien (id integer);
SELECT inval_track('own.alien', 'id') AS alien_rule \gset
GRANT ALL ON own.alien TO regress_inval_owner;
SET SESSION AUTHORIZATION regress_inval_owner;
\set VERBOSITY default
SELECT inval_track('own.alien', 'id');
SELECT inval_track('own.alien', 'id', state => 'off');
SELECT inval_untrack('own.alien');
SELECT inval_untrack_rule(:alien_rule);
SELECT inval_track('pg_class', 'oid');
-- Nor the tables of the extension, however they go about it.
INSERT INTO inval_rule (relation, key) VALUES ('own.mine', 'x');
UPDATE inval_rule SET state = 'off';
DELETE FROM inval_rule;
TRUNCATE inval_rule;
SELECT nextval('inval_rule_id_seq');

-- An application that may change the table, and nothing else.
SET SESSION AUTHORIZATION regress_inval_app;
SELECT inval_track('own.doc', 'id');
SELECT inval_untrack('own.doc');
SELECT inval_untrack_rule(:rule);
INSERT INTO own.doc (team_id) VALUES (2), (3);
UPDATE own.doc SET note = 'x', team_id = 4 WHERE team_id = 3;
DELETE FROM own.doc WHERE team_id = 2;
TRUNCATE own.doc;
BEGIN;
INSERT INTO own.doc (team_id) VALUES (5);
PREPARE TRANSACTION 'inval app';
COMMIT PREPARED 'inval app';
SET inval.pending_memory = '64kB';
INSERT INTO own.doc (team_id) SELECT generate_series(1001, 11000);
RESET inval.pending_memory;
-- The queue, figures and operations are not for it.
SELECT * FROM inval_queue;
SELECT * FROM inval_queue_rows();
SELECT * FROM inval_outbox_0;
SELECT * FROM inval_outbox_source();
SELECT * FROM inval_stats;
SELECT * FROM inval_stats_rows();
SELECT * FROM inval_target_status;
SELECT * FROM inval_target_status_rows();
SELECT inval_touch('key');
SELECT inval_drain();
SELECT inval_pause();
SELECT inval_resume();
SELECT inval_stats_reset();
SELECT inval_start_worker();
-- Rules are for everybody to see, as triggers are; rows are not.
SELECT key FROM inval_rule WHERE relation = 'own.doc'::regclass;
SELECT * FROM inval_preview('own.alien');
-- Where Redis is may hold a password.  The server's words for that differ
-- between versions.
\set VERBOSITY sqlstate
SHOW inval.redis_url;
SELECT current_setting('inval.redis_url');
\set VERBOSITY default
SELECT name FROM pg_settings WHERE name = 'inval.redis_url';
SET inval.redis_url = 'redis://elsewhere';
SET inval.commit_timeout = '1 min';
SET inval.commit_max_keys = 0;
RESET SESSION AUTHORIZATION;
SELECT count(*) FROM queued() WHERE key ~ '^doc:\d{4,}$';
SELECT key FROM inval_queue WHERE key ~ '^doc:\d$' AND rule = :rule ORDER BY id, key;

-- Who may make triggers on a table makes none that pass for ours.
GRANT TRIGGER ON own.doc TO regress_inval_app;
SET SESSION AUTHORIZATION regress_inval_app;
CREATE TRIGGER mine AFTER INSERT ON own.doc FOR EACH ROW WHEN (false) EXECUTE FUNCTION inval_capture_row();
CREATE TRIGGER mine BEFORE TRUNCATE ON own.doc EXECUTE FUNCTION inval_capture_truncate();
CREATE TRIGGER mine BEFORE TRUNCATE ON own.doc EXECUTE FUNCTION inval_rule_carrier('id', '1', 'key', 'x');
RESET SESSION AUTHORIZATION;
REVOKE TRIGGER ON own.doc FROM regress_inval_app;

-- Monitoring reads all of it and changes nothing.
SET SESSION AUTHORIZATION regress_inval_monitor;
SELECT count(*) > 0 AS queue, count(key) AS keys, count(field) AS fields FROM inval_queue;
SELECT inval_sees_keys(), inval_key_right();
SELECT count(*) > 0 AS stats FROM inval_stats;
SELECT target, state FROM inval_target_status;
SELECT inval_pause();
SELECT inval_stats_reset();
SELECT inval_touch('key');
RESET SESSION AUTHORIZATION;

-- Keys are for who is granted to see them.
GRANT EXECUTE ON FUNCTION inval_key_right() TO regress_inval_monitor;
SET SESSION AUTHORIZATION regress_inval_monitor;
SELECT count(*) = count(key) AS keys, inval_sees_keys() FROM inval_queue;
RESET SESSION AUTHORIZATION;
REVOKE EXECUTE ON FUNCTION inval_key_right() FROM regress_inval_monitor;

-- A right that was granted is enough.
GRANT EXECUTE ON FUNCTION inval_touch TO regress_inval_app;
SET SESSION AUTHORIZATION regress_inval_app;
SELECT inval_touch('granted');
RESET SESSION AUTHORIZATION;
REVOKE EXECUTE ON FUNCTION inval_touch FROM regress_inval_app;
SELECT * FROM queued() WHERE key = 'granted';

-- A member of the owning role is an owner; a new owner is one, the old is none.
CREATE ROLE regress_inval_member IN ROLE regress_inval_owner;
SET SESSION AUTHORIZATION regress_inval_member;
SELECT inval_track('own.doc', 'team_id') = :rule AS same;
SELECT inval_untrack('own.doc', 'nothing');
RESET SESSION AUTHORIZATION;
ALTER TABLE own.doc OWNER TO regress_inval_app;
SET SESSION AUTHORIZATION regress_inval_owner;
SELECT inval_untrack('own.doc');
SET SESSION AUTHORIZATION regress_inval_app;
SELECT inval_track('own.doc', 'team_id') = :rule AS same;
RESET SESSION AUTHORIZATION;

-- Names of the caller's making do not get between us and our own.
SET SESSION AUTHORIZATION regress_inval_owner;
CREATE FUNCTION own.evil(text, text) RETURNS boolean LANGUAGE plpgsql AS
	'BEGIN RAISE EXCEPTION ''called as %'', current_user; END';
CREATE OPERATOR own.= (FUNCTION = own.evil, LEFTARG = text, RIGHTARG = text);
CREATE TABLE own.inval_rule (id integer);
CREATE FUNCTION own.coalesce(text, text) RETURNS text LANGUAGE sql AS 'SELECT 1 / 0 || $1';
SET search_path = own, pg_catalog, public;
SELECT inval_track('mine', 'id', changes => '{id}') IS NOT NULL AS tracked;
SELECT inval_track('mine', 'id', state => 'on') IS NOT NULL AS tracked;
INSERT INTO mine VALUES (1);
SELECT key FROM inval_preview('mine');
SELECT inval_untrack('mine');
RESET search_path;
RESET SESSION AUTHORIZATION;

-- Row security hides rows from the preview, and from no trigger.
ALTER TABLE own.mine ENABLE ROW LEVEL SECURITY;
CREATE POLICY none ON own.mine USING (id > 100) WITH CHECK (true);
GRANT ALL ON own.mine TO regress_inval_app;
SELECT inval_track('own.mine', 'id') IS NOT NULL AS tracked;
INSERT INTO own.mine VALUES (101);
SET SESSION AUTHORIZATION regress_inval_app;
INSERT INTO own.mine VALUES (2);
SELECT key FROM inval_preview('own.mine');
TRUNCATE own.mine;
RESET SESSION AUTHORIZATION;
SELECT * FROM queued() WHERE key LIKE 'mine:%';

SELECT inval_untrack('own.doc'), inval_untrack('own.alien'), inval_untrack('own.mine');
SET client_min_messages = error;
DROP SCHEMA own CASCADE;
DROP ROLE regress_inval_member, regress_inval_owner, regress_inval_app, regress_inval_monitor;
