--
-- Foreign-key paths: {project_id.team_id} takes a column from the row that a
-- foreign key points to.
--
ALTER SEQUENCE inval_rule_id_seq RESTART 100;	-- for messages that have a rule's number
SELECT inval_stats_reset();
CREATE TABLE team (id integer PRIMARY KEY, slug text, tags text[]);
CREATE TABLE project (id integer PRIMARY KEY, dropped text, team_id integer REFERENCES team, name text);
ALTER TABLE project DROP COLUMN dropped;
CREATE TABLE task (gone integer, id integer PRIMARY KEY,
	project_id integer REFERENCES project ON DELETE CASCADE ON UPDATE CASCADE, note text);
ALTER TABLE task DROP COLUMN gone;
INSERT INTO team VALUES (1, 'Red', '{a,b}'), (2, 'Blue', '{}'), (3, NULL, NULL);
INSERT INTO project VALUES (10, 1, 'ten'), (20, 2, 'twenty'), (30, 3, 'thirty'), (40, NULL, 'forty');

-- One step, several, with filters, in a field, with [] at the end
SELECT inval_track('task', key => 'team:{project_id.team_id}') AS rule \gset
SELECT inval_track('task', key => 'team:{project_id.team_id}') = :rule AS same;
SELECT inval_track('task', key => 'slug:{project_id.team_id.slug|lower}', field => '{project_id.name|upper:3}:{id}') IS NOT NULL AS tracked;
SELECT inval_track('task', key => 'tag:{project_id.team_id.tags[]}:{id}') IS NOT NULL AS tracked;
INSERT INTO task VALUES (100, 10), (101, 20);
SELECT * FROM queued();
-- NULL on the way, at its begin and at its end
INSERT INTO task VALUES (103, NULL), (104, 40), (105, 30);
SELECT * FROM queued();
SELECT r.key, rows_seen, keys_queued, skipped FROM inval_stats s JOIN inval_rule r ON r.id = s.rule
WHERE r.relation = 'task'::regclass ORDER BY r.id;
SELECT key, field FROM inval_preview('task', 100) ORDER BY key COLLATE "C", field;
SELECT inval_untrack('task', 'slug:{project_id.team_id.slug|lower}'),
	inval_untrack('task', 'tag:{project_id.team_id.tags[]}:{id}');

-- Both parents of a row that moves; and a row that stays
UPDATE task SET project_id = 20 WHERE id = 100;
SELECT * FROM queued();
UPDATE task SET note = 'x' WHERE id = 100;
SELECT * FROM queued();
UPDATE task SET project_id = NULL WHERE id = 100;
SELECT * FROM queued();
UPDATE task SET project_id = 10 WHERE id = 100;
SELECT * FROM queued();
DELETE FROM task WHERE id = 101;
SELECT * FROM queued();
TRUNCATE task;
SELECT * FROM queued();

-- It is about the rows of the tracked table: the parent's own change is not
-- theirs ...
INSERT INTO task VALUES (100, 10), (101, 20);
SELECT count(*) FROM queued();
UPDATE project SET team_id = 3 WHERE id = 10;
SELECT * FROM queued();
UPDATE project SET team_id = 1 WHERE id = 10;
-- ... but in a transaction that has changed it, both of its keys are.
BEGIN;
UPDATE project SET team_id = 3 WHERE id = 10;
UPDATE task SET note = 'y' WHERE id = 100;
COMMIT;
SELECT * FROM queued();
BEGIN;
UPDATE task SET note = 'y' WHERE id = 100;
UPDATE project SET team_id = 1 WHERE id = 10;
UPDATE task SET note = 'y' WHERE id = 100;
UPDATE project SET team_id = 2 WHERE id = 10;
UPDATE task SET note = 'z' WHERE id = 100;
COMMIT;
SELECT * FROM queued();
-- Several changes on the way
BEGIN;
UPDATE project SET team_id = 1 WHERE id = 10;
INSERT INTO task VALUES (102, 10);
INSERT INTO project VALUES (50, 3);
UPDATE task SET project_id = 50 WHERE id = 102;
DELETE FROM task WHERE id = 102;
COMMIT;
SELECT * FROM queued();
-- Rolled back to a savepoint
BEGIN;
UPDATE task SET note = 'a' WHERE id = 101;
SAVEPOINT a;
UPDATE project SET team_id = 3;
UPDATE task SET note = 'b' WHERE id = 101;
ROLLBACK TO a;
UPDATE task SET note = 'c' WHERE id = 101;
COMMIT;
SELECT * FROM queued();
-- Parent and child of one statement
WITH p AS (INSERT INTO project VALUES (60, 2) RETURNING id)
INSERT INTO task SELECT 106, id FROM p;
SELECT * FROM queued();
WITH p AS (UPDATE project SET team_id = 3 WHERE id = 60 RETURNING id)
UPDATE task SET note = 'w' FROM p WHERE project_id = p.id;
SELECT * FROM queued();
-- In an isolation level whose snapshot is older
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT count(*) FROM task;
INSERT INTO project VALUES (70, 1);
INSERT INTO task VALUES (107, 70);
COMMIT;
SELECT * FROM queued();

