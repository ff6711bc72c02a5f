--
-- Wrong calls of each function, and what they say.
--
CREATE TABLE doc (id integer PRIMARY KEY, team_id integer, body text);
INSERT INTO doc VALUES (1, 1, 'x');
CREATE VIEW doc_view AS SELECT * FROM doc;
CREATE MATERIALIZED VIEW doc_matview AS SELECT * FROM doc;
CREATE SEQUENCE doc_sequence;
CREATE TYPE doc_type AS (id integer);
CREATE TEMPORARY TABLE doc_temp (id integer);
CREATE TABLE doc_parted (id integer) PARTITION BY LIST (id);
CREATE TABLE doc_part PARTITION OF doc_parted FOR VALUES IN (1);
CREATE TABLE doc_parent (id integer);
CREATE TABLE doc_child () INHERITS (doc_parent);
CREATE FOREIGN DATA WRAPPER doc_wrapper;
CREATE SERVER doc_server FOREIGN DATA WRAPPER doc_wrapper;
CREATE FOREIGN TABLE doc_foreign (id integer) SERVER doc_server;
\pset format unaligned
\pset tuples_only on
\set VERBOSITY terse

-- Relations that cannot be tracked
SELECT outcome(
	$$inval_track(NULL, 'id')$$,
	$$inval_track(4294967295::oid::regclass, 'id')$$,
	$$inval_preview(4294967295::oid::regclass)$$,
	$$inval_track('doc_view', 'id')$$,
	$$inval_track('doc_matview', 'id')$$,
	$$inval_track('doc_pkey', 'id')$$,
	$$inval_track('doc_sequence', 'last_value')$$,
	$$inval_track('doc_type', 'id')$$,
	$$inval_track('doc_temp', 'id')$$,
	$$inval_track('doc_parted', 'id')$$,
	$$inval_track('doc_part', 'id')$$,
	$$inval_track('doc_parent', 'id')$$,
	$$inval_track('doc_foreign', 'id')$$,
	$$inval_track('pg_class', 'oid')$$,
	$$inval_track('pg_toast.pg_toast_2619', 'chunk_id')$$,
	$$inval_track('inval_rule', 'id')$$,
	$$inval_track('inval_queue', 'id')$$,
	$$inval_track('inval_outbox_0', 'xid')$$);

-- Columns
SELECT outcome(
	$$inval_track('doc')$$,
	$$inval_track('doc', NULL, NULL)$$,
	$$inval_track('doc', 'team_id', 'doc:{team_id}')$$,
	$$inval_track('doc', '')$$,
	$$inval_track('doc', ' ')$$,
	$$inval_track('doc', ',')$$,
	$$inval_track('doc', 'team_id,')$$,
	$$inval_track('doc', 'team_id id')$$,
	$$inval_track('doc', '"team_id')$$,
	$$inval_track('doc', 'team')$$,
	$$inval_track('doc', '"Team_ID"')$$,
	$$inval_track('doc', 'team_id, nope')$$,
	$$inval_track('doc', '{team_id}')$$,
	$$inval_track('doc', 'ctid')$$);

