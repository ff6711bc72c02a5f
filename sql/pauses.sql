--
-- Pauses: which calls mean what, who may, and what is no pause.
--
CREATE TABLE paused (id int PRIMARY KEY, n int DEFAULT 0);
CREATE TABLE part (id int, n int) PARTITION BY RANGE (id);
CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (100);
CREATE TABLE untracked (id int);
CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS n FROM paused;
SELECT inval_track('paused', 'id') AS a \gset
SELECT inval_track('paused', key => 'b:{id}', delivery => 'background') AS b \gset
SELECT inval_track('paused', key => 's:{id}', delivery => 'strict', fence => true) AS s \gset
SELECT inval_track('part', key => 'p:{id}') AS p \gset
SELECT inval_track('counted', key => 'counted:{n}') AS c \gset
-- Numbers are of no interest, nor are messages with numbers.
SET client_min_messages = warning;
CREATE VIEW are_paused AS SELECT relation, key FROM inval_rule WHERE paused ORDER BY 1, 2;

-- A name is a target's, as ever; a number is a rule's; a table says that it is one.
SELECT inval_pause('default'), inval_pause(), inval_pause(target => 'default');
SELECT inval_pause('paused');
SELECT inval_pause(relation => 'paused');
SELECT * FROM are_paused;
SELECT inval_pause('paused'::regclass), inval_pause(rule => :a);
SELECT inval_resume(rule => :a), inval_resume(:a);
SELECT * FROM are_paused;
SELECT inval_resume('paused'::regclass), inval_resume(relation => 'untracked');
SELECT * FROM are_paused;
\set VERBOSITY sqlstate
SELECT inval_pause(:s);
\set VERBOSITY default
SELECT inval_pause(0);
SELECT inval_pause(2147483647);
SELECT inval_resume(2147483647);
SELECT inval_pause('untracked'::regclass);
SELECT inval_pause('part_1'::regclass);
SELECT inval_pause('part'::regclass), inval_pause('counted'::regclass);
SELECT inval_pause(NULL::integer), inval_pause(NULL::regclass), inval_resume(NULL::integer);
SELECT * FROM are_paused;
SELECT inval_pause_delivery('background');
SELECT inval_resume_delivery('background'), inval_resume_delivery('commit');
SELECT inval_pause_delivery('strict');
SELECT inval_pause_delivery('soon');
SELECT inval_pause_delivery(NULL);
SELECT * FROM are_paused;
BEGIN READ ONLY;
SELECT inval_pause(:a);
ROLLBACK;
BEGIN READ ONLY;
SELECT inval_resume(:a);
ROLLBACK;

-- What is held back is in the queue, and says why.
SELECT inval_pause('paused'::regclass);
SELECT inval_untrack_rule(:s);
INSERT INTO paused VALUES (1);
SELECT key, last_error FROM inval_queue WHERE key IN ('b:1', 'paused:1') ORDER BY key COLLATE "C";
-- Tracking again changes the rule, not its pause.
SELECT inval_track('paused', 'id', state => 'off') = :a AS same;
SELECT * FROM are_paused;
UPDATE inval_rule SET state = 'on' WHERE id = :a RETURNING paused;
-- It ends when the rule becomes strict.
SELECT inval_track('paused', 'id', delivery => 'strict', fence => true) = :a AS same;
SELECT inval_track('paused', 'id') = :a AS same;
SELECT * FROM are_paused;
SELECT count(*) FROM inval_queue WHERE last_error = 'the rule is paused' AND key = 'paused:1';

-- Whoever owns the table may not: it costs others room.
CREATE ROLE regress_inval_pauser;
ALTER TABLE paused OWNER TO regress_inval_pauser;
SET ROLE regress_inval_pauser;
SELECT inval_pause(:a);
SELECT inval_resume('paused'::regclass);
SELECT inval_pause_delivery('commit');
RESET ROLE;
GRANT EXECUTE ON FUNCTION inval_pause(integer), inval_resume(integer) TO regress_inval_pauser;
SET ROLE regress_inval_pauser;
SELECT inval_resume(:a), inval_pause(:a), inval_resume(:a), inval_pause(:a);
RESET ROLE;
REVOKE EXECUTE ON FUNCTION inval_pause(integer), inval_resume(integer) FROM regress_inval_pauser;

-- A rule goes with its pause, in whatever way it goes.
SELECT inval_pause('part'::regclass), inval_pause('counted'::regclass);
SELECT inval_untrack_rule(:a);
SELECT inval_untrack('counted');
DROP TABLE part;
\set VERBOSITY terse
ALTER TABLE paused DROP COLUMN id CASCADE;
\set VERBOSITY default
SELECT srvname FROM pg_foreign_server WHERE srvname LIKE 'inval\_rule\_pause%';
SELECT count(*) FROM queued();
DROP VIEW are_paused;
DROP MATERIALIZED VIEW counted;
DROP TABLE paused, untracked;
DROP ROLE regress_inval_pauser;
-- Nobody's pause is no pause, and one of ours keeps its name.
CREATE SERVER inval_rule_pause_x TYPE 'rule_pause' FOREIGN DATA WRAPPER inval;
SELECT count(*) FROM inval_rule WHERE paused;
DROP SERVER inval_rule_pause_x;
RESET client_min_messages;
CREATE SERVER other TYPE 'rule_pause' FOREIGN DATA WRAPPER inval;