-- Cascades: what pointed to the parent is found although the parent is gone.
DELETE FROM project WHERE id = 70;
SELECT * FROM queued();
UPDATE project SET id = 61 WHERE id = 60;
SELECT * FROM queued();
BEGIN;
UPDATE project SET team_id = 1 WHERE id = 61;
DELETE FROM project WHERE id = 61;
COMMIT;
SELECT * FROM queued();
BEGIN;
INSERT INTO project VALUES (80, 1);
INSERT INTO task VALUES (108, 80);
SAVEPOINT a;
DELETE FROM project WHERE id = 80;
RELEASE a;
COMMIT;
SELECT * FROM queued();
-- SET NULL, SET DEFAULT
ALTER TABLE task DROP CONSTRAINT task_project_id_fkey CASCADE;
SELECT * FROM queued();
SELECT count(*) FROM inval_rule;
ALTER TABLE task ADD CONSTRAINT task_project FOREIGN KEY (project_id) REFERENCES project ON DELETE SET NULL;
SELECT inval_track('task', key => 'team:{project_id.team_id}') IS NOT NULL AS tracked;
INSERT INTO project VALUES (90, 3), (91, 1);
INSERT INTO task VALUES (109, 90), (110, 91);
SELECT count(*) FROM queued();
DELETE FROM project WHERE id = 90;
SELECT * FROM queued();
SELECT project_id FROM task WHERE id = 109;
SELECT inval_untrack('task');
ALTER TABLE task DROP CONSTRAINT task_project, ALTER project_id SET DEFAULT 20,
	ADD CONSTRAINT task_project FOREIGN KEY (project_id) REFERENCES project ON DELETE SET DEFAULT;
SELECT inval_track('task', key => 'team:{project_id.team_id}') IS NOT NULL AS tracked;
DELETE FROM project WHERE id = 91;
SELECT * FROM queued();
-- TRUNCATE CASCADE, of the parent and of its parent
SELECT count(inval_track('task', key => 'slug:{project_id.team_id.slug}')) = 1 AS tracked;
TRUNCATE team CASCADE;
SELECT * FROM queued();
INSERT INTO team VALUES (1, 'Red', '{a,b}'), (2, 'Blue', '{}'), (3, NULL, NULL);
INSERT INTO project VALUES (10, 1, 'ten'), (20, 2, 'twenty'), (30, 3, 'thirty');
INSERT INTO task VALUES (100, 10), (101, 20);
SELECT count(*) FROM queued();
TRUNCATE task, project;
SELECT * FROM queued();
SELECT inval_untrack('task');

-- A row that does not need the look-up: it changes nothing that counts, or
-- has a NULL beside the path.
INSERT INTO project VALUES (10, 1, 'ten'), (20, 2, 'twenty'), (30, 3, 'thirty');
INSERT INTO task VALUES (100, 10), (101, 20);
SELECT inval_track('task', key => '{project_id.team_id}:{note}', changes => '{note,project_id}') IS NOT NULL AS tracked;
UPDATE task SET id = 102 WHERE id = 101;
SELECT * FROM queued();
UPDATE task SET note = 'n' WHERE id = 102;
SELECT * FROM queued();
UPDATE task SET project_id = 30 WHERE id = 102;
SELECT * FROM queued();
UPDATE task SET project_id = 10 WHERE id = 100;
SELECT * FROM queued();
DROP TABLE task;
SELECT * FROM queued();

-- Constraints that are checked later: the child before its parent
CREATE TABLE task (id integer PRIMARY KEY, project_id integer
	REFERENCES project DEFERRABLE INITIALLY DEFERRED, note text);
