--
-- DROP OWNED takes the rights of a role before its tables: their keys are removed
-- all the same.
--
-- The numbers of rules are shown.
ALTER SEQUENCE inval_rule_id_seq RESTART 9101;
CREATE ROLE regress_inval_owner;
CREATE ROLE regress_inval_other;
CREATE SCHEMA own AUTHORIZATION regress_inval_owner;
GRANT USAGE ON SCHEMA own TO regress_inval_other;
CREATE TABLE of_all (id integer, name text);
INSERT INTO of_all VALUES (1, 'one');
GRANT SELECT ON of_all TO regress_inval_owner;
SELECT inval_add_target('eu', 'unix:///nonexistent/eu.sock');
SELECT inval_pause('eu');
GRANT USAGE ON FOREIGN SERVER inval_target_eu TO regress_inval_owner;
SET ROLE regress_inval_owner;
CREATE TABLE own.doc (id integer) PARTITION BY LIST (id);
CREATE TABLE own.doc_1 PARTITION OF own.doc FOR VALUES IN (1);
CREATE MATERIALIZED VIEW own.kept AS SELECT 2 AS id;
INSERT INTO own.doc VALUES (1);
SELECT inval_track('own.doc', key => 'doc:{id}', targets => '{eu}') IS NOT NULL AS tracked,
	inval_track('own.doc', key => 'doc:{name}', targets => '{eu}',
		via => 'SELECT name FROM public.of_all WHERE id = {id}') IS NOT NULL AS tracked,
	inval_track('own.kept', key => 'kept:{id}', targets => '{eu}') IS NOT NULL AS tracked;
-- Not his
SET ROLE regress_inval_other;
BEGIN;
\set VERBOSITY sqlstate
DROP OWNED BY regress_inval_owner;
\set VERBOSITY default
ROLLBACK;
DROP OWNED BY regress_inval_other;
RESET ROLE;
SELECT * FROM queued();
-- One who can revoke what others have granted
DROP OWNED BY regress_inval_owner;
SELECT DISTINCT target, key FROM inval_queue WHERE target = 'eu' AND key ~ '^(doc|kept):' ORDER BY key;

-- A rule that is broken counts for each of its targets that there is.
CREATE TABLE counted (id integer);
ALTER TABLE counted OWNER TO regress_inval_other;
GRANT USAGE ON FOREIGN SERVER inval_target_eu TO regress_inval_other;
SELECT inval_track('counted', key => 'counted:{id}', targets => '{default,eu}') AS rule \gset
REVOKE USAGE ON FOREIGN SERVER inval_target_eu FROM regress_inval_other;
INSERT INTO counted VALUES (1), (2);
SELECT target, skipped FROM inval_stats WHERE rule = :rule ORDER BY target;
DROP TABLE counted;
DROP TABLE of_all;
\set VERBOSITY terse
SELECT inval_drop_target('eu');
DROP SCHEMA IF EXISTS own;
REVOKE ALL ON SCHEMA public FROM regress_inval_owner;
DROP ROLE regress_inval_owner, regress_inval_other;
SELECT count(*) FROM queued();
