--
-- From a committed change to the queue, through all the doors, and what
-- inval_stats counts on the way.
--
\pset null (null)
CREATE TABLE team (id integer PRIMARY KEY, name text);
CREATE TABLE doc (id integer PRIMARY KEY,
	team_id integer REFERENCES team ON DELETE CASCADE ON UPDATE CASCADE, note text);
CREATE TABLE pin (id integer PRIMARY KEY,
	doc_id integer DEFAULT 0 REFERENCES doc ON DELETE SET NULL, note text);
INSERT INTO team VALUES (1, 'a'), (2, 'b'), (3, 'c');
SELECT inval_track('doc', 'team_id') AS rule \gset
SELECT inval_track('pin', 'doc_id', delivery => 'background') AS background \gset
SELECT inval_stats_reset();

-- A row of inval_queue
INSERT INTO doc VALUES (1, 1);
INSERT INTO pin VALUES (1, 1);
SELECT rule = :rule AS commit, rule = :background AS background, target, action, key, field,
	attempts >= 0 AS attempts, queued_at <= clock_timestamp() AS queued_at,
	xid::text::bigint > 0 AS xid
FROM inval_queue WHERE rule IN (:rule, :background) ORDER BY key;
SELECT * FROM queued();
-- Its transaction is the one that changed the row, and its id is its own.
BEGIN;
SELECT pg_current_xact_id() AS xid \gset
INSERT INTO doc VALUES (2, 1), (3, 2), (4, 3);
INSERT INTO pin VALUES (2, 2), (3, 3);
COMMIT;
SELECT count(*), count(DISTINCT id), count(DISTINCT queued_at) <= 2 AS at_once
FROM inval_queue WHERE xid = :'xid';
SELECT * FROM queued();

-- A key that is changed often is queued once in a transaction ...
SELECT inval_stats_reset();
BEGIN;
UPDATE doc SET note = 'a';
UPDATE doc SET note = 'b';
UPDATE doc SET team_id = NULL WHERE id = 3;
UPDATE doc SET note = 'c';
COMMIT;
SELECT * FROM queued();
-- ... which is counted: 4 + 4 + 1 + 4 rows, of which each has two keys, less
-- one of the row that lost its team and two of that row later.
SELECT relation, target, rows_seen, keys_queued, keys_coalesced, skipped,
	delivered_at_commit, delivered_by_worker, failed_tries,
	lag_p50_ms, lag_p95_ms, lag_p99_ms, lag_max_ms, last_delivery
FROM inval_stats WHERE rule = :rule;
-- What is rolled back counts nowhere.
BEGIN;
UPDATE doc SET note = 'd';
ROLLBACK;
BEGIN;
SAVEPOINT a;
UPDATE doc SET note = 'd', team_id = NULL;
ROLLBACK TO a;
COMMIT;
SELECT rows_seen, keys_queued, keys_coalesced, skipped FROM inval_stats WHERE rule = :rule;
-- Across transactions it is queued again.
UPDATE doc SET note = 'd' WHERE id = 1;
UPDATE doc SET note = 'e' WHERE id = 1;
SELECT * FROM queued();

-- One key of two rules of one table is one invalidation.
SELECT inval_track('doc', key => 'doc:{"team_id"}') AS twin \gset
UPDATE doc SET note = 'f' WHERE id = 1;
SELECT * FROM queued();
SELECT inval_untrack_rule(:twin);
-- A field of a key and the key itself are two.
SELECT inval_track('doc', 'team_id', field => '{id}') AS twin \gset
UPDATE doc SET note = 'g' WHERE id <= 2;
SELECT * FROM queued();
SELECT inval_untrack_rule(:twin);

-- By hand
SELECT inval_touch('hand');
SELECT inval_touch('hand', delivery => 'background');
SELECT rule, target, action, key, field FROM inval_queue WHERE key = 'hand';
SELECT count(*) FROM queued();
BEGIN;
SELECT inval_touch('hand', field => 'f');
SELECT inval_touch('hand', field => 'f');
SELECT inval_touch('hand', field => '');
SELECT inval_touch('hand');
SAVEPOINT a;
SELECT inval_touch('never');
ROLLBACK TO a;
COMMIT;
SELECT * FROM queued();
BEGIN;
SELECT inval_touch('never');
ROLLBACK;
SELECT inval_touch('never'), 1 / (SELECT count(*) - 3 FROM team);
SELECT * FROM queued();
SELECT inval_touch(key => 'doc:' || id) FROM team;
SELECT * FROM queued();
SELECT relation, rows_seen, keys_queued, keys_coalesced FROM inval_stats WHERE rule IS NULL;
-- A key that a rule and a hand have queued
BEGIN;
UPDATE doc SET note = 'h' WHERE id = 1;
SELECT inval_touch('doc:1');
COMMIT;
SELECT * FROM queued();

-- COPY
COPY doc FROM stdin;
11	1	\N
12	2	x
13	\N	x
\.
SELECT * FROM queued();
COPY doc FROM stdin;
14	1	x
11	2	x
\.
SELECT * FROM queued();
-- INSERT ... ON CONFLICT
INSERT INTO doc VALUES (11, 3) ON CONFLICT DO NOTHING;
SELECT * FROM queued();
INSERT INTO doc VALUES (11, 3) ON CONFLICT (id) DO UPDATE SET team_id = excluded.team_id;
SELECT * FROM queued();
INSERT INTO doc VALUES (11, 2) ON CONFLICT (id) DO UPDATE SET team_id = 1 WHERE doc.note = 'none';
SELECT * FROM queued();
-- MERGE
MERGE INTO doc USING (VALUES (11, 1), (12, 1), (15, 3)) AS source (id, team_id) ON doc.id = source.id
	WHEN MATCHED AND doc.id = 12 THEN DELETE
	WHEN MATCHED THEN UPDATE SET team_id = source.team_id
	WHEN NOT MATCHED THEN INSERT VALUES (source.id, source.team_id);