SELECT inval_track('task', key => 'team:{project_id.team_id}', field => '{id}') AS rule \gset
SELECT inval_stats_reset();
BEGIN;
INSERT INTO task VALUES (1, 1001);
INSERT INTO task VALUES (2, 1001), (3, 10), (4, NULL);
INSERT INTO project VALUES (1001, 3);
COMMIT;
SELECT * FROM queued();
-- ... which changes once more before the commit,
BEGIN;
INSERT INTO task VALUES (5, 1002);
UPDATE task SET note = 'x' WHERE id = 5;
INSERT INTO project VALUES (1002, 1);
UPDATE project SET team_id = 2 WHERE id = 1002;
COMMIT;
SELECT * FROM queued();
-- is deleted and inserted again,
BEGIN;
DELETE FROM project WHERE id = 1002;
UPDATE task SET note = 'y' WHERE id = 5;
INSERT INTO project VALUES (1002, 3);
COMMIT;
SELECT * FROM queued();
BEGIN;
DELETE FROM project WHERE id = 1002;
DELETE FROM task WHERE id = 5;
COMMIT;
SELECT * FROM queued();
-- or never comes.
BEGIN;
INSERT INTO task VALUES (6, 1003);
COMMIT;
SELECT * FROM queued();
BEGIN;
INSERT INTO task VALUES (6, 1003), (7, 10);
DELETE FROM task WHERE id = 6;
COMMIT;
SELECT * FROM queued();
BEGIN;
INSERT INTO task VALUES (6, 1003);
UPDATE task SET project_id = 20 WHERE id = 6;
COMMIT;
SELECT * FROM queued();
-- Rows of a savepoint that is rolled back
BEGIN;
INSERT INTO task VALUES (8, 1004);
SAVEPOINT a;
INSERT INTO task VALUES (9, 1004);
SAVEPOINT b;
INSERT INTO task VALUES (10, 1004);
RELEASE b;
ROLLBACK TO a;
SAVEPOINT c;
INSERT INTO task VALUES (11, 1004);
RELEASE c;
INSERT INTO project VALUES (1004, 1);
COMMIT;
SELECT * FROM queued();
DO $$
BEGIN
	INSERT INTO task VALUES (12, 1005);
	BEGIN
		INSERT INTO task VALUES (13, 1005);
		RAISE EXCEPTION 'no';
	EXCEPTION WHEN OTHERS THEN
		NULL;
	END;
	INSERT INTO project VALUES (1005, 2);
END
$$;
SELECT * FROM queued();
-- Prepared
BEGIN;
INSERT INTO task VALUES (14, 1006);
INSERT INTO project VALUES (1006, 2);
PREPARE TRANSACTION 'inval paths';
COMMIT PREPARED 'inval paths';
SELECT * FROM queued();
-- The rule, the table or the constraint goes meanwhile.
BEGIN;
INSERT INTO task VALUES (15, 1007);
SELECT inval_untrack_rule(:rule);
INSERT INTO project VALUES (1007, 2);
ROLLBACK;
BEGIN;
INSERT INTO task VALUES (15, 1007);
DELETE FROM task WHERE id = 15;
SET CONSTRAINTS ALL IMMEDIATE;
DROP TABLE task;
COMMIT;
SELECT * FROM queued();
SELECT count(*) FROM inval_rule;
-- More rows than memory: kept in a file, from which a savepoint takes its own
CREATE TABLE task (id integer PRIMARY KEY, project_id integer
	REFERENCES project DEFERRABLE INITIALLY DEFERRED, note text);
SELECT inval_track('task', key => 'team:{project_id.team_id}') AS rule \gset
SELECT inval_track('task', key => 'some:{id}:{project_id.team_id}', changes => '{id}') AS some_rule \gset
SET inval.pending_memory = '64kB';
INSERT INTO task SELECT i, 1008, repeat('x', 100) FROM generate_series(1, 20000) i;
BEGIN;
INSERT INTO task SELECT i, 1008, repeat('x', 100) FROM generate_series(1, 3000) i;
INSERT INTO project VALUES (1008, 3);
COMMIT;
SELECT count(DISTINCT key), min(key COLLATE "C"), max(key COLLATE "C") FROM queued();
BEGIN;
INSERT INTO task SELECT i, 1009 FROM generate_series(10001, 10100) i;
SAVEPOINT a;
INSERT INTO task SELECT i, 1009 FROM generate_series(20001, 25000) i;
SAVEPOINT b;
INSERT INTO task SELECT i, 1009 FROM generate_series(30001, 35000) i;
RELEASE b;
ROLLBACK TO a;
INSERT INTO task SELECT i, 1009 FROM generate_series(40001, 45000) i;
SAVEPOINT c;
INSERT INTO task SELECT i, 1009 FROM generate_series(50001, 55000) i;
ROLLBACK TO c;
INSERT INTO task SELECT i, 1009 FROM generate_series(60001, 60010) i;
RELEASE a;
INSERT INTO project VALUES (1009, 2);
COMMIT;
SELECT left(key, 6) AS rows, count(DISTINCT key), min(key COLLATE "C"), max(key COLLATE "C")
FROM queued() GROUP BY left(key, 6) ORDER BY min(key COLLATE "C");
-- ... or leaves none
BEGIN;
SAVEPOINT a;
INSERT INTO task SELECT i, 1010 FROM generate_series(70001, 75000) i;
ROLLBACK TO a;
COMMIT;
SELECT * FROM queued();
-- ... the file is the transaction's, whoever began it
DO $$
BEGIN
	BEGIN
		INSERT INTO task SELECT i, 1010 FROM generate_series(70001, 75000) i;
		RAISE EXCEPTION 'no';
	EXCEPTION WHEN OTHERS THEN
		NULL;
	END;
	INSERT INTO task SELECT i, 1010 FROM generate_series(80001, 85000) i;
	INSERT INTO project VALUES (1010, 1);
