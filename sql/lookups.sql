--
-- How often rules look things up: each parent once in a transaction, and only
-- where it matters.
--
CREATE TABLE parent (id int PRIMARY KEY, team_id int);
CREATE TABLE child (id int PRIMARY KEY, parent_id int REFERENCES parent, kind text, note text);
INSERT INTO parent SELECT g, g % 7 FROM generate_series(1, 1000) g;
INSERT INTO child SELECT g, 1 + g % 1000, 'k' FROM generate_series(1, 100000) g;
ANALYZE parent, child;
SELECT inval_track('child', key => '{kind}:{parent_id.team_id}', changes => '{note}') AS rule \gset

-- Scans of the parent by this session, as far as they are not reported yet.
-- Where they are counted, foreign keys do not check.
CREATE FUNCTION lookups() RETURNS bigint LANGUAGE sql AS
	$$ SELECT pg_stat_get_xact_numscans('parent'::regclass)
	   + pg_stat_get_xact_numscans('parent_pkey'::regclass) $$;

-- 100,000 rows under 1,000 parents: nothing is looked up before the commit,
BEGIN;
SET LOCAL session_replication_role = replica;
SELECT lookups() AS before \gset
UPDATE child SET note = 'a';
UPDATE child SET note = 'b';
SELECT lookups() - :before AS lookups;
COMMIT;
SELECT * FROM queued();

-- A parent whose row this transaction changes is looked up as it is now, and as
-- it was before.
BEGIN;
UPDATE parent SET team_id = 8 WHERE id = 5;
UPDATE child SET note = 'c' WHERE parent_id = 5;
COMMIT;
SELECT * FROM queued();

-- No look-up: an UPDATE that does not count, and a row that feeds no key anyway
BEGIN;
SET LOCAL session_replication_role = replica;
SELECT lookups() AS before \gset
UPDATE child SET kind = NULL WHERE id <= 1000;
SELECT lookups() - :before AS lookups;
UPDATE child SET note = 'd' WHERE id <= 1000;
SELECT lookups() - :before AS lookups;
COMMIT;

DROP FUNCTION lookups();
SELECT inval_untrack('child');
DROP TABLE child, parent;
SELECT * FROM queued();
