--
-- inval_coverage: which tables have a column or reach it, and whether a rule
-- tracks them.
--
-- Holes are made in the catalogs, since commands that would make them are
-- repaired on the spot.
--
CREATE SCHEMA cover;
SET search_path = cover, public;
CREATE FUNCTION coverage(text DEFAULT 'team_id') RETURNS SETOF text LANGUAGE sql AS $$
	SELECT format('%s: %s: %s', relation, verdict, detail) FROM public.inval_coverage($1)
$$;
SELECT * FROM inval_coverage('team_id');
SELECT * FROM inval_coverage('nobody has it');

-- Untracked: the column itself, and ways to it along foreign keys
CREATE TABLE team (id integer PRIMARY KEY);
CREATE TABLE project (id integer PRIMARY KEY, team_id integer REFERENCES team,
	UNIQUE (team_id, id));
CREATE TABLE task (id integer PRIMARY KEY, project_id integer REFERENCES project,
	parent_id integer REFERENCES task);
CREATE TABLE comment (id integer PRIMARY KEY, task_id integer REFERENCES task,
	"Reply.To" integer REFERENCES comment);
CREATE TABLE note (id integer, team integer, project integer,
	FOREIGN KEY (team, project) REFERENCES project (team_id, id));
CREATE TABLE quoted (id integer, "Task" integer REFERENCES task);
CREATE TABLE unrelated (id integer);
-- a circle, with the column nowhere on it and with it at its end
CREATE TABLE circle_a (id integer PRIMARY KEY);
CREATE TABLE circle_b (id integer PRIMARY KEY, a_id integer REFERENCES circle_a);
ALTER TABLE circle_a ADD COLUMN b_id integer REFERENCES circle_b;
ALTER TABLE circle_b ADD COLUMN comment_id integer REFERENCES comment;
-- no tables of ours to cover
CREATE TEMPORARY TABLE temporary (team_id integer);
CREATE VIEW team_view AS SELECT team_id FROM project;
CREATE TYPE team_type AS (team_id integer);
-- tables of other kinds
CREATE MATERIALIZED VIEW team_matview AS SELECT team_id FROM project;
CREATE FOREIGN DATA WRAPPER cover_wrapper;
CREATE SERVER cover_server FOREIGN DATA WRAPPER cover_wrapper;
CREATE FOREIGN TABLE far_away (team_id integer) SERVER cover_server;
CREATE UNLOGGED TABLE unlogged (team_id integer);
SELECT * FROM inval_coverage('team_id');
SELECT coverage('Reply.To');
SELECT coverage('xid');
SELECT coverage('queued_at');

-- Tracked, by the column, by a path, by a field, or by a query
SELECT inval_track('project', 'team_id') IS NOT NULL
	AND inval_track('task', key => 'tasks:{project_id.team_id}') IS NOT NULL
	AND inval_track('comment', key => 'comments', field => '{task_id.project_id.team_id}') IS NOT NULL
	AND inval_track('note', key => 'notes:{project.team_id}:{id}') IS NOT NULL
	AND inval_track('quoted', key => 'q:{"Task".project_id.team_id|md5}') IS NOT NULL
	AND inval_track('circle_a', key => 'a:{b_id.comment_id.task_id.project_id.team_id}') IS NOT NULL
	AND inval_track('circle_b', key => 'b:{team_id}',
		via => 'SELECT p.team_id FROM cover.comment c JOIN cover.task t ON t.id = c.task_id JOIN cover.project p ON p.id = t.project_id WHERE c.id = {comment_id}') IS NOT NULL
	AND inval_track('team_matview', 'team_id') IS NOT NULL
	AND inval_track('far_away', 'team_id') IS NOT NULL
	AND inval_track('unlogged', key => 'u:{team_id}') IS NOT NULL
	AND inval_track('unlogged', key => 'other') IS NOT NULL AS tracked;