END
$$;
SELECT count(DISTINCT key), min(key COLLATE "C"), max(key COLLATE "C") FROM queued();
RESET inval.pending_memory;
SELECT inval_untrack_rule(:some_rule);

-- A table that is rewritten before the commit: rows are looked at before
CREATE TABLE job (id integer PRIMARY KEY, name integer, project_id integer
	REFERENCES project DEFERRABLE INITIALLY DEFERRED);
SELECT inval_track('job', key => 'c:{name}:{project_id.team_id}') IS NOT NULL AS tracked;
BEGIN;
INSERT INTO job VALUES (1, 2147483644, 1011);
INSERT INTO project VALUES (1011, 1);
SET CONSTRAINTS ALL IMMEDIATE;
ALTER TABLE job ALTER name TYPE text;
COMMIT;
SELECT * FROM queued();
BEGIN;
INSERT INTO job VALUES (2, 'two', 1012);
INSERT INTO project VALUES (1012, 1);
SET CONSTRAINTS ALL IMMEDIATE;
SAVEPOINT a;
ALTER TABLE job ALTER name TYPE varchar(2) USING left(name, 2), ADD COLUMN more text DEFAULT random();
ROLLBACK TO a;
COMMIT;
SELECT * FROM queued();
-- ... and its parent is still missing then, as in a restored dump
BEGIN;
SET LOCAL session_replication_role = replica;
INSERT INTO job VALUES (3, '3', 1013);
ALTER TABLE job ALTER name TYPE integer USING length(name);
INSERT INTO project VALUES (1013, 2);
COMMIT;
SELECT * FROM queued();
-- ... and by a command that changes no value
BEGIN;
INSERT INTO job VALUES (5, 5, 1017);
INSERT INTO project VALUES (1017, 1);
SET CONSTRAINTS ALL IMMEDIATE;
CLUSTER job USING job_pkey;
COMMIT;
SELECT * FROM queued();
-- Truncated, also where it is
BEGIN;
SET LOCAL session_replication_role = replica;
INSERT INTO job VALUES (4, 4, 1014);
TRUNCATE job;
CREATE TABLE fresh (id integer PRIMARY KEY, project_id integer REFERENCES project);
SELECT inval_track('fresh', key => 'fresh:{id}:{project_id.team_id}') IS NOT NULL AS tracked;
INSERT INTO fresh VALUES (1, 1014);
TRUNCATE fresh;
INSERT INTO project VALUES (1014, 3);
COMMIT;
SELECT * FROM queued();
DROP TABLE job, fresh;
SELECT * FROM queued();
-- Key columns that are toasted
CREATE TABLE page (id integer PRIMARY KEY, body text, project_id integer
	REFERENCES project DEFERRABLE INITIALLY DEFERRED);
ALTER TABLE page ALTER body SET STORAGE EXTERNAL;
SELECT inval_track('page', key => '{body|sha256:8}:{project_id.team_id}') IS NOT NULL AS tracked;
BEGIN;
INSERT INTO page VALUES (1, repeat('x', 10000), 1015);
INSERT INTO project VALUES (1015, 3);
COMMIT;
SELECT key = left(encode(sha256(repeat('x', 10000)::bytea), 'hex'), 8) || ':3' AS right FROM queued();
BEGIN;
INSERT INTO page VALUES (2, repeat('y', 10000), 1016);
INSERT INTO project VALUES (1016, 3);
PREPARE TRANSACTION 'inval paths';
COMMIT PREPARED 'inval paths';
SELECT key = left(encode(sha256(repeat('y', 10000)::bytea), 'hex'), 8) || ':3' AS right FROM queued();
DROP TABLE page;
SELECT count(*) FROM queued();

DELETE FROM task WHERE id > 2;
SELECT count(*) FROM queued();