-- Templates
SELECT outcome(
	$$inval_track('doc', key => '')$$,
	$$inval_track('doc', key => '{nope}')$$,
	$$inval_track('doc', key => '{Team_ID}')$$,
	$$inval_track('doc', key => '{ team_id}')$$,
	$$inval_track('doc', key => '{tableoid}')$$,
	$$inval_track('doc', key => 'doc:{}')$$,
	$$inval_track('doc', key => 'doc:{|md5}')$$,
	$$inval_track('doc', key => 'doc:{""}')$$,
	$$inval_track('doc', key => 'doc:{')$$,
	$$inval_track('doc', key => 'doc:{team_id')$$,
	$$inval_track('doc', key => 'doc:{team_id|md5')$$,
	$$inval_track('doc', key => 'doc:{team{_id}}')$$,
	$$inval_track('doc', key => 'doc:}')$$,
	$$inval_track('doc', key => 'doc:{team_id}}')$$,
	$$inval_track('doc', key => 'doc:{{team_id}')$$,
	$$inval_track('doc', key => 'doc:{"team_id}')$$,
	$$inval_track('doc', key => 'doc:{"team_id"x}')$$,
	$$inval_track('doc', key => 'doc:{@nope}')$$,
	$$inval_track('doc', key => 'doc:{@}')$$,
	$$inval_track('doc', key => 'doc:{$sha}')$$,
	$$inval_track('doc', key => 'doc:{team_id.name}')$$,
	$$inval_track('doc', key => 'doc:{team_id[]}')$$,
	$$inval_track('doc', key => 'doc:{team_id|}')$$,
	$$inval_track('doc', key => 'doc:{team_id|sha1}')$$,
	$$inval_track('doc', key => 'doc:{team_id|MD5}')$$,
	$$inval_track('doc', key => 'doc:{team_id|md5 }')$$,
	$$inval_track('doc', key => 'doc:{team_id|sha256:}')$$,
	$$inval_track('doc', key => 'doc:{team_id|sha256:0}')$$,
	$$inval_track('doc', key => 'doc:{team_id|sha256:-1}')$$,
	$$inval_track('doc', key => 'doc:{team_id|sha256:8x}')$$,
	$$inval_track('doc', key => 'doc:{team_id|sha256:99999999999999999999}')$$,
	$$inval_track('doc', key => 'doc:{team_id|lower|lower|lower|lower|lower|lower|lower|lower|lower}')$$,
	$$inval_track('doc', key => repeat('x', 8193))$$,
	$$inval_track('doc', 'team_id', field => '')$$,
	$$inval_track('doc', 'team_id', field => '{nope}')$$,
	$$inval_track('doc', 'team_id', field => '{id')$$,
	$$inval_track('doc', 'team_id', field => repeat('x', 8193))$$);

-- Words
SELECT outcome(
	$$inval_track('doc', 'team_id', action => NULL)$$,
	$$inval_track('doc', 'team_id', action => 'remove')$$,
	$$inval_track('doc', 'team_id', action => 'DELETE')$$,
	$$inval_track('doc', 'team_id', action => 'version')$$,
	$$inval_track('doc', 'team_id', action => 'members')$$,
	$$inval_track('doc', 'team_id', action => 'prefix')$$,
	$$inval_track('doc', 'team_id', action => 'expire')$$,
	$$inval_track('doc', 'team_id', action => 'none')$$,
	$$inval_track('doc', 'team_id', delivery => NULL)$$,
	$$inval_track('doc', 'team_id', delivery => 'later')$$,
	$$inval_track('doc', 'team_id', delivery => 'strict')$$,
	$$inval_track('doc', 'team_id', state => NULL)$$,
	$$inval_track('doc', 'team_id', state => 'maybe')$$);

-- Lists
SELECT outcome(
	$$inval_track('doc', 'team_id', changes => '{}')$$,
	$$inval_track('doc', 'team_id', changes => '{NULL}')$$,
	$$inval_track('doc', 'team_id', changes => '{body,nope}')$$,
	$$inval_track('doc', 'team_id', changes => '{ctid}')$$,
	$$inval_track('doc', 'team_id', targets => NULL)$$,
	$$inval_track('doc', 'team_id', targets => '{}')$$,
	$$inval_track('doc', 'team_id', targets => '{NULL}')$$,
	$$inval_track('doc', 'team_id', targets => '{elsewhere}')$$,
	$$inval_track('doc', 'team_id', targets => '{default,default}')$$);

-- Options that this version does not have
SELECT outcome(
	$$inval_track('doc', 'team_id', via => 'SELECT 1')$$,
	$$inval_track('doc', 'team_id', ttl => '1 minute')$$,
	$$inval_track('doc', 'team_id', publish => 'c')$$,
	$$inval_track('doc', 'team_id', stream => 's')$$,
	$$inval_track('doc', 'team_id', fence => true)$$,
	$$inval_track('doc', 'team_id', fence => NULL)$$,
	$$inval_track('doc', 'team_id', repeat_after => '1 minute')$$,
	$$inval_track('doc', 'team_id', refill => 'SELECT 1')$$);

