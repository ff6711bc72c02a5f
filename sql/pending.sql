--
-- inval_pending: what the transaction would invalidate if it committed now; and
-- that looking changes nothing of what it does in the end.
--
ALTER SEQUENCE inval_rule_id_seq RESTART 300;	-- for rows that have a rule's number
SELECT inval_stats_reset();
SELECT inval_add_target('pending', 'unix:///nonexistent/pending.sock', namespace => 'team:');
SELECT inval_pause('pending');
CREATE TABLE team (id integer PRIMARY KEY, name text);
CREATE TABLE project (id integer PRIMARY KEY, team_id integer REFERENCES team ON DELETE CASCADE
	DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE task (id integer PRIMARY KEY,
	project_id integer REFERENCES project ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED, note text);
CREATE TABLE tag (id integer PRIMARY KEY, name text);
CREATE TABLE task_tag (task_id integer, tag_id integer);
SELECT inval_track('team', 'id', targets => '{default,pending}'),
	inval_track('team', key => '{name}', targets => '{default,pending}'),
	inval_track('team', key => 'team:{id}', delivery => 'background', repeat_after => '1 minute',
		field => '{name}'),
	inval_track('team', key => 'shadow:{id}', state => 'shadow'),
	inval_track('task', key => 'team:{project_id.team_id}', targets => '{default,pending}'),
	inval_track('tag', key => 'task:{task_id}', via => 'SELECT task_id FROM task_tag WHERE tag_id = {id}');
INSERT INTO team VALUES (1, 'one'), (2, 'two');
INSERT INTO project VALUES (10, 1), (20, 2);
INSERT INTO task VALUES (100, 10), (200, 20);
INSERT INTO tag VALUES (7, 'seven');
INSERT INTO task_tag VALUES (100, 7), (200, 7);
SELECT count(*) > 0 AS queued FROM queued();

-- Nothing yet, and nothing of what others or earlier transactions owe
SELECT * FROM inval_pending();
-- Each key once, for each target in whose namespace it is; each field by itself;
-- and nothing of a rule in shadow.
BEGIN;
SELECT inval_touch('by:hand'), inval_touch('by:hand', delivery => 'background');
UPDATE team SET name = 'ONE' WHERE id = 1;
UPDATE team SET name = 'ONE' WHERE id = 1;
SELECT * FROM inval_pending();
-- A path; it gives a key that another rule has, too, and one that the row fed before.
UPDATE task SET project_id = 20 WHERE id = 100;
SELECT target, key FROM inval_pending() WHERE field IS NULL AND key LIKE 'team:%';
-- via
UPDATE tag SET name = 'VII';
SELECT rule, target, key FROM inval_pending() WHERE key LIKE 'task:%';
ROLLBACK;
SELECT * FROM inval_pending();
SELECT * FROM queued();

-- Savepoints: what is rolled back is gone, what is released stays.
BEGIN;
SAVEPOINT a;
UPDATE tag SET name = 'a';
UPDATE team SET name = name WHERE id = 1;
SAVEPOINT b;
INSERT INTO task_tag VALUES (300, 7);
UPDATE team SET name = name WHERE id = 2;
SELECT key FROM inval_pending() WHERE target = 'default' AND field IS NULL;
ROLLBACK TO b;
SELECT key FROM inval_pending() WHERE target = 'default' AND field IS NULL;
RELEASE a;
SELECT key FROM inval_pending() WHERE target = 'default' AND field IS NULL;
ROLLBACK;
-- Within the command itself: what its triggers see, and what a statement around does
BEGIN;
CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE NOTICE 'pending: %', (SELECT string_agg(key, ', ') FROM inval_pending());
	RETURN NULL;
END $$;
CREATE TRIGGER see AFTER UPDATE ON tag FOR EACH ROW EXECUTE FUNCTION see();
UPDATE tag SET name = 'x';
SET CONSTRAINTS ALL IMMEDIATE;
ROLLBACK;

-- A foreign key that leads nowhere yet, and a row that is gone: as at the end.
BEGIN;
INSERT INTO task VALUES (101, 30);
SELECT key FROM inval_pending() WHERE target = 'default';
INSERT INTO project VALUES (30, 1);
SELECT key FROM inval_pending() WHERE target = 'default';
ROLLBACK;
BEGIN;
DELETE FROM team WHERE id = 1;
SELECT key FROM inval_pending() WHERE target = 'default' AND field IS NULL;
ROLLBACK;

-- Looking changes nothing: the same keys, sent as often, and the same figures, with
-- one that is too long, one that leads nowhere and one outside of a namespace.
CREATE TABLE label (id integer PRIMARY KEY, tag_id integer);
INSERT INTO label VALUES (6, 77);
ALTER TABLE label ADD FOREIGN KEY (tag_id) REFERENCES tag NOT VALID;
SELECT inval_track('label', key => '{tag_id.name}', targets => '{default,pending}');
CREATE FUNCTION work(look boolean) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	UPDATE tag SET name = repeat('n', 8000) WHERE id = 7;
	INSERT INTO label VALUES (1, 7), (2, NULL);
	UPDATE label SET id = 67 - id WHERE tag_id = 77;
	IF look THEN
		PERFORM inval_pending(), inval_pending();
	END IF;
	UPDATE team SET name = name || '!';
	UPDATE task SET project_id = 30 - project_id WHERE id = 100;
	UPDATE task_tag SET task_id = 400 WHERE task_id = 200;
	INSERT INTO tag VALUES (8, 'eight');
	INSERT INTO label VALUES (3, 8);
	IF look THEN
		PERFORM inval_pending();
	END IF;
END $$;
SELECT * FROM queued();
SELECT inval_stats_reset();
CREATE VIEW figures AS SELECT rule, target, rows_seen, keys_queued, keys_coalesced, skipped FROM inval_stats
	WHERE rows_seen > 0 OR skipped > 0;
BEGIN;
SELECT work(false);
COMMIT;
CREATE TABLE without AS SELECT * FROM queued();
CREATE TABLE figures_without AS SELECT * FROM figures;
SELECT * FROM without;
DELETE FROM label WHERE id < 6;
DELETE FROM tag WHERE id = 8;
UPDATE tag SET name = 'seven' WHERE id = 7;
UPDATE team SET name = CASE id WHEN 1 THEN 'one' ELSE 'two' END;
UPDATE task SET project_id = 10 WHERE id = 100;
UPDATE task_tag SET task_id = 200 WHERE task_id = 400;
SELECT count(*) > 0 AS queued FROM queued();
SELECT inval_stats_reset();
BEGIN;
SELECT work(true);
COMMIT;
CREATE TABLE looked_at AS SELECT * FROM queued();
(TABLE without EXCEPT ALL TABLE looked_at) UNION ALL (TABLE looked_at EXCEPT ALL TABLE without);
(TABLE figures_without EXCEPT ALL TABLE figures) UNION ALL (TABLE figures EXCEPT ALL TABLE figures_without);
-- Nor does an error in the midst of it, after which what was to be said is said.
INSERT INTO tag VALUES (9, repeat('9', 8000));
BEGIN;
SELECT inval_track('label', key => 'broken:{n}', via => 'SELECT 1 / (id - 3) AS n FROM tag WHERE id = {tag_id} - 5')
	IS NOT NULL AS tracked;
SAVEPOINT a;
UPDATE label SET id = 30 WHERE id = 3;
SELECT key FROM inval_pending();
ROLLBACK TO a;
INSERT INTO tag VALUES (3, 'three');
UPDATE label SET id = 30 WHERE id = 3;
SAVEPOINT b;
SELECT key FROM inval_pending();
ROLLBACK TO b;
ROLLBACK;
INSERT INTO label VALUES (4, 9);
SELECT * FROM queued();

-- More than there is memory for: what went to the outbox early is shown, too.
BEGIN;
SET LOCAL inval.pending_memory = '64kB';
INSERT INTO team SELECT n, 'many' FROM generate_series(1001, 9000) n;
SELECT count(*), count(DISTINCT key), min(key), max(key) FROM inval_pending()
	WHERE target = 'pending';
SAVEPOINT a;
INSERT INTO team SELECT n, 'more' FROM generate_series(10001, 19000) n;
SELECT count(*) FROM inval_pending() WHERE target = 'pending';
ROLLBACK TO a;
SELECT count(*) FROM inval_pending() WHERE target = 'pending';
-- Look-ups, too, as they would be made now
INSERT INTO tag SELECT n, 'team:x' || n FROM generate_series(1001, 9000) n;
INSERT INTO label SELECT n, n FROM generate_series(1001, 9000) n;
SELECT count(*), min(key), max(key) FROM inval_pending() WHERE rule = 306 AND target = 'pending';
UPDATE tag SET name = 'team:y' || id WHERE id > 1000;
SELECT count(*) FROM inval_pending() WHERE rule = 306 AND target = 'pending' AND key LIKE 'team:y%';
ROLLBACK;
SELECT * FROM inval_pending();

-- Who sees keys.  A function with other rights changes rows of which its caller may
-- read some: he sees which rules have something to do, and the keys that he could
-- find out himself.
CREATE ROLE regress_inval_few;
CREATE ROLE regress_inval_reader;
CREATE ROLE regress_inval_toucher;
CREATE ROLE regress_inval_owner;
CREATE ROLE regress_inval_monitor IN ROLE pg_monitor;
GRANT EXECUTE ON FUNCTION inval_key_right() TO regress_inval_monitor;
GRANT SELECT ON team, tag, task_tag, task, project TO regress_inval_reader;
GRANT EXECUTE ON FUNCTION inval_touch TO regress_inval_toucher;
GRANT USAGE, CREATE ON SCHEMA public TO regress_inval_owner;
ALTER TABLE tag OWNER TO regress_inval_owner;
GRANT SELECT ON task_tag TO regress_inval_owner;
CREATE FUNCTION change() RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
	UPDATE team SET name = 'secret' WHERE id = 2;
	UPDATE task SET note = 'x' WHERE id = 200;
	UPDATE tag SET name = 'x' WHERE id = 7;
	SELECT inval_touch('touched');
$$;
BEGIN;
SELECT change();
SET LOCAL ROLE regress_inval_few;
SELECT * FROM inval_pending();
SELECT DISTINCT key FROM inval_pending_rows();
SET LOCAL ROLE regress_inval_toucher;
SELECT key FROM inval_pending() WHERE key IS NOT NULL;
SET LOCAL ROLE regress_inval_reader;
SELECT * FROM inval_pending() WHERE target = 'default';
SET LOCAL ROLE regress_inval_owner;
SELECT key FROM inval_pending() WHERE key IS NOT NULL;
SET LOCAL ROLE regress_inval_monitor;
SELECT count(*), count(key) FROM inval_pending();
RESET ROLE;
-- Not those of a table whose rows he sees in part
ALTER TABLE team ENABLE ROW LEVEL SECURITY;
CREATE POLICY part ON team USING (id = 1);
SET LOCAL ROLE regress_inval_reader;
SELECT count(*), count(key) FROM inval_pending();
RESET ROLE;
-- Nor of a rule that has gone
SELECT inval_untrack('tag');
SET LOCAL ROLE regress_inval_owner;
SELECT rule, key FROM inval_pending() WHERE key IS NOT NULL;
ROLLBACK;

-- The query of a rule cannot look.
CREATE FUNCTION seen_by_query() RETURNS SETOF text LANGUAGE sql AS 'SELECT key FROM public.inval_pending()';
SELECT inval_track('task_tag', key => 'seen:{k}', via => 'SELECT k FROM seen_by_query() k') IS NOT NULL AS tracked;
BEGIN;
UPDATE task_tag SET tag_id = tag_id;
SELECT * FROM inval_pending();
ROLLBACK;
-- What is looked up sees the newest, and is part of what a serializable one has read.
BEGIN ISOLATION LEVEL SERIALIZABLE;
UPDATE task SET note = 'y' WHERE id = 200;
SELECT key FROM inval_pending() WHERE target = 'default';
COMMIT;
SELECT key, field FROM queued();
-- In a transaction that changes nothing
BEGIN READ ONLY;
SELECT * FROM inval_pending();
COMMIT;

DROP VIEW figures;
DROP TABLE without, looked_at, figures_without, label, task_tag, tag, task, project, team CASCADE;
SELECT count(*) > 0 AS queued FROM queued();
DROP FUNCTION work, change, seen_by_query;
REVOKE ALL ON SCHEMA public FROM regress_inval_owner;
REVOKE ALL ON FUNCTION inval_touch FROM regress_inval_toucher;
REVOKE ALL ON FUNCTION inval_key_right FROM regress_inval_monitor;
DROP ROLE regress_inval_few, regress_inval_reader, regress_inval_toucher, regress_inval_owner,
	regress_inval_monitor;
SELECT inval_drop_target('pending');