-- A foreign key that points nowhere is told and counted.
SELECT inval_stats_reset();
SET session_replication_role = replica;
DELETE FROM project WHERE id = 1008;
INSERT INTO task VALUES (2001, 7777);
UPDATE task SET note = 'x' WHERE id = 2001;
DELETE FROM task WHERE id = 2001;
RESET session_replication_role;
SELECT * FROM queued();
SELECT rows_seen, keys_queued, skipped FROM inval_stats WHERE rule = :rule;
TRUNCATE task;
SET client_min_messages = error;
SELECT * FROM queued();
DROP TABLE task;
CREATE TABLE task (id integer PRIMARY KEY, project_id integer);
INSERT INTO task VALUES (1, 8888), (2, 10);
ALTER TABLE task ADD FOREIGN KEY (project_id) REFERENCES project NOT VALID;
RESET client_min_messages;
SELECT inval_track('task', key => 'team:{project_id.team_id}') AS rule \gset
UPDATE task SET id = id + 10;
SELECT * FROM queued();
SELECT rows_seen, keys_queued, skipped FROM inval_stats WHERE rule = :rule;
SELECT key FROM inval_preview('task');
INSERT INTO task VALUES (3, 9999);
SELECT * FROM queued();
DROP TABLE task;
SELECT * FROM queued();

-- Foreign keys of several columns, by any of them; other types on both sides;
-- names that need quotes
CREATE TABLE "Org.Unit" (tenant bigint, code text COLLATE "C", "The Name" text, valid boolean,
	PRIMARY KEY (tenant, code));
CREATE TABLE seat (id integer PRIMARY KEY, tenant integer, "org.code" varchar(10), desk text,
	FOREIGN KEY (tenant, "org.code") REFERENCES "Org.Unit" ON UPDATE CASCADE ON DELETE SET NULL ("org.code"));
INSERT INTO "Org.Unit" VALUES (1, 'a', 'One A', true), (1, 'b', 'One B', false), (2, 'a', 'Two A', NULL);
SELECT inval_track('seat', key => 'unit:{"org.code".The Name|url}:{tenant.valid}') IS NOT NULL AS tracked;
INSERT INTO seat VALUES (1, 1, 'a'), (2, 2, 'a'), (3, 1, NULL), (4, NULL, 'a');
SELECT * FROM queued();
UPDATE seat SET "org.code" = 'b' WHERE id = 1;
SELECT * FROM queued();
UPDATE "Org.Unit" SET code = 'c' WHERE code = 'b';
SELECT * FROM queued();
DELETE FROM "Org.Unit" WHERE code = 'c';
SELECT * FROM queued();
-- MATCH FULL, and a unique key that is not the primary one
ALTER TABLE "Org.Unit" ADD UNIQUE ("The Name");
ALTER TABLE seat ADD FOREIGN KEY (desk) REFERENCES "Org.Unit" ("The Name") MATCH FULL;
SELECT inval_track('seat', key => 'desk:{desk.tenant}') IS NOT NULL AS tracked;
UPDATE seat SET desk = 'Two A' WHERE id = 4;
SELECT * FROM queued();
DROP TABLE seat, "Org.Unit";
SELECT * FROM queued();

-- A table that refers to itself
CREATE TABLE folder (id integer PRIMARY KEY, parent_id integer REFERENCES folder ON DELETE CASCADE, name text);
SELECT inval_track('folder', key => 'up:{parent_id.name}') IS NOT NULL AS tracked;
SELECT inval_track('folder', key => 'upup:{parent_id.parent_id.name}') IS NOT NULL AS tracked;
INSERT INTO folder VALUES (1, NULL, 'a'), (2, 1, 'b'), (3, 2, 'c'), (4, 4, 'self');
SELECT * FROM queued();
UPDATE folder SET name = name || '!' WHERE id IN (1, 3);
SELECT * FROM queued();
UPDATE folder SET parent_id = 3 WHERE id = 4;
SELECT * FROM queued();
DELETE FROM folder WHERE id = 1;
SELECT * FROM queued();
DROP TABLE folder;

-- A parent that is partitioned, or has children of its own; rows in partitions
-- whose columns have other numbers
CREATE TABLE place (kind text, id integer, zone text, PRIMARY KEY (id, kind)) PARTITION BY LIST (kind);
CREATE TABLE place_a PARTITION OF place FOR VALUES IN ('a');
CREATE TABLE place_b (zone text, dropped integer, kind text NOT NULL, id integer NOT NULL);
ALTER TABLE place_b DROP COLUMN dropped;
ALTER TABLE place ATTACH PARTITION place_b FOR VALUES IN ('b');
CREATE TABLE visit (at integer, place_id integer, place_kind text, visitor text,
	FOREIGN KEY (place_id, place_kind) REFERENCES place ON DELETE CASCADE ON UPDATE CASCADE) PARTITION BY RANGE (at);