SELECT coverage();
SELECT coverage('project_id');
-- The assertion for a project's own tests
SELECT count(*) AS missed FROM inval_coverage('team_id') WHERE verdict <> 'tracked';

-- Holes: rules
SELECT inval_track('project', 'team_id', state => 'shadow') IS NOT NULL AS tracked;
SELECT inval_track('note', key => 'notes:{project.team_id}:{id}', state => 'off') IS NOT NULL AS tracked;
SELECT inval_untrack('task');
SELECT inval_untrack('unlogged', 'u:{team_id}');
SELECT inval_track('quoted', key => 'q:{"Task".project_id.team_id|md5}', state => 'off') IS NOT NULL
	AND inval_track('quoted', key => 'all', state => 'shadow') IS NOT NULL AS tracked;
SELECT coverage();
SELECT inval_track('project', 'team_id', state => 'on') IS NOT NULL
	AND inval_track('note', key => 'notes:{project.team_id}:{id}', state => 'on') IS NOT NULL
	AND inval_track('task', key => 'tasks:{project_id.team_id}') IS NOT NULL
	AND inval_track('unlogged', key => 'u:{team_id}', changes => '{team_id}') IS NOT NULL
	AND inval_track('quoted', key => 'q:{"Task".project_id.team_id|md5}', state => 'on') IS NOT NULL AS tracked;
SELECT count(*) AS missed FROM inval_coverage('team_id') WHERE verdict <> 'tracked';

-- Holes: triggers
CREATE FUNCTION enable(regclass, regproc, "char") RETURNS void LANGUAGE sql AS $$
	UPDATE pg_trigger SET tgenabled = $3 WHERE tgrelid = $1 AND tgfoid = $2
$$;
CREATE VIEW holes AS
	SELECT format('%s: %s', relation, detail) AS hole
	FROM inval_coverage('team_id') WHERE verdict = 'hole';
BEGIN;
SELECT FROM enable('project', 'inval_capture_row', 'D');
SELECT FROM enable('task', 'inval_capture_truncate', 'O');
SELECT FROM enable('comment', 'inval_capture_row', 'R') a,
	enable('comment', 'inval_capture_truncate', 'D') b;
DELETE FROM pg_trigger WHERE tgrelid = 'note'::regclass
	AND tgfoid IN ('inval_capture_row'::regproc, 'inval_capture_truncate'::regproc);
SELECT * FROM holes;
ROLLBACK;
-- ... that are others than inval makes
BEGIN;
UPDATE pg_trigger SET tgname = 'mine'
WHERE tgrelid = 'project'::regclass AND tgname = '00_inval_row';
UPDATE pg_trigger SET tgtype = 5	-- AFTER INSERT ... FOR EACH ROW
WHERE tgrelid = 'task'::regclass AND tgname = '00_inval_row';
CREATE TRIGGER sometimes AFTER INSERT ON unrelated
	FOR EACH ROW WHEN (false) EXECUTE FUNCTION inval_capture_row();
UPDATE pg_trigger SET tgqual = (
	SELECT tgqual FROM pg_trigger WHERE tgrelid = 'unrelated'::regclass AND tgname = 'sometimes')
WHERE tgrelid = 'comment'::regclass AND tgname = '00_inval_row';
UPDATE pg_trigger SET tgfoid = 'inval_capture_row'::regproc
WHERE tgrelid = 'note'::regclass AND tgname = '00_inval_truncate';
UPDATE pg_trigger SET tgattr = '1'
WHERE tgrelid = 'quoted'::regclass AND tgname = '00_inval_row';
UPDATE pg_trigger SET tgnargs = 1
WHERE tgrelid = 'unlogged'::regclass AND tgname = '00_inval_truncate';
SELECT * FROM holes;
ROLLBACK;
BEGIN;
UPDATE pg_event_trigger SET evtenabled = CASE evtname WHEN 'inval_on_drop' THEN 'D' ELSE 'O' END::"char"
WHERE evtname LIKE 'inval%';
SELECT regexp_split_to_table(hole, '; ') AS hole FROM (SELECT hole FROM holes LIMIT 1) h;
ROLLBACK;
-- Holes: what a rule names
BEGIN;
UPDATE pg_attribute SET attname = 'squad_id'
WHERE attrelid IN ('unlogged'::regclass, 'project'::regclass) AND attname = 'team_id';
\x on
SELECT * FROM inval_coverage('squad_id');
\x off
SELECT * FROM holes;
ROLLBACK;
BEGIN;
DELETE FROM pg_constraint WHERE conrelid = 'task'::regclass AND contype = 'f'
	AND confrelid = 'project'::regclass;
