--
-- Only what is committed is queued: savepoints and exception blocks, however
-- deep, in memory and when the set has outgrown it.
--
CREATE TABLE item (id integer PRIMARY KEY, team_id integer);
SELECT inval_track('item', 'id') IS NOT NULL AS tracked;

-- Everything or nothing
BEGIN;
INSERT INTO item VALUES (1), (2);
ROLLBACK;
SELECT * FROM queued();
BEGIN;
INSERT INTO item VALUES (1), (2);
COMMIT;
SELECT * FROM queued();
-- A statement that fails half-way
INSERT INTO item VALUES (3), (4), (1);
SELECT * FROM queued();
-- A deferred constraint that fails at COMMIT
ALTER TABLE item ADD CONSTRAINT late UNIQUE (team_id) DEFERRABLE INITIALLY DEFERRED;
BEGIN;
INSERT INTO item VALUES (3, 1), (4, 1);
COMMIT;
SELECT * FROM queued();
ALTER TABLE item DROP CONSTRAINT late;

-- ROLLBACK TO
BEGIN;
INSERT INTO item VALUES (10);
SAVEPOINT a;
INSERT INTO item VALUES (11);
ROLLBACK TO a;
INSERT INTO item VALUES (12);
ROLLBACK TO a;
INSERT INTO item VALUES (13);
COMMIT;
SELECT * FROM queued();

-- RELEASE
BEGIN;
SAVEPOINT a;
INSERT INTO item VALUES (20);
SAVEPOINT b;
INSERT INTO item VALUES (21);
RELEASE b;
SAVEPOINT c;
INSERT INTO item VALUES (22);
ROLLBACK TO c;
RELEASE a;
INSERT INTO item VALUES (23);
COMMIT;
SELECT * FROM queued();

-- What was released into an outer savepoint goes with that one.
BEGIN;
INSERT INTO item VALUES (30);
SAVEPOINT a;
INSERT INTO item VALUES (31);
SAVEPOINT b;
INSERT INTO item VALUES (32);
SAVEPOINT c;
INSERT INTO item VALUES (33);
RELEASE c;
RELEASE b;
ROLLBACK TO a;
INSERT INTO item VALUES (34);
COMMIT;
SELECT * FROM queued();

-- Levels that queue nothing in between
BEGIN;
SAVEPOINT a;
SAVEPOINT b;
SAVEPOINT c;
INSERT INTO item VALUES (40);
RELEASE c;
SAVEPOINT d;
INSERT INTO item VALUES (41);
ROLLBACK TO d;
RELEASE b;
SAVEPOINT e;
SAVEPOINT f;
INSERT INTO item VALUES (42);
RELEASE f;
ROLLBACK TO e;
COMMIT;
SELECT * FROM queued();
BEGIN;
SAVEPOINT a;
SAVEPOINT b;
INSERT INTO item VALUES (43);
RELEASE b;
ROLLBACK TO a;
COMMIT;
SELECT * FROM queued();

-- A key that was first seen inside: gone with the savepoint, unless it is seen
-- again outside.
BEGIN;
SAVEPOINT a;
UPDATE item SET team_id = 1 WHERE id = 1;
ROLLBACK TO a;
UPDATE item SET team_id = 2 WHERE id = 2;
COMMIT;
SELECT * FROM queued();
BEGIN;
SAVEPOINT a;
UPDATE item SET team_id = 1 WHERE id = 1;
ROLLBACK TO a;
UPDATE item SET team_id = 2 WHERE id = 1;
COMMIT;
SELECT * FROM queued();
-- One that was first seen outside stays.
BEGIN;
UPDATE item SET team_id = 1 WHERE id = 1;
SAVEPOINT a;
UPDATE item SET team_id = 2 WHERE id = 1;
ROLLBACK TO a;
COMMIT;
SELECT * FROM queued();
-- The same where the transaction has queued something before
BEGIN;
UPDATE item SET team_id = 1 WHERE id = 10;
SAVEPOINT a;
UPDATE item SET team_id = 1 WHERE id IN (1, 2, 12, 13);
ROLLBACK TO a;
UPDATE item SET team_id = 2 WHERE id = 13;
UPDATE item SET team_id = 2 WHERE id = 2;
COMMIT;
SELECT * FROM queued();
BEGIN;
UPDATE item SET team_id = 1 WHERE id = 10;
SAVEPOINT a;
UPDATE item SET team_id = 1 WHERE id = 1;
SAVEPOINT b;
UPDATE item SET team_id = 1 WHERE id = 2;
ROLLBACK TO b;
UPDATE item SET team_id = 2 WHERE id = 2;
ROLLBACK TO a;
UPDATE item SET team_id = 2 WHERE id = 2;
UPDATE item SET team_id = 2 WHERE id = 1;
COMMIT;
SELECT * FROM queued();
-- In a savepoint, rolled back in one inside, kept in another
BEGIN;
SAVEPOINT a;
SAVEPOINT b;
UPDATE item SET team_id = 1 WHERE id IN (1, 2);
ROLLBACK TO b;
SAVEPOINT c;
UPDATE item SET team_id = 1 WHERE id = 2;
RELEASE c;
RELEASE a;
COMMIT;
SELECT * FROM queued();

