--
-- Tables are tracked, and rules changed and dropped, while deferred constraints
-- of the same table are pending, as in a migration of a framework that defers
-- all foreign keys.
--
CREATE TABLE team (id integer PRIMARY KEY);
CREATE TABLE task (id integer PRIMARY KEY,
	team_id integer REFERENCES team DEFERRABLE INITIALLY DEFERRED);
INSERT INTO team VALUES (1);
BEGIN;
INSERT INTO task VALUES (1, 1);
SELECT inval_track('task', 'team_id') IS NOT NULL AS tracked;
INSERT INTO task VALUES (2, 2);
SELECT inval_track('task', 'team_id', delivery => 'background') IS NOT NULL AS changed;
SELECT inval_track('task', 'id') IS NOT NULL AS tracked;
UPDATE inval_rule SET state = 'shadow' WHERE relation = 'task'::regclass AND key = 'task:{id}';
INSERT INTO team VALUES (2);
COMMIT;
SELECT * FROM triggers_of('task');
SELECT key, delivery, state FROM rules WHERE relation = 'task'::regclass ORDER BY key;
SELECT * FROM queued() WHERE key LIKE 'task:%';
BEGIN;
INSERT INTO task VALUES (3, 3);
SELECT inval_untrack('task');
INSERT INTO team VALUES (3);
COMMIT;
SELECT * FROM triggers_of('task');
-- A constraint that fails fails as ever.
BEGIN;
INSERT INTO task VALUES (4, 4);
SELECT inval_track('task', 'team_id') IS NOT NULL AS tracked;
COMMIT;
SELECT * FROM triggers_of('task');

-- Partitions that are made while some are pending.
CREATE TABLE part (id integer, team_id integer REFERENCES team DEFERRABLE INITIALLY DEFERRED)
	PARTITION BY LIST (id);
SELECT inval_track('part', 'team_id') IS NOT NULL AS tracked;
BEGIN;
CREATE TABLE part_1 PARTITION OF part FOR VALUES IN (1);
INSERT INTO part VALUES (1, 5);
CREATE TABLE part_2 PARTITION OF part FOR VALUES IN (2);
INSERT INTO part VALUES (2, 6);
INSERT INTO team VALUES (5), (6);
COMMIT;
SELECT * FROM triggers_of('part_1');
SELECT * FROM triggers_of('part_2');
SELECT * FROM queued() WHERE key LIKE 'part:%';

-- In a query over the table itself, too.
SELECT inval_track('team', 'id') IS NOT NULL AS tracked FROM team LIMIT 1;
UPDATE team SET id = id WHERE id = 6;
SELECT * FROM queued() WHERE key LIKE 'team:%';

-- Event triggers of others see what users do, and nothing of ours.
CREATE TABLE command (tag text);
CREATE FUNCTION command() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO command SELECT tg_tag || ' / ' || command_tag FROM pg_event_trigger_ddl_commands();
END $$;
CREATE EVENT TRIGGER command ON ddl_command_end EXECUTE FUNCTION command();
CREATE FUNCTION dropped() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO command SELECT tg_tag || ' / dropped ' || object_type FROM pg_event_trigger_dropped_objects();
END $$;
CREATE EVENT TRIGGER dropped ON sql_drop EXECUTE FUNCTION dropped();
CREATE TABLE part_3 PARTITION OF part FOR VALUES IN (3);
SELECT inval_track('task', 'team_id') IS NOT NULL AS tracked;
SELECT inval_untrack('task');
ALTER TABLE part DETACH PARTITION part_3;
SELECT * FROM triggers_of('part_3');
DROP EVENT TRIGGER command;
DROP EVENT TRIGGER dropped;
SELECT tag FROM command ORDER BY tag;

DROP TABLE command, part_3, part, task, team;
DROP FUNCTION command(), dropped();
-- The keys of the rows that went.
SELECT count(*) FROM queued();