SELECT * FROM coverage('id') c WHERE c ~ '^(task|quoted):';
ROLLBACK;

-- Partitions are their root's.
CREATE TABLE part (id integer, team_id integer) PARTITION BY LIST (id);
CREATE TABLE part_1 PARTITION OF part FOR VALUES IN (1);
CREATE TABLE part_2 (team_id integer, id integer);
ALTER TABLE part ATTACH PARTITION part_2 FOR VALUES IN (2);
CREATE TABLE part_sub PARTITION OF part DEFAULT PARTITION BY LIST (team_id);
CREATE TABLE part_sub_1 PARTITION OF part_sub FOR VALUES IN (1);
CREATE TABLE part_sub_2 PARTITION OF part_sub FOR VALUES IN (2);
CREATE TABLE part_far PARTITION OF part FOR VALUES IN (3) PARTITION BY LIST (team_id);
CREATE TABLE part_child (id integer, part_key integer);
CREATE VIEW part_coverage AS
	SELECT relation, verdict, detail FROM inval_coverage('team_id')
	WHERE relation::text ~ 'part';
SELECT * FROM part_coverage;
SELECT inval_track('part_1', 'team_id') IS NOT NULL AS tracked;
SELECT * FROM part_coverage;
SELECT inval_track('part_sub', key => 'sub:{team_id}') IS NOT NULL AS tracked;
SELECT * FROM part_coverage;
SELECT inval_track('part_2', key => 'other:{id}') IS NOT NULL AS tracked;
SELECT * FROM part_coverage;
SELECT inval_untrack('part_1'), inval_untrack('part_2'), inval_untrack('part_sub');
SELECT inval_track('part', 'team_id') IS NOT NULL AS tracked;
SELECT * FROM part_coverage;
BEGIN;
SELECT FROM enable('part_1', 'inval_capture_row', 'D') a,
	enable('part_2', 'inval_capture_row', 'D') b,
	enable('part_sub_1', 'inval_capture_row', 'D') c,
	enable('part_sub_2', 'inval_capture_row', 'D') d,
	enable('part_2', 'inval_capture_truncate', 'O') e;
SELECT * FROM part_coverage;
SELECT FROM enable('part_sub_1', 'inval_capture_row', 'A');
SELECT * FROM part_coverage;
ROLLBACK;
-- A DETACH CONCURRENTLY that did not end
BEGIN;
UPDATE pg_inherits SET inhdetachpending = true WHERE inhrelid IN ('part_2'::regclass, 'part_sub_1'::regclass);
\x on
SELECT * FROM part_coverage;
\x off
ROLLBACK;
SELECT inval_track('part', 'team_id', state => 'off') IS NOT NULL AS tracked;
SELECT * FROM part_coverage;
DROP TABLE part, part_child CASCADE;
-- A partitioned table that has no partitions yet
CREATE TABLE part (id integer, team_id integer) PARTITION BY LIST (id);
SELECT * FROM part_coverage;
SELECT inval_track('part', key => '{id}') IS NOT NULL AS tracked;
SELECT * FROM part_coverage;
SELECT inval_track('part', 'team_id') IS NOT NULL AS tracked;
SELECT * FROM part_coverage;
-- A partition that has a foreign key of its own
CREATE TABLE part_owner (id integer PRIMARY KEY, tenant_id integer);
CREATE TABLE part_1 PARTITION OF part (FOREIGN KEY (id) REFERENCES part_owner) FOR VALUES IN (1);
SELECT * FROM inval_coverage('tenant_id');
DROP VIEW part_coverage;
DROP TABLE part, part_owner;