-- Whole transactions of savepoints that come to nothing
BEGIN;
SAVEPOINT a;
INSERT INTO item VALUES (50);
ROLLBACK TO a;
COMMIT;
SELECT * FROM queued();
BEGIN;
SAVEPOINT a;
INSERT INTO item VALUES (50);
RELEASE a;
ROLLBACK;
SELECT * FROM queued();
-- An error in a savepoint
BEGIN;
INSERT INTO item VALUES (51);
SAVEPOINT a;
INSERT INTO item VALUES (52), (51);
ROLLBACK TO a;
INSERT INTO item VALUES (53);
COMMIT;
SELECT * FROM queued();

-- PL/pgSQL exception blocks, nested
DO $$
BEGIN
	INSERT INTO item VALUES (60);
	BEGIN
		INSERT INTO item VALUES (61);
		BEGIN
			INSERT INTO item VALUES (62);
			RAISE division_by_zero;
		EXCEPTION WHEN division_by_zero THEN
			INSERT INTO item VALUES (63);
		END;
		BEGIN
			INSERT INTO item VALUES (64);
		EXCEPTION WHEN OTHERS THEN NULL;
		END;
		BEGIN
			INSERT INTO item VALUES (65), (60);
		EXCEPTION WHEN unique_violation THEN NULL;
		END;
	END;
	BEGIN
		INSERT INTO item VALUES (66);
		BEGIN
			INSERT INTO item VALUES (67);
		EXCEPTION WHEN OTHERS THEN NULL;
		END;
		RAISE division_by_zero;
	EXCEPTION WHEN division_by_zero THEN NULL;
	END;
