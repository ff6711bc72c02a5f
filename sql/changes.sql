--
-- Which changes of a row count, and whose keys they queue.
--
CREATE TABLE doc (id integer PRIMARY KEY, team_id integer, title text, body text,
	amount numeric, doubled integer GENERATED ALWAYS AS (team_id * 2) STORED);
SELECT inval_track('doc', 'team_id') IS NOT NULL AS tracked;

-- Without changes => every change of a row counts.
INSERT INTO doc VALUES (1, 1, 'a', 'b', 1.0);
SELECT * FROM queued();
UPDATE doc SET title = 'a';
SELECT * FROM queued();
UPDATE doc SET id = id WHERE false;
SELECT * FROM queued();
DELETE FROM doc;
SELECT * FROM queued();
-- Both keys of a row that moves
INSERT INTO doc VALUES (1, 1, 'a', 'b', 1.0), (2, 2, 'a', 'b', 1.0), (3, NULL, 'a', 'b', 1.0);
SELECT * FROM queued();
UPDATE doc SET team_id = 5 WHERE id = 1;
SELECT * FROM queued();
UPDATE doc SET team_id = NULL WHERE id = 1;
SELECT * FROM queued();
UPDATE doc SET team_id = 6 WHERE id = 1;
SELECT * FROM queued();
UPDATE doc SET title = 'c' WHERE team_id IS NULL;
SELECT * FROM queued();
DELETE FROM doc WHERE team_id IS NULL;
SELECT * FROM queued();
-- Keys there and back
BEGIN;
UPDATE doc SET team_id = 7 WHERE id = 1;
UPDATE doc SET team_id = 6 WHERE id = 1;
COMMIT;
SELECT * FROM queued();
-- A row that never was
BEGIN;
INSERT INTO doc VALUES (4, 100);
DELETE FROM doc WHERE id = 4;
COMMIT;
SELECT * FROM queued();
UPDATE doc SET team_id = team_id + 10;
SELECT * FROM queued();
SELECT inval_untrack('doc');

-- changes => : an UPDATE counts only if one of these columns changed.
TRUNCATE doc;
INSERT INTO doc VALUES (1, 1, 'a', 'b', 1.0);
SELECT inval_track('doc', 'team_id', changes => '{title,amount}') IS NOT NULL AS tracked;
UPDATE doc SET body = 'x';
SELECT * FROM queued();
UPDATE doc SET title = 'a', amount = 1.0, body = 'y';
SELECT * FROM queued();
UPDATE doc SET title = 'b';
SELECT * FROM queued();
UPDATE doc SET title = NULL;
SELECT * FROM queued();
UPDATE doc SET title = NULL;
SELECT * FROM queued();
UPDATE doc SET title = '';
SELECT * FROM queued();
-- What is equal and reads differently has changed.
UPDATE doc SET amount = 1.00;
SELECT * FROM queued();
-- The key column is not in the list, so its change alone does not count ...
UPDATE doc SET team_id = 2;
SELECT * FROM queued();
-- ... and together with one that does, both keys are queued.
UPDATE doc SET team_id = 3, title = 'c';
SELECT * FROM queued();
-- INSERT and DELETE always count.
INSERT INTO doc VALUES (2, 9);
SELECT * FROM queued();
DELETE FROM doc WHERE id = 2;
SELECT * FROM queued();
-- So does a generated column, of which the statement does not speak.
SELECT inval_track('doc', 'team_id', changes => '{doubled}') IS NOT NULL AS tracked;
UPDATE doc SET title = 'd';
SELECT * FROM queued();
UPDATE doc SET team_id = 4;
SELECT * FROM queued();
-- The list can be taken away again.
SELECT inval_track('doc', 'team_id') IS NOT NULL AS tracked;
UPDATE doc SET body = 'z';
SELECT * FROM queued();
SELECT inval_untrack('doc');

-- Values that are stored out of line or compressed: by what they are, not by
-- how they are stored.
ALTER TABLE doc ALTER body SET STORAGE EXTERNAL;
UPDATE doc SET body = repeat('long ', 2000), title = repeat('x', 10000);
SELECT inval_track('doc', 'id', changes => '{body}') IS NOT NULL AS tracked;
SELECT inval_track('doc', key => 'title:{title|md5}', changes => '{title}') IS NOT NULL AS tracked;
SELECT inval_track('doc', key => 'body:{body|md5}', changes => '{amount}') IS NOT NULL AS tracked;
UPDATE doc SET team_id = 5;
SELECT * FROM queued();
UPDATE doc SET body = repeat('long ', 2000), title = repeat('x', 10000);
SELECT * FROM queued();
UPDATE doc SET title = repeat('x', 9999) || 'y';
SELECT key = 'title:' || md5(repeat('x', 10000)) AS old,
	key = 'title:' || md5(repeat('x', 9999) || 'y') AS new FROM queued();
UPDATE doc SET body = body || '.';
SELECT * FROM queued();
-- An old value that the UPDATE leaves where it is, and a key made of it
UPDATE doc SET amount = 2;
SELECT key = 'body:' || md5(repeat('long ', 2000) || '.') AS right FROM queued();
SELECT inval_untrack('doc');

-- Columns added later have no value stored in old rows.
SELECT inval_track('doc', 'id') IS NOT NULL AS tracked;
ALTER TABLE doc ADD COLUMN added integer DEFAULT 5;
SELECT inval_track('doc', 'added', changes => '{added}') IS NOT NULL AS tracked;
UPDATE doc SET added = 5;
SELECT * FROM queued();
UPDATE doc SET added = 6;
SELECT * FROM queued();
SELECT inval_untrack('doc');

-- What other triggers make of a row is what counts.
CREATE FUNCTION move_row() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	NEW.team_id := NEW.team_id + 1000;
	RETURN NEW;
END
$$;
CREATE TRIGGER move BEFORE INSERT OR UPDATE ON doc
	FOR EACH ROW EXECUTE FUNCTION move_row();
SELECT inval_track('doc', 'team_id', changes => '{team_id}') IS NOT NULL AS tracked;
INSERT INTO doc (id, team_id) VALUES (10, 1);
SELECT * FROM queued();
UPDATE doc SET title = 'x' WHERE id = 10;
SELECT * FROM queued();
DROP TRIGGER move ON doc;
CREATE FUNCTION no_row() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER none BEFORE INSERT OR UPDATE OR DELETE ON doc
	FOR EACH ROW EXECUTE FUNCTION no_row();
UPDATE doc SET team_id = 0;
DELETE FROM doc;
SELECT * FROM queued();
SELECT inval_untrack('doc');
DROP TABLE doc;
DROP FUNCTION move_row(), no_row();