-- Children stand for themselves, and count for their parents.
CREATE TABLE elder (id integer, team_id integer);
CREATE TABLE heir (extra integer) INHERITS (elder);
CREATE TABLE grandchild () INHERITS (heir);
CREATE VIEW heir_coverage AS
	SELECT relation, verdict, detail FROM inval_coverage('team_id')
	WHERE relation::text ~ 'elder|heir|grand';
SELECT * FROM heir_coverage;
SELECT inval_track('heir', key => 'heirs:{team_id}') IS NOT NULL AS tracked;
SELECT * FROM heir_coverage;
SELECT inval_track('elder', 'team_id') IS NOT NULL AS tracked;
SELECT * FROM heir_coverage;
BEGIN;
SELECT FROM enable('heir', 'inval_capture_row', 'O') a,
	enable('elder', 'inval_capture_truncate', 'D') b;
SELECT * FROM heir_coverage;
ROLLBACK;
DROP VIEW heir_coverage;
DROP TABLE elder CASCADE;

-- Everybody may ask.
CREATE ROLE regress_inval_asker;
SET SESSION AUTHORIZATION regress_inval_asker;
SELECT relation, verdict FROM public.inval_coverage('team_id') LIMIT 2;
RESET SESSION AUTHORIZATION;
DROP ROLE regress_inval_asker;
BEGIN READ ONLY;
SELECT count(*) FROM inval_coverage('team_id');
COMMIT;

-- It is still there when the extension's schema has another name.
BEGIN;
ALTER SCHEMA public RENAME TO "Other One";
SELECT relation, verdict FROM "Other One".inval_coverage('team_id') LIMIT 2;
SELECT count(*) >= 0 AS works FROM "Other One".inval_rule;
SELECT count(*) >= 0 AS works FROM "Other One".inval_queue;
SELECT count(*) >= 0 AS works FROM "Other One".inval_stats;
SELECT count(*) >= 0 AS works FROM "Other One".inval_target_status;
SELECT count(*) >= 0 AS works FROM "Other One".inval_var;
SELECT count(*) >= 0 AS works FROM "Other One".inval_guards;
SELECT "Other One".inval_track('project', 'team_id', delivery => 'background') IS NOT NULL AS tracked;
INSERT INTO project VALUES (1);
ROLLBACK;

-- Wrong calls
\pset format unaligned
\pset tuples_only on
SELECT outcome(
	$$count(*) FROM inval_coverage(NULL)$$,
	$$count(*) FROM inval_coverage('')$$,
	$$count(*) FROM inval_coverage(repeat('x', 100))$$,
	$$count(*) FROM inval_template_columns('cover.task'::regclass, '{nope}:{project_id.nope}:{id.id}')$$,
	$$string_agg(found::text, ' ') FROM inval_template_columns('cover.task'::regclass, '{nope}:{project_id.nope}:{id.id}:{project_id.id}')$$,
	$$inval_template_columns('cover.task'::regclass, '{id')$$,
	$$count(*) FROM inval_template_columns(4294967295, '{id}')$$);
\pset tuples_only off
\pset format aligned

SET client_min_messages = warning;
RESET search_path;
SELECT sum(inval_untrack(c.oid)) AS dropped FROM pg_class c
WHERE relnamespace = 'cover'::regnamespace AND c.oid IN (SELECT relation FROM inval_rule);
DROP FOREIGN DATA WRAPPER cover_wrapper CASCADE;
DROP SCHEMA cover CASCADE;
DROP TABLE temporary;