CREATE TABLE visit_1 PARTITION OF visit FOR VALUES FROM (0) TO (10);
CREATE TABLE visit_2 (place_kind text, dropped integer, at integer, visitor text, place_id integer);
ALTER TABLE visit_2 DROP COLUMN dropped;
ALTER TABLE visit ATTACH PARTITION visit_2 FOR VALUES FROM (10) TO (20);
INSERT INTO place VALUES ('a', 1, 'north'), ('b', 2, 'south');
SELECT inval_track('visit', key => 'zone:{place_id.zone}:{at}') IS NOT NULL AS tracked;
INSERT INTO visit VALUES (1, 1, 'a'), (2, 2, 'b'), (11, 1, 'a'), (12, 2, 'b');
SELECT * FROM queued();
BEGIN;
UPDATE place SET zone = 'east' WHERE id = 1;
UPDATE visit SET visitor = 'x' WHERE place_id = 1;
COMMIT;
SELECT * FROM queued();
BEGIN;
UPDATE place_b SET zone = 'west';
UPDATE visit_2 SET visitor = 'x';
COMMIT;
SELECT * FROM queued();
UPDATE place SET kind = 'a' WHERE id = 2;
SELECT * FROM queued();
DELETE FROM place WHERE id = 1;
SELECT * FROM queued();
CREATE TABLE visit_3 (LIKE visit);
INSERT INTO visit_3 VALUES (21, 2, 'a');
ALTER TABLE visit ATTACH PARTITION visit_3 FOR VALUES FROM (20) TO (30);
SELECT * FROM queued();
ALTER TABLE visit DETACH PARTITION visit_2;
SELECT * FROM queued();
CREATE TABLE visit_child (LIKE visit, FOREIGN KEY (place_id, place_kind) REFERENCES place);
DROP TABLE visit, visit_2, visit_child, place;
SELECT * FROM queued();
-- A child of the parent table is not what the foreign key points to.
CREATE TABLE base (id integer PRIMARY KEY, name text);
CREATE TABLE derived () INHERITS (base);
CREATE TABLE uses (id integer, base_id integer REFERENCES base);
CREATE TABLE uses_too () INHERITS (uses);
INSERT INTO base VALUES (1, 'one');
INSERT INTO derived VALUES (1, 'not one');
SELECT inval_track('uses', key => 'base:{base_id.name}:{id}') IS NOT NULL AS tracked;
INSERT INTO uses VALUES (1, 1);
INSERT INTO uses_too VALUES (2, 1);
SELECT * FROM queued();
DROP TABLE uses, uses_too, base, derived;
SELECT * FROM queued();

-- Who changes a row needs no right on the parent, not even to know of it.
CREATE ROLE regress_inval_owner;
CREATE ROLE regress_inval_other;
CREATE ROLE regress_inval_app;
CREATE SCHEMA hidden AUTHORIZATION regress_inval_other;
CREATE TABLE hidden.account (id integer PRIMARY KEY, plan text);
ALTER TABLE hidden.account OWNER TO regress_inval_other;
CREATE TABLE login (id integer PRIMARY KEY, account_id integer REFERENCES hidden.account);
ALTER TABLE login OWNER TO regress_inval_owner;
INSERT INTO hidden.account VALUES (1, 'basic'), (2, 'pro');
GRANT ALL ON login TO regress_inval_app;
-- To refer to a table is not to read it: the owner of the tracked table must be
-- allowed to read what the path does.
GRANT USAGE ON SCHEMA hidden TO regress_inval_owner;
GRANT REFERENCES (id) ON hidden.account TO regress_inval_owner;
SET ROLE regress_inval_owner;
SELECT inval_track('login', key => 'plan:{account_id.plan}') IS NOT NULL AS tracked;
RESET ROLE;
SELECT inval_track('login', key => 'plan:{account_id.plan}') IS NOT NULL AS tracked;
GRANT SELECT (plan) ON hidden.account TO regress_inval_owner;
SELECT inval_track('login', key => 'plan:{account_id.plan}') IS NOT NULL AS tracked;
GRANT SELECT (id) ON hidden.account TO regress_inval_owner;
SET ROLE regress_inval_owner;
SELECT inval_track('login', key => 'plan:{account_id.plan}') IS NOT NULL AS tracked;
SET ROLE regress_inval_app;
SELECT * FROM hidden.account;
SET search_path = pg_temp;
INSERT INTO public.login VALUES (1, 1);
RESET search_path;
UPDATE login SET account_id = 2;
TRUNCATE login;
INSERT INTO login VALUES (2, 1);
-- Nor can it see any of it.
SELECT * FROM inval_preview('login');
RESET ROLE;
SELECT * FROM queued();
-- Row security of the parent must not apply to the owner of the tracked table.
ALTER TABLE hidden.account ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
SELECT inval_track('login', key => 'also:{account_id.plan}') IS NOT NULL AS tracked;
ALTER ROLE regress_inval_owner BYPASSRLS;
SET ROLE regress_inval_app;
UPDATE login SET account_id = 2;
SET row_security = off;
UPDATE login SET account_id = 1;
RESET row_security;
RESET ROLE;
SELECT * FROM queued();
SET ROLE regress_inval_other;
SELECT * FROM hidden.account;
RESET ROLE;
-- The parent's owner has lost the right to read it.
REVOKE ALL ON hidden.account FROM regress_inval_other;
SET ROLE regress_inval_app;
\set VERBOSITY terse
UPDATE login SET account_id = 2;
\set VERBOSITY default
RESET ROLE;
SELECT * FROM queued();
GRANT ALL ON hidden.account TO regress_inval_other;
DROP TABLE login;
DROP SCHEMA hidden CASCADE;
DROP ROLE regress_inval_owner, regress_inval_other, regress_inval_app;
SELECT count(*) FROM queued();