-- The other functions
SELECT outcome(
	$$inval_untrack(NULL)$$,
	$$inval_untrack('doc')$$,
	$$inval_untrack_rule(NULL)$$,
	$$inval_untrack_rule(-1)$$,
	$$inval_untrack_rule(2147483647)$$);
SELECT outcome(
	$$count(*) FROM inval_preview('doc')$$,
	$$count(*) FROM inval_preview('doc', 0)$$,
	$$count(*) FROM inval_preview('doc', -1)$$,
	$$count(*) FROM inval_preview(NULL)$$,
	$$count(*) FROM inval_preview('doc', NULL)$$,
	$$count(*) FROM inval_preview('doc_view')$$);
SELECT outcome(
	$$inval_touch(NULL)$$,
	$$inval_touch('')$$,
	$$inval_touch(repeat('x', 65537))$$,
	$$inval_touch('key', field => repeat('x', 65537))$$,
	$$inval_touch('key', NULL)$$,
	$$inval_touch('key', 'remove')$$,
	$$inval_touch('key', delivery => NULL)$$,
	$$inval_touch('key', delivery => 'later')$$,
	$$inval_touch('key', target => NULL)$$,
	$$inval_touch('key', target => 'elsewhere')$$);
SELECT outcome(
	$$inval_drain(NULL)$$,
	$$inval_drain('-1 second')$$,
	$$inval_drain('1 hour')$$,
	$$inval_pause(NULL)$$,
	$$inval_pause('elsewhere')$$,
	$$inval_resume(NULL)$$,
	$$inval_resume('elsewhere')$$);
-- Trigger functions are for tracked tables only.
SELECT outcome(
	$$inval_capture_row()$$,
	$$inval_capture_truncate()$$,
	$$inval_rule_changed()$$,
	$$count(*) FROM inval_outbox_source()$$);
\pset tuples_only off
\pset format aligned
\set VERBOSITY default
CREATE TRIGGER wrong BEFORE INSERT ON doc
	FOR EACH ROW EXECUTE FUNCTION inval_capture_row();
INSERT INTO doc VALUES (2, 2, 'x');
DROP TRIGGER wrong ON doc;
CREATE TRIGGER wrong AFTER INSERT ON doc
	FOR EACH STATEMENT EXECUTE FUNCTION inval_capture_row();
INSERT INTO doc VALUES (2, 2, 'x');
DROP TRIGGER wrong ON doc;
CREATE TRIGGER wrong AFTER TRUNCATE ON doc
	FOR EACH STATEMENT EXECUTE FUNCTION inval_capture_truncate();
TRUNCATE doc;
DROP TRIGGER wrong ON doc;

-- What writes cannot run where nothing may be written.
BEGIN READ ONLY;
SELECT inval_touch('key');
ROLLBACK;
BEGIN READ ONLY;
SELECT inval_drain();
ROLLBACK;
BEGIN READ ONLY;
SELECT inval_track('doc', 'team_id');
ROLLBACK;
BEGIN READ ONLY;
SELECT inval_untrack('doc');
ROLLBACK;
-- Reading can.
BEGIN READ ONLY;
SELECT count(*) >= 0 AS read FROM inval_queue;
SELECT count(*) >= 0 AS read FROM inval_stats;
SELECT count(*) FROM inval_target_status;
SELECT count(*) FROM inval_preview('doc');
COMMIT;

-- Nothing has come of all that.
SELECT * FROM rules;
SELECT * FROM triggers_of('doc');
SELECT * FROM queued();

-- A wrong call leaves a rule that is there as it is.
SELECT inval_track('doc', 'team_id', changes => '{body}') IS NOT NULL AS tracked;
SELECT inval_track('doc', 'team_id', changes => '{nope}');
SELECT inval_track('doc', 'team_id', delivery => 'strict');
SELECT * FROM rules;
SELECT inval_untrack('doc');

DROP FOREIGN TABLE doc_foreign;
DROP SERVER doc_server;
DROP FOREIGN DATA WRAPPER doc_wrapper;
DROP TABLE doc_child, doc_parent, doc_parted, doc_temp;
DROP TYPE doc_type;
DROP SEQUENCE doc_sequence;
DROP MATERIALIZED VIEW doc_matview;
DROP VIEW doc_view;
DROP TABLE doc;
