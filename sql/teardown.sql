--
-- DROP EXTENSION takes the triggers along, and leaves a session that can go on.
--
CREATE TABLE last_one (id integer PRIMARY KEY, team_id integer);
SELECT inval_track('last_one', 'team_id') IS NOT NULL AS tracked;
INSERT INTO last_one VALUES (1, 1);
SELECT * FROM queued() WHERE key LIKE 'last_one:%';

DROP VIEW rules;
SET client_min_messages = error;	-- how much is queued depends on the other tests
DROP EXTENSION inval;
RESET client_min_messages;
SELECT * FROM triggers_of('last_one');
UPDATE last_one SET team_id = 2;
TRUNCATE last_one;
SELECT relname FROM pg_class WHERE relname LIKE 'inval%';
SELECT proname FROM pg_proc WHERE proname LIKE 'inval%';

-- In a transaction that is rolled back, and with uncommitted changes of
-- tracked rows.
CREATE EXTENSION inval;
SELECT inval_pause();
SELECT inval_track('last_one', 'team_id') IS NOT NULL AS tracked;
BEGIN;
INSERT INTO last_one VALUES (3, 3);
DROP EXTENSION inval;
INSERT INTO last_one VALUES (4, 4);
ROLLBACK;
INSERT INTO last_one VALUES (5, 5);
SELECT key FROM inval_queue;
-- The queue goes with the extension, and what this transaction owes; but it says
-- so.
BEGIN;
INSERT INTO last_one VALUES (6, 6);
DROP EXTENSION inval;
COMMIT;
SELECT * FROM last_one;

-- It may live in another schema, even one that needs quotes and is on nobody's
-- search path, and moves nowhere from there.
CREATE SCHEMA "in Val";
CREATE EXTENSION inval SCHEMA "in Val";
SELECT "in Val".inval_pause();
SELECT "in Val".inval_track('last_one', 'team_id') IS NOT NULL AS tracked;
UPDATE last_one SET team_id = 7;
TRUNCATE last_one;
SELECT key FROM "in Val".inval_queue ORDER BY key;
SELECT key FROM "in Val".inval_preview('last_one');
ALTER EXTENSION inval SET SCHEMA public;
SELECT "in Val".inval_untrack('last_one');
SELECT * FROM triggers_of('last_one');
DROP EXTENSION inval;
DROP SCHEMA "in Val";

DROP TABLE last_one, seen;
DROP FUNCTION queued(), triggers_of(regclass), outcome(text[]);
DO $$
BEGIN
	EXECUTE format('ALTER DATABASE %I RESET inval.redis_url', current_database());
END
$$;