-- DROP of parent and child together, in either order, by DROP SCHEMA, by DROP
-- OWNED: the keys are found while they can be.
CREATE TABLE duo_parent (id integer PRIMARY KEY, team_id integer);
CREATE TABLE duo (id integer, parent_id integer REFERENCES duo_parent);
SELECT inval_track('duo', key => 'duo:{parent_id.team_id}', field => '{id}') IS NOT NULL AS tracked;
INSERT INTO duo_parent VALUES (1, 1), (2, 2);
INSERT INTO duo VALUES (1, 1), (2, 2);
SELECT count(*) FROM queued();
DROP TABLE duo_parent, duo;
SELECT * FROM queued();
SELECT relation, key FROM rules;
DROP TABLE IF EXISTS duo, duo_parent;
CREATE TABLE duo_parent (id integer PRIMARY KEY, team_id integer);
CREATE TABLE duo (id integer, parent_id integer REFERENCES duo_parent);
SELECT inval_track('duo', key => 'duo:{parent_id.team_id}', field => '{id}') IS NOT NULL AS tracked;
INSERT INTO duo_parent VALUES (1, 1), (2, 2);
INSERT INTO duo VALUES (1, 1), (2, 2);
SELECT count(*) FROM queued();
DROP TABLE duo, duo_parent;
SELECT * FROM queued();
SELECT relation, key FROM rules;
CREATE SCHEMA kin;
CREATE TABLE kin.a_task (id integer);
CREATE TABLE kin.parent (id integer PRIMARY KEY, team_id integer);
CREATE TABLE kin.z_task (id integer, parent_id integer REFERENCES kin.parent);
ALTER TABLE kin.a_task ADD parent_id integer REFERENCES kin.parent;
SELECT inval_track('kin.a_task', key => 'a:{parent_id.team_id}') IS NOT NULL AS a,
	inval_track('kin.z_task', key => 'z:{parent_id.team_id}') IS NOT NULL AS z,
	inval_track('kin.z_task', key => 'plain:{id}') IS NOT NULL AS plain;
INSERT INTO kin.parent VALUES (1, 11);
INSERT INTO kin.a_task VALUES (1, 1);
INSERT INTO kin.z_task VALUES (1, 1);
SELECT count(*) FROM queued();
BEGIN;
UPDATE kin.parent SET team_id = 12;
SET LOCAL client_min_messages = warning;
DROP SCHEMA kin CASCADE;
COMMIT;
SELECT * FROM queued();
SELECT relation, key FROM rules;
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS kin CASCADE;
RESET client_min_messages;
CREATE ROLE regress_inval_kin;
CREATE SCHEMA kin2 AUTHORIZATION regress_inval_kin;
SET ROLE regress_inval_kin;
CREATE TABLE kin2.parent (id integer PRIMARY KEY, team_id integer);
CREATE TABLE kin2.task (id integer, parent_id integer REFERENCES kin2.parent);
SELECT inval_track('kin2.task', key => 'o:{parent_id.team_id}') IS NOT NULL AS tracked;
INSERT INTO kin2.parent VALUES (1, 13);
INSERT INTO kin2.task VALUES (1, 1);
RESET ROLE;
SELECT count(*) FROM queued();
DROP OWNED BY regress_inval_kin;
SELECT * FROM queued();
SELECT relation, key FROM rules;
DROP SCHEMA IF EXISTS kin2 CASCADE;
DROP ROLE regress_inval_kin;
-- The parent alone: refused; with CASCADE the rule goes too, and what it has fed
-- is no longer fed.
CREATE TABLE solo_parent (id integer PRIMARY KEY, team_id integer);
CREATE TABLE solo (id integer, parent_id integer REFERENCES solo_parent);
SELECT inval_track('solo', key => 'solo:{parent_id.team_id}') AS solo_rule \gset
INSERT INTO solo_parent VALUES (1, 21);
INSERT INTO solo VALUES (1, 1);
SELECT count(*) FROM queued();
DROP TABLE solo_parent;
SET client_min_messages = warning;
DROP TABLE solo_parent CASCADE;
RESET client_min_messages;
SELECT * FROM queued();
SELECT count(*) FROM inval_rule WHERE id = :solo_rule;
SELECT * FROM triggers_of('solo');
DROP TABLE solo;
DROP TABLE project, team;

