--
-- inval_guard: what happens to tables that have a column and are not tracked.
--
CREATE TABLE before_guard (id integer PRIMARY KEY, team_id integer);
SELECT * FROM inval_guards;
SELECT inval_guard('warn', 'team_id');
SELECT * FROM inval_guards;

-- A warning for each table that is created or altered and left untracked
CREATE TABLE one (id integer, team_id integer);
CREATE TABLE two (id integer);
ALTER TABLE two ADD COLUMN team_id integer;
ALTER TABLE two RENAME COLUMN team_id TO squad_id;
ALTER TABLE two RENAME COLUMN squad_id TO team_id;
ALTER TABLE two DROP COLUMN team_id;
CREATE TABLE three AS SELECT 1 AS id, 2 AS team_id;
SELECT 1 AS team_id INTO four;
CREATE UNLOGGED TABLE five (team_id integer);
ALTER TABLE before_guard ADD COLUMN note text;
CREATE SCHEMA guarded
	CREATE TABLE six (team_id integer)
	CREATE TABLE seven (id integer);
-- once, whatever is done to it
BEGIN;
CREATE TABLE eight (team_id integer);
ALTER TABLE eight ADD COLUMN id integer;
ALTER TABLE eight ADD PRIMARY KEY (id);
COMMIT;
-- but not if the transaction has tracked it, or made nothing of it.
BEGIN;
CREATE TABLE tracked_later (id integer, team_id integer);
SELECT inval_track('tracked_later', 'team_id') IS NOT NULL AS tracked;
COMMIT;
ALTER TABLE tracked_later ADD COLUMN note text;
BEGIN;
CREATE TABLE gone (team_id integer);
DROP TABLE gone;
SAVEPOINT s;
CREATE TABLE gone (team_id integer);
SAVEPOINT t;
ALTER TABLE one ADD COLUMN gone integer;
RELEASE t;
ROLLBACK TO s;
COMMIT;
DO $$
BEGIN
	CREATE TABLE in_a_block (id integer, team_id integer);
	PERFORM inval_track('in_a_block', 'team_id');
END
$$;
-- Not its business
CREATE TEMPORARY TABLE temporary (team_id integer);
CREATE VIEW team_view AS SELECT 1 AS team_id;
CREATE TYPE team_type AS (team_id integer);
CREATE INDEX ON one (team_id);
CREATE TABLE other ("Team_ID" integer, team_ids integer[], "team_id " integer);
ALTER TABLE other RENAME TO another;

-- An error undoes the command, or all of the transaction.
SELECT inval_guard('error', 'team_id');
SELECT * FROM inval_guards;
CREATE TABLE nine (team_id integer);
\d nine
ALTER TABLE before_guard ADD COLUMN more text;
ALTER TABLE tracked_later ADD COLUMN more text;
BEGIN;
CREATE TABLE nine (team_id integer);
INSERT INTO nine VALUES (1);
SAVEPOINT s;
INSERT INTO nine VALUES (2);
COMMIT;
\d nine
BEGIN;
CREATE TABLE nine (team_id integer);
PREPARE TRANSACTION 'guarded';
BEGIN;
CREATE TABLE nine (team_id integer);
SELECT inval_track('nine', 'team_id') IS NOT NULL AS tracked;
COMMIT;
BEGIN;
CREATE TABLE ten (team_id integer);
SELECT inval_untrack('nine');
SELECT inval_track('ten', 'team_id') IS NOT NULL AS tracked;
COMMIT;
-- Taking away the last rule is no change of the table.
SELECT inval_track('nine', 'team_id') IS NOT NULL AS tracked;

-- Partitions: it is the root that has to be tracked.
CREATE TABLE parted (id integer, team_id integer) PARTITION BY LIST (id);
SELECT inval_guard('off', 'team_id');
CREATE TABLE parted (id integer, team_id integer) PARTITION BY LIST (id);
SELECT inval_guard('error', 'team_id');
CREATE TABLE part PARTITION OF parted FOR VALUES IN (1);
-- Foreign tables
CREATE FOREIGN DATA WRAPPER guard_wrapper;
CREATE SERVER guard_server FOREIGN DATA WRAPPER guard_wrapper;
CREATE FOREIGN TABLE far_away (team_id integer) SERVER guard_server;

