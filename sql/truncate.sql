--
-- TRUNCATE fires no row trigger, and its rows' keys are queued all the same.
--
CREATE TABLE team (id integer PRIMARY KEY, name text);
CREATE TABLE doc (id serial PRIMARY KEY, team_id integer REFERENCES team, kind text);
CREATE TABLE other (id integer);
INSERT INTO team VALUES (1, 'a'), (2, 'b');
INSERT INTO doc (team_id, kind) VALUES (1, 'x'), (1, 'y'), (2, 'x'), (NULL, 'x');
INSERT INTO other VALUES (1);
SELECT inval_track('doc', 'team_id') IS NOT NULL AS tracked;
SELECT inval_track('doc', 'team_id', field => '{kind}', changes => '{kind}') IS NOT NULL AS tracked;
SELECT inval_track('doc', 'kind', state => 'off') IS NOT NULL AS tracked;
SELECT inval_track('team', 'id') IS NOT NULL AS tracked;
SELECT inval_track('other', 'id', delivery => 'background') IS NOT NULL AS tracked;

-- Rolled back
BEGIN;
TRUNCATE doc;
ROLLBACK;
SELECT * FROM queued();
SELECT count(*) FROM doc;
BEGIN;
INSERT INTO other VALUES (2);
SAVEPOINT a;
TRUNCATE doc, other;
ROLLBACK TO a;
COMMIT;
SELECT * FROM queued();

-- Refused: another table refers to it.
TRUNCATE team;
SELECT * FROM queued();

-- Rows that this transaction has just written, changed and removed
SELECT inval_stats_reset();
BEGIN;
INSERT INTO doc (team_id, kind) VALUES (2, 'new'), (2, 'gone');
UPDATE doc SET kind = 'changed' WHERE kind = 'y';
DELETE FROM doc WHERE kind = 'gone';
TRUNCATE doc RESTART IDENTITY;
COMMIT;
SELECT * FROM queued();
SELECT count(*) FROM doc;
-- The rule looked at what was changed and at what was there.
SELECT r.key, r.field, rows_seen, keys_queued, keys_coalesced, skipped
FROM inval_stats s JOIN inval_rule r ON r.id = s.rule
WHERE r.relation = 'doc'::regclass AND r.state = 'on' ORDER BY r.field NULLS FIRST;

-- An empty one
TRUNCATE doc;
SELECT * FROM queued();

-- CASCADE takes the tables along that refer to it, with their keys.
INSERT INTO doc (team_id, kind) VALUES (1, 'x'), (2, NULL);
SELECT count(*) FROM queued();
TRUNCATE team CASCADE;
SELECT * FROM queued();
SELECT count(*) FROM doc;

-- Several at once
INSERT INTO team VALUES (3);
INSERT INTO doc VALUES (3, 3, 'z');
SELECT count(*) FROM queued();
TRUNCATE other, doc, team;
SELECT * FROM queued();

-- By a function, and again in the same transaction
CREATE FUNCTION refill() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	TRUNCATE other;
	INSERT INTO other VALUES (10), (11);
	TRUNCATE other;
	INSERT INTO other VALUES (12);
END
$$;
SELECT refill();
SELECT * FROM queued();

-- In a transaction with an older snapshot, what is there now is what goes.
BEGIN ISOLATION LEVEL REPEATABLE READ;
INSERT INTO other VALUES (13);
TRUNCATE other;
COMMIT;
SELECT * FROM queued();

-- Many rows
INSERT INTO other SELECT generate_series(1, 30000);
SELECT count(*) FROM queued();
TRUNCATE other;
SELECT count(*), count(DISTINCT key) FROM queued();

SELECT inval_untrack('doc'), inval_untrack('team'), inval_untrack('other');
TRUNCATE team, doc, other;
SELECT * FROM queued();
DROP FUNCTION refill();
DROP TABLE doc, team, other;
