--
-- A session that keeps check_function_bodies off, as every script by pg_dump
-- leaves it and some tools always set it, is a session like any other.
--
CREATE SCHEMA baseline;
SET search_path = baseline, public;
CREATE TABLE cg (id integer PRIMARY KEY, team_id integer);
SELECT inval_track('cg', 'team_id') IS NOT NULL AS tracked;
SET check_function_bodies = off;
-- The guard sees new tables ...
SELECT inval_guard('error', 'team_id');
CREATE TABLE new_one (team_id integer);
CREATE TABLE other (id integer);
ALTER TABLE other ADD COLUMN team_id integer;
-- ... and lets alone what was there before.
SELECT inval_guard('off', 'team_id');
CREATE TABLE old_one (id integer, team_id integer);
SELECT inval_guard('error', 'team_id');
ALTER TABLE old_one ADD PRIMARY KEY (id), ALTER COLUMN id SET STATISTICS 10;
ALTER TABLE old_one ADD COLUMN note text;
-- Triggers
CREATE TRIGGER "00_inval_x" AFTER INSERT ON cg FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
CREATE OR REPLACE TRIGGER "00_inval_row" AFTER INSERT ON cg FOR EACH ROW EXECUTE FUNCTION inval_capture_row();
ALTER TABLE cg DISABLE TRIGGER "00_inval_row";
SELECT * FROM triggers_of('cg');
CREATE TABLE parted (id integer, team_id integer) PARTITION BY LIST (id);
SELECT inval_guard('off', 'team_id');
CREATE TABLE parted (id integer, team_id integer) PARTITION BY LIST (id);
SELECT inval_track('parted', 'team_id') IS NOT NULL AS tracked;
CREATE TABLE part_1 PARTITION OF parted FOR VALUES IN (1);
CREATE TABLE part_2 (id integer, team_id integer);
ALTER TABLE parted ATTACH PARTITION part_2 FOR VALUES IN (2);
SELECT * FROM triggers_of('part_1');
SELECT * FROM triggers_of('part_2');
ALTER TABLE parted DETACH PARTITION part_2;
SELECT * FROM triggers_of('part_2');

-- A restore makes the triggers that capture changes first, the rule last; or the
-- other way round, where several sessions restore.
CREATE TABLE restored (id integer);
CREATE TRIGGER "00_inval_row" AFTER INSERT OR DELETE OR UPDATE ON restored FOR EACH ROW EXECUTE FUNCTION inval_capture_row();
ALTER TABLE restored ENABLE ALWAYS TRIGGER "00_inval_row";
CREATE TRIGGER "00_inval_rule_999999" AFTER TRUNCATE ON restored FOR EACH STATEMENT EXECUTE FUNCTION inval_rule_carrier('id', '999999', 'key', 'restored:{id}');
SELECT * FROM triggers_of('restored');
CREATE TRIGGER "00_inval_truncate" BEFORE TRUNCATE ON restored FOR EACH STATEMENT EXECUTE FUNCTION inval_capture_truncate();
ALTER TABLE restored ENABLE ALWAYS TRIGGER "00_inval_truncate";
SELECT * FROM triggers_of('restored');
INSERT INTO restored VALUES (1);
SELECT * FROM queued();
-- One that restores a guard makes tables before their rules.
\c -
SET search_path = baseline, public;
SET check_function_bodies = off;
CREATE SERVER inval_guard_team_id TYPE 'guard' FOREIGN DATA WRAPPER inval OPTIONS ("column" 'team_id', mode 'error');
CREATE TABLE new_one (team_id integer);
RESET check_function_bodies;
CREATE TABLE new_two (team_id integer);
SELECT inval_guard('off', 'team_id');

-- A view that was never filled could not be read: what fills it invalidates nothing.
CREATE MATERIALIZED VIEW of_restored AS SELECT id FROM restored WITH NO DATA;
SELECT inval_track('of_restored', key => 'view:{id}') IS NOT NULL AS tracked;
REFRESH MATERIALIZED VIEW of_restored;
SELECT * FROM queued();
INSERT INTO restored VALUES (2);
REFRESH MATERIALIZED VIEW of_restored;
SELECT * FROM queued();
SET client_min_messages = warning;
DROP SCHEMA baseline CASCADE;
RESET search_path;
RESET client_min_messages;