END
$$;
SELECT * FROM queued();
-- To a depth that nobody nests by hand: every third level fails.
CREATE FUNCTION nest(level integer, depth integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO item VALUES (1000 + level);
	IF level < depth THEN
		BEGIN
			PERFORM nest(level + 1, depth);
		EXCEPTION WHEN division_by_zero THEN
			INSERT INTO item VALUES (2000 + level);
		END;
	END IF;
	IF level % 3 = 0 THEN
		RAISE division_by_zero;
	END IF;
END
$$;
SELECT nest(1, 100);
SELECT * FROM queued();
SELECT id FROM item WHERE id > 1000;
-- One after the other, every other one fails.
DO $$
BEGIN
	FOR i IN 3001 .. 4000 LOOP
		BEGIN
			INSERT INTO item VALUES (i);
			IF i % 2 = 0 THEN
				RAISE division_by_zero;
			END IF;
		EXCEPTION WHEN division_by_zero THEN NULL;
		END;
	END LOOP;
END
$$;
SELECT count(*), count(DISTINCT key), bool_and(substring(key, 6)::integer % 2 = 1) AS odd
FROM queued();
-- COMMIT and ROLLBACK in a procedure
DO $$
BEGIN
	FOR i IN 70 .. 75 LOOP
		INSERT INTO item VALUES (i);
		IF i % 2 = 0 THEN COMMIT; ELSE ROLLBACK; END IF;
	END LOOP;
END
$$;
SELECT * FROM queued();

--
-- The same with sets that outgrow inval.pending_memory.  They go to the
-- queue early, as rows of the subtransaction they belong to.  A key may then
-- be queued more than once, never less.
--
SET inval.pending_memory = '64kB';
-- What should be in the queue and is not; what is and should not be.
CREATE FUNCTION compare(expected int4multirange, OUT keys bigint, OUT missing bigint, OUT extra bigint)
LANGUAGE sql AS $$
	WITH got AS MATERIALIZED (SELECT DISTINCT substring(key, 6)::integer AS id FROM queued()),
	want AS (SELECT generate_series(lower(r), upper(r) - 1) AS id FROM unnest(expected) r)
	SELECT (SELECT count(*) FROM got),
		(SELECT count(*) FROM (SELECT id FROM want EXCEPT SELECT id FROM got) m),
		(SELECT count(*) FROM (SELECT id FROM got EXCEPT SELECT id FROM want) e)
$$;

INSERT INTO item SELECT generate_series(100001, 120000);
SELECT * FROM compare('{[100001,120001)}');
BEGIN;
INSERT INTO item SELECT generate_series(200001, 220000);
ROLLBACK;
SELECT * FROM compare('{}');
-- A savepoint that spills and is rolled back
BEGIN;
INSERT INTO item SELECT generate_series(200001, 200010);
SAVEPOINT a;
INSERT INTO item SELECT generate_series(210001, 230000);
ROLLBACK TO a;
INSERT INTO item SELECT generate_series(230001, 230010);
COMMIT;
SELECT * FROM compare('{[200001,200011),[230001,230011)}');
-- One that is released, and one that is rolled back within one that is not
BEGIN;
INSERT INTO item SELECT generate_series(300001, 310000);
SAVEPOINT a;
INSERT INTO item SELECT generate_series(310001, 320000);
SAVEPOINT b;
INSERT INTO item SELECT generate_series(320001, 330000);
ROLLBACK TO b;
INSERT INTO item SELECT generate_series(330001, 340000);
RELEASE a;
SAVEPOINT c;
INSERT INTO item SELECT generate_series(340001, 350000);
RELEASE c;
COMMIT;
SELECT * FROM compare('{[300001,320001),[330001,350001)}');
-- Released into one that is rolled back
BEGIN;
INSERT INTO item SELECT generate_series(400001, 400010);
SAVEPOINT a;
SAVEPOINT b;
INSERT INTO item SELECT generate_series(400011, 420000);
RELEASE b;
INSERT INTO item SELECT generate_series(420001, 440000);
ROLLBACK TO a;
COMMIT;
SELECT * FROM compare('{[400001,400011)}');
-- A key that a rolled-back savepoint has spilled, seen again outside; and one
-- that was spilled outside, seen again in a savepoint that is rolled back
BEGIN;
SAVEPOINT a;
INSERT INTO item SELECT generate_series(500001, 520000);
ROLLBACK TO a;
INSERT INTO item SELECT generate_series(500001, 520000);
SAVEPOINT b;
UPDATE item SET team_id = 1 WHERE id BETWEEN 500001 AND 520000;
ROLLBACK TO b;
COMMIT;
SELECT * FROM compare('{[500001,520001)}');
-- Many keys in memory before and after, and many that are rolled back between
BEGIN;
INSERT INTO item SELECT generate_series(520001, 521000);
SAVEPOINT a;
INSERT INTO item SELECT generate_series(521001, 521500);
ROLLBACK TO a;
INSERT INTO item SELECT generate_series(521001, 522000);
SAVEPOINT b;
INSERT INTO item SELECT generate_series(522001, 530000);
ROLLBACK TO b;
INSERT INTO item SELECT generate_series(522001, 523000);
COMMIT;
SELECT * FROM compare('{[520001,523001)}');
-- Exception blocks
DO $$
BEGIN
	FOR i IN 0 .. 9 LOOP
		BEGIN
			INSERT INTO item SELECT generate_series(600001 + i * 4000, 604000 + i * 4000);
			IF i % 2 = 0 THEN
				RAISE division_by_zero;
			END IF;
		EXCEPTION WHEN division_by_zero THEN NULL;
		END;
	END LOOP;
END
$$;
SELECT * FROM compare('{[604001,608001),[612001,616001),[620001,624001),[628001,632001),[636001,640001)}');
-- In the lane of the worker as well
SELECT inval_track('item', 'id', delivery => 'background') IS NOT NULL AS tracked;
BEGIN;
INSERT INTO item SELECT generate_series(700001, 720000);
SAVEPOINT a;
INSERT INTO item SELECT generate_series(720001, 740000);
ROLLBACK TO a;
COMMIT;
SELECT * FROM compare('{[700001,720001)}');
-- A rule in shadow has nothing to spill.
SELECT inval_track('item', 'id', state => 'shadow') IS NOT NULL AS tracked;
INSERT INTO item SELECT generate_series(800001, 820000);
SELECT * FROM compare('{}');
RESET inval.pending_memory;

SELECT inval_untrack('item');
DROP FUNCTION compare(int4multirange), nest(integer, integer);
DROP TABLE item;