-- Track it, by whoever makes it
SELECT inval_guard('track', 'team_id');
SELECT inval_guard('track', 'Odd, "column');
CREATE ROLE regress_inval_maker;
GRANT CREATE ON SCHEMA guarded TO regress_inval_maker;
GRANT USAGE ON SCHEMA guarded TO regress_inval_maker;
SET SESSION AUTHORIZATION regress_inval_maker;
CREATE TABLE guarded.mine (id integer, team_id integer);
CREATE TABLE guarded."Mine too" ("Odd, ""column" integer);
ALTER TABLE guarded.mine ADD COLUMN note text;
SELECT relation, key, state FROM inval_rule WHERE relation::text LIKE 'guarded%' ORDER BY key;
INSERT INTO guarded.mine VALUES (1, 42);
INSERT INTO guarded."Mine too" VALUES (43);
-- The guards are not for everybody.
SELECT * FROM inval_guards;
SELECT * FROM inval_guard_rows();
SELECT inval_guard('off', 'team_id');
RESET SESSION AUTHORIZATION;
SELECT * FROM queued() WHERE key ILIKE 'mine%';
GRANT pg_monitor TO regress_inval_maker;
SET SESSION AUTHORIZATION regress_inval_maker;
SELECT * FROM inval_guards;
RESET SESSION AUTHORIZATION;
-- Several guards: what one of them has tracked is tracked.
SELECT inval_guard('error', 'tenant_id');
CREATE TABLE both_columns (tenant_id integer, team_id integer);
CREATE TABLE tenant_only (tenant_id integer);
SELECT inval_guard('off', 'tenant_id');

-- Guards are transactional and have any column's name.
BEGIN;
SELECT inval_guard('off', 'team_id');
CREATE TABLE unguarded (team_id integer);
ROLLBACK;
SELECT inval_guard('warn', repeat('x', 63)), inval_guard('error', repeat('x', 62) || 'y');
SELECT inval_guard('error', repeat('x', 63));
SELECT * FROM inval_guards;
SELECT inval_guard('off', repeat('x', 63)), inval_guard('off', repeat('x', 62) || 'y'),
	inval_guard('off', 'Odd, "column'), inval_guard('off', 'never set');
SELECT * FROM inval_guards;

-- Wrong calls
\pset format unaligned
\pset tuples_only on
SELECT outcome(
	$$inval_guard(NULL, 'team_id')$$,
	$$inval_guard('', 'team_id')$$,
	$$inval_guard('WARN', 'team_id')$$,
	$$inval_guard('on', 'team_id')$$,
	$$inval_guard('team_id', 'warn')$$,
	$$inval_guard('warn', NULL)$$,
	$$inval_guard('warn', '')$$,
	$$inval_guard('warn', repeat('x', 64))$$,
	$$inval_guard('warn')$$,
	$$inval_guard('off', 'nobody has it')$$);
\pset tuples_only off
\pset format aligned
BEGIN READ ONLY;
SELECT inval_guard('warn', 'team_id');
ROLLBACK;
BEGIN READ ONLY;
SELECT * FROM inval_guards;
COMMIT;

-- They go with the extension, and what was to be looked at with them.
SELECT inval_guard('error', 'team_id');
BEGIN;
SET LOCAL client_min_messages = error;
DROP VIEW rules;
CREATE TABLE unguarded (team_id integer);
DROP EXTENSION inval;
SELECT srvname FROM pg_foreign_server
WHERE srvname LIKE 'inval%' AND srvname NOT IN ('inval_target_default', 'inval_pause_default');
ROLLBACK;

SELECT inval_guard('off', 'team_id');
CREATE TABLE unguarded (team_id integer);
SELECT srvname FROM pg_foreign_server
WHERE srvname LIKE 'inval%' AND srvname NOT IN ('inval_target_default', 'inval_pause_default');
SET client_min_messages = warning;
DROP SCHEMA guarded CASCADE;
DROP FOREIGN DATA WRAPPER guard_wrapper CASCADE;
DROP VIEW team_view;
DROP TYPE team_type;
DROP TABLE before_guard, one, two, three, four, five, eight, tracked_later, in_a_block,
	another, nine, ten, parted, temporary, both_columns, unguarded;
DROP ROLE regress_inval_maker;