-- Look-ups are remembered: as many as there are parents.
CREATE TABLE parent (id integer PRIMARY KEY, team_id integer);
CREATE TABLE task (id integer, parent_id integer REFERENCES parent);
INSERT INTO parent SELECT i, i % 7 FROM generate_series(1, 50) i;
SELECT inval_track('task', key => 'p:{parent_id.team_id}') IS NOT NULL AS tracked;
INSERT INTO task SELECT i, 1 + i % 50 FROM generate_series(1, 20000) i;
SELECT * FROM queued();
DROP TABLE task, parent;
SELECT count(*) FROM queued();
SELECT count(*) FROM inval_rule;

-- A parent that goes with its children and led to a NULL: these rows feed no key,
-- but their foreign keys lead somewhere.
CREATE TABLE chain (id integer PRIMARY KEY, parent integer REFERENCES chain ON DELETE CASCADE);
SELECT inval_track('chain', key => 'grandparent:{parent.parent}') IS NOT NULL AS tracked;
INSERT INTO chain VALUES (1, NULL), (2, 1), (3, 2);
SELECT key FROM queued();
DELETE FROM chain WHERE id = 1;
SELECT key FROM queued();
SET client_min_messages = warning;
DROP TABLE chain;
RESET client_min_messages;

-- Where a path compares keys by somebody's own code, that runs as who owns the table
-- that is asked, and under no search path of the session.
CREATE ROLE regress_inval_owner;
CREATE SCHEMA own AUTHORIZATION regress_inval_owner;
SET ROLE regress_inval_owner;
SET search_path = own, public;
CREATE TYPE code AS (n integer);
CREATE FUNCTION code_compare(code, code) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
	IF current_setting('x.watch', true) = '1' THEN
		IF current_user <> 'regress_inval_owner' OR current_setting('search_path') <> 'pg_catalog, pg_temp' THEN
			RAISE WARNING 'keys are compared by % under %', current_user, current_setting('search_path');
		END IF;
		PERFORM set_config('x.watched', '1', false);
	END IF;
	RETURN ($1).n - ($2).n;
END
$$;
CREATE FUNCTION code_eq(code, code) RETURNS boolean LANGUAGE sql AS 'SELECT own.code_compare($1, $2) = 0';
CREATE FUNCTION code_lt(code, code) RETURNS boolean LANGUAGE sql AS 'SELECT own.code_compare($1, $2) < 0';
CREATE FUNCTION code_gt(code, code) RETURNS boolean LANGUAGE sql AS 'SELECT own.code_compare($1, $2) > 0';
CREATE OPERATOR = (LEFTARG = code, RIGHTARG = code, FUNCTION = code_eq);
CREATE OPERATOR < (LEFTARG = code, RIGHTARG = code, FUNCTION = code_lt);
CREATE OPERATOR > (LEFTARG = code, RIGHTARG = code, FUNCTION = code_gt);
RESET ROLE;
CREATE OPERATOR CLASS code_ops DEFAULT FOR TYPE code USING btree AS
	OPERATOR 1 <, OPERATOR 3 =, OPERATOR 5 >, FUNCTION 1 code_compare(code, code);
SET ROLE regress_inval_owner;
CREATE TABLE coded (id code PRIMARY KEY, team_id integer);
CREATE TABLE uses (id integer, coded code REFERENCES coded);
INSERT INTO coded VALUES (ROW(1), 5);
INSERT INTO uses VALUES (1, ROW(1));
SELECT inval_track('uses', key => 'coded:{coded.team_id}') IS NOT NULL AS tracked;
RESET ROLE;
SET x.watch = '1';
DELETE FROM uses;
SELECT current_setting('x.watched', true) AS watched;
RESET x.watch;
SELECT * FROM queued();
RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA own CASCADE;
DROP ROLE regress_inval_owner;
RESET client_min_messages;
SELECT count(*) > 0 AS dropped FROM queued();
