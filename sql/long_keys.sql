--
-- What is too long to be a key: skipped, counted, and said once per statement.
--
CREATE TABLE long_name (id integer PRIMARY KEY, name text, part integer DEFAULT 0);
CREATE TABLE long_fine (id integer PRIMARY KEY, name text);
SELECT setval('inval_rule_id_seq', 4000);
SELECT inval_track('long_name', key => 'l:{name}') AS rule \gset
SELECT inval_track('long_fine', key => 'l:{name}') IS NOT NULL AS tracked;
-- 7,500 bytes, one more, and as many characters
INSERT INTO long_name VALUES (1, repeat('a', 7498));
INSERT INTO long_name VALUES (2, repeat('b', 7499));
INSERT INTO long_name VALUES (3, repeat('é', 3749)), (4, repeat('é', 3750));
SELECT left(key, 3), octet_length(key) FROM queued();
-- However many rows there are, there is one warning with their number.
INSERT INTO long_name SELECT n, repeat('c', 8000) FROM generate_series(11, 30) n;
UPDATE long_name SET name = name || 'd' WHERE id > 10;
DELETE FROM long_name WHERE id > 20;
COPY long_name (id, name) FROM PROGRAM 'head -c 8000 /dev/zero | tr "\0" e | sed "s/^/41\t/"';
DO $$
BEGIN
	FOR i IN 51 .. 60 LOOP
		INSERT INTO long_name VALUES (i, repeat('f', 8000));
	END LOOP;
END
$$;
-- One for each rule; also for those that give many keys, and for one in a trigger
SELECT inval_track('long_name', key => 'i:{id}', field => '{name}') IS NOT NULL AS tracked;
INSERT INTO long_name SELECT n, repeat('g', 7492 + n) FROM generate_series(5, 7) n;
CREATE FUNCTION also_fine() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO long_fine VALUES (new.id, new.name);
	RETURN NULL;
END
$$;
CREATE TRIGGER also_fine AFTER INSERT ON long_name FOR EACH ROW EXECUTE FUNCTION also_fine();
INSERT INTO long_name SELECT n, repeat('h', 8000) FROM generate_series(61, 63) n;
-- In a transaction each statement has its own; one that fails or is rolled back
-- has none.
BEGIN;
INSERT INTO long_fine VALUES (1, repeat('i', 8000));
INSERT INTO long_fine VALUES (2, repeat('i', 8000)), (3, repeat('i', 8000));
SAVEPOINT a;
INSERT INTO long_fine VALUES (4, repeat('i', 8000)), (4, '');
ROLLBACK TO a;
COMMIT;
INSERT INTO long_fine VALUES (5, repeat('i', 8000)), (6, '');
DO $$
BEGIN
	INSERT INTO long_fine VALUES (7, repeat('i', 8000));
	INSERT INTO long_fine VALUES (8, repeat('i', 8000));
	COMMIT;
	INSERT INTO long_fine VALUES (9, repeat('i', 8000));
END
$$;
-- Those that look something up at the end of the transaction
CREATE TABLE long_owner (id integer PRIMARY KEY, name text);
CREATE TABLE long_owned (id integer REFERENCES long_owner DEFERRABLE INITIALLY DEFERRED);
SELECT inval_track('long_owned', key => 'o:{id.name}') IS NOT NULL AS tracked;
BEGIN;
INSERT INTO long_owned VALUES (1), (1);
INSERT INTO long_owner VALUES (1, repeat('j', 8000));
COMMIT;
-- Whole tables
SELECT count(*) FROM inval_preview('long_name', 100);
ALTER TABLE long_name ALTER part TYPE bigint;
TRUNCATE long_owned;
DROP TABLE long_name;
SELECT count(*) FROM queued();
-- They are counted as skipped, row by row.
SELECT rows_seen, keys_queued, skipped FROM inval_stats WHERE rule = :rule;
-- By hand it is an error.
SELECT * FROM outcome(
	$$inval_touch(repeat('k', 7500))$$,
	$$inval_touch(repeat('k', 7501))$$,
	$$inval_touch(repeat('k', 7000), field => repeat('l', 500))$$,
	$$inval_touch(repeat('k', 7000), field => repeat('l', 501))$$,
	$$inval_touch(repeat('é', 3751))$$);
-- So is a rule that would skip every row.
SELECT * FROM outcome(
	$$inval_track('long_fine', key => repeat('x', 7501) || '{id}')$$,
	$$inval_track('long_fine', key => repeat('x', 7000) || '{id}', field => repeat('y', 501))$$);
DROP TABLE long_owned, long_owner, long_fine;
SELECT count(*) FROM queued();
DROP FUNCTION also_fine();