SELECT * FROM queued();
-- Writable CTEs, one of which changes what the other one inserts elsewhere
WITH gone AS (DELETE FROM doc WHERE id = 15 RETURNING *),
	moved AS (UPDATE doc SET team_id = 2 WHERE id = 11 RETURNING *)
INSERT INTO doc SELECT id + 100, 1 FROM gone;
SELECT * FROM queued();
-- UPDATE ... FROM, DELETE ... USING, UPDATE of a view
UPDATE doc SET note = team.name FROM team WHERE team.id = doc.team_id AND team.id = 2;
SELECT * FROM queued();
DELETE FROM doc USING team WHERE team.id = doc.team_id AND team.id = 2;
SELECT * FROM queued();
CREATE VIEW doc_view AS SELECT id, team_id FROM doc WHERE team_id IS NOT NULL;
UPDATE doc_view SET team_id = 3 WHERE id = 115;
SELECT * FROM queued();
-- SELECT and what writes without changing rows
SELECT count(*) FROM (SELECT FROM doc FOR UPDATE) locked;
CREATE INDEX ON doc (note);
VACUUM FULL doc;
CLUSTER doc USING doc_pkey;
SELECT * FROM queued();

-- Cascades: SET NULL, DELETE, UPDATE; and a row that goes in its own cascade
INSERT INTO pin VALUES (12, 115);
SELECT * FROM queued();
DELETE FROM doc WHERE id = 115;
SELECT * FROM queued();
SELECT * FROM pin WHERE id = 12;
UPDATE team SET id = 30 WHERE id = 3;
SELECT * FROM queued();
DELETE FROM team WHERE id = 1;
SELECT * FROM queued();
SELECT * FROM doc;
ALTER TABLE doc ADD parent integer REFERENCES doc ON DELETE CASCADE;
INSERT INTO doc VALUES (20, 2, NULL, NULL), (21, 30, NULL, 20), (22, 2, NULL, 21);
SELECT * FROM queued();
DELETE FROM doc WHERE id = 20;
SELECT * FROM queued();

-- A trigger that changes another tracked table, at commit
CREATE FUNCTION note_pin() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO pin VALUES (NEW.id, NULL), (NEW.id + 1, NEW.id);
	RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON doc DEFERRABLE INITIALLY DEFERRED
	FOR EACH ROW EXECUTE FUNCTION note_pin();
BEGIN;
INSERT INTO doc VALUES (40, 2);
SELECT count(*) FROM pin WHERE id = 40;
COMMIT;
SELECT * FROM queued();

DROP TRIGGER late ON doc;

-- Bulk: many rows with few keys, and many with as many
INSERT INTO doc SELECT 1000 + n, 2, NULL FROM generate_series(1, 1000) n;
SELECT * FROM queued() WHERE key LIKE 'doc:%';
SELECT inval_track('doc', 'id') IS NOT NULL AS tracked;
UPDATE doc SET note = 'bulk' WHERE id > 1000;
SELECT count(*), count(DISTINCT key) FROM queued();
-- More than COMMIT delivers by itself: the rest is the worker's.
SET inval.commit_max_keys = 10;
UPDATE doc SET note = 'bulk' WHERE id > 1000;
SELECT count(*), count(DISTINCT key) FROM queued();
SET inval.commit_max_keys = 0;
UPDATE doc SET note = 'bulk' WHERE id BETWEEN 1001 AND 1003;
SELECT * FROM queued();
RESET inval.commit_max_keys;
SET inval.commit_timeout = 0;
UPDATE doc SET note = 'bulk' WHERE id = 1001;
SELECT * FROM queued();
RESET inval.commit_timeout;

-- The target is paused, so nothing was tried and nothing was sent; resuming
-- it where nobody listens neither.
SELECT target, state, address FROM inval_target_status;
SELECT queue_depth = (SELECT count(*) FROM inval_queue) AS depth, oldest_age > '0' AS age
FROM inval_target_status;
SELECT sum(delivered_at_commit), sum(delivered_by_worker), sum(failed_tries) FROM inval_stats;
SELECT count(*) AS queue FROM inval_queue \gset
SELECT inval_drain('1 second');
SELECT inval_resume();
-- (The worker may be between two tries.)
SELECT state IN ('up', 'down') AS resumed FROM inval_target_status;
UPDATE doc SET note = 'x' WHERE id = 1001;
SELECT inval_drain('100 ms');
SELECT state, attempts > 0 AS attempts, next_attempt IS NOT NULL AS next_attempt, last_error
FROM inval_target_status;
SELECT attempts > 0 AS attempts, next_attempt IS NOT NULL AS next_attempt, last_error
FROM inval_queue WHERE key = 'doc:1001' ORDER BY id DESC LIMIT 1;
SELECT * FROM queued();
SELECT inval_pause();
SELECT state FROM inval_target_status;
SELECT count(*) - :queue AS more FROM inval_queue;
-- A rolled-back pause is a pause: it takes effect at once.
BEGIN;
SELECT inval_resume();
SELECT inval_pause();
ROLLBACK;
SELECT state FROM inval_target_status;

SELECT inval_untrack('doc'), inval_untrack('pin');
DROP VIEW doc_view;
DROP TABLE pin, doc, team;
DROP FUNCTION note_pin();
