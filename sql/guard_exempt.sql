--
-- inval_guard: tables that are exempt, by their schema or their name.
--
CREATE SCHEMA regress_inval_repack;
SELECT inval_guard('error', 'team_id', exempt => '{regress_inval_repack,backup_*,"*.tmp_*_x"}');
SELECT * FROM inval_guards;
-- as pg_repack and backups do
CREATE TABLE regress_inval_repack.table_1 AS SELECT 1 AS id, 2 AS team_id;
CREATE TABLE backup_of_team AS SELECT 1 AS id, 2 AS team_id;
ALTER TABLE backup_of_team ADD COLUMN note text;
CREATE TABLE tmp_1_x (team_id integer);
-- The others are not.
CREATE TABLE mybackup_1 (team_id integer);
CREATE TABLE tmp_1_y (team_id integer);
CREATE TABLE "Backup_1" (team_id integer);
-- It is looked at by the name that the table has in the end.
BEGIN;
CREATE TABLE backup_2 (team_id integer);
ALTER TABLE backup_2 RENAME TO team_2;
COMMIT;
BEGIN;
CREATE TABLE team_2 (team_id integer);
ALTER TABLE team_2 SET SCHEMA regress_inval_repack;
COMMIT;
-- Nor is anything exempt tracked.
SELECT inval_guard('track', 'team_id', exempt => '{backup_*}');
CREATE TABLE backup_3 (team_id integer);
SELECT count(*) FROM inval_rule WHERE relation = 'backup_3'::regclass;
-- A call says all that holds from then on.
SELECT inval_guard('warn', 'team_id');
SELECT * FROM inval_guards;
CREATE TABLE backup_4 (team_id integer);
SELECT inval_guard('warn', 'team_id', '{}');
SELECT * FROM inval_guards;
SELECT inval_guard('warn', 'team_id', '{*}');
CREATE TABLE backup_5 (team_id integer);
SELECT inval_guard('off', 'team_id', '{*}');
SELECT * FROM inval_guards;

-- Wrong calls
\pset format unaligned
\pset tuples_only on
SELECT outcome(
	$$inval_guard('warn', 'team_id', '{NULL}')$$,
	$$inval_guard('warn', 'team_id', '{""}')$$,
	$$inval_guard('warn', 'team_id', '{{a},{b}}')$$,
	$$inval_guard('warn', 'team_id', array[repeat('x', 129)])$$,
	$$inval_guard('warn', 'team_id', array_fill('x'::text, '{65}'))$$);
\pset tuples_only off
\pset format aligned

SET client_min_messages = warning;
DROP SCHEMA regress_inval_repack CASCADE;
DROP TABLE backup_of_team, tmp_1_x, backup_3, backup_4, backup_5;
RESET client_min_messages;
