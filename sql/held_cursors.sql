--
-- Cursors that are open while the rows under them change: those that their
-- transaction leaves behind are filled when it commits, before its keys are sent.
--
CREATE SCHEMA held;
SET search_path = held, public;
CREATE TABLE doc (id integer PRIMARY KEY, team_id integer, n integer DEFAULT 0);
INSERT INTO doc SELECT i, i FROM generate_series(1, 4) i;
SELECT inval_track('doc', 'team_id') IS NOT NULL AS tracked;
BEGIN;
DECLARE held CURSOR WITH HOLD FOR SELECT id FROM doc ORDER BY id;
FETCH 1 FROM held;
UPDATE doc SET n = 1 WHERE id = 2;
COMMIT;
SELECT * FROM queued();
-- It goes on with what it has seen; changes are captured as ever.
UPDATE doc SET team_id = team_id + 10;
SELECT * FROM queued();
FETCH 1 FROM held;
DELETE FROM doc WHERE id = 3;
SELECT * FROM queued();
TRUNCATE doc;
SELECT * FROM queued();
INSERT INTO doc VALUES (1, 21), (2, 22);
SELECT * FROM queued();
ALTER TABLE doc ALTER n TYPE text;
SELECT * FROM queued();
SELECT inval_track('doc', key => 'n:{n}') IS NOT NULL AS tracked;
DROP TABLE doc;
SELECT * FROM queued();
FETCH ALL FROM held;
CLOSE held;

-- The row under a cursor, and rows that are changed by filling one at the commit
CREATE TABLE doc (id integer PRIMARY KEY, team_id integer, n integer DEFAULT 0);
INSERT INTO doc SELECT i, i FROM generate_series(1, 4) i;
SELECT inval_track('doc', 'team_id') IS NOT NULL AS tracked;
CREATE TABLE tag (id integer);
SELECT inval_track('tag', key => 'tag:{team_id}', via => 'SELECT team_id FROM doc WHERE id = {id}') IS NOT NULL AS tracked;
CREATE FUNCTION bump(integer) RETURNS integer LANGUAGE sql AS $$
	INSERT INTO held.tag VALUES ($1);
	UPDATE held.doc SET team_id = team_id + 30 WHERE id = $1 RETURNING team_id
$$;
BEGIN;
DECLARE here CURSOR FOR SELECT id FROM doc ORDER BY id FOR UPDATE;
FETCH 2 FROM here;
UPDATE doc SET team_id = 32 WHERE CURRENT OF here;
FETCH 1 FROM here;
DELETE FROM doc WHERE CURRENT OF here;
COMMIT;
SELECT * FROM queued();
BEGIN;
DECLARE held CURSOR WITH HOLD FOR SELECT bump(id) FROM generate_series(1, 4) id;
COMMIT;
SELECT * FROM queued();
FETCH ALL FROM held;
SELECT * FROM queued();
-- One that fails then takes the transaction along.
BEGIN;
UPDATE doc SET n = 5 WHERE id = 4;
DECLARE bad CURSOR WITH HOLD FOR SELECT 1 / (id - 4) FROM doc ORDER BY id;
COMMIT;
SELECT * FROM queued();
CLOSE held;

RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA held CASCADE;
RESET client_min_messages;
SELECT count(*) > 0 AS dropped FROM queued();
