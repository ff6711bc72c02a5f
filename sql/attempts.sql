--
-- What fails, or is cancelled, while a command looks at rules: it must leave no
-- subtransaction behind, which whoever catches the error would take for his own.
--
ALTER SEQUENCE inval_rule_id_seq RESTART 100;	-- for messages that have a rule's number
CREATE SCHEMA attempts;
SET search_path = attempts, public;
CREATE TABLE journal (x integer);
CREATE TABLE t (id integer);
INSERT INTO t VALUES (1);

-- A function that looks cancelled, and is not
CREATE FUNCTION f(integer) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
	IF current_setting('x.boom', true) = '1' THEN
		RAISE 'not really' USING errcode = '57014';
	END IF;
	RETURN 1;
END
$$;
SELECT inval_track('t', key => 'u:{x}', via => 'SELECT attempts.f({id}) AS x') IS NOT NULL AS tracked;
SET x.boom = '1';
BEGIN;
DROP TABLE t;
ROLLBACK;
-- A handler finds its own subtransaction, twice.
DO $$
BEGIN
	FOR i IN 1 .. 2 LOOP
		BEGIN
			DROP TABLE attempts.t;
			RAISE EXCEPTION 'dropped';
		EXCEPTION WHEN raise_exception THEN
			RAISE NOTICE '%', sqlerrm;
		END;
	END LOOP;
END
$$;
DROP TABLE t;
RESET x.boom;

-- One that is cancelled indeed, and waits for a lock in vain
CREATE TABLE slow (id integer);
INSERT INTO slow VALUES (1);
CREATE FUNCTION g(integer) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
	IF current_setting('x.sleep', true) = '1' THEN
		PERFORM pg_sleep(100);
	END IF;
	RETURN 1;
END
$$;
SELECT inval_track('slow', key => 's:{x}', via => 'SELECT attempts.g({id}) AS x') IS NOT NULL AS tracked;
SET x.sleep = '1';
SET statement_timeout = '100ms';
\set VERBOSITY terse
DROP TABLE slow;
\set VERBOSITY default
SELECT 1 AS alive;
RESET statement_timeout;
-- With a handler: what follows is a transaction of its own.
SET statement_timeout = '100ms';
DO $$
BEGIN
	BEGIN
		DROP TABLE attempts.slow;
	EXCEPTION WHEN query_canceled THEN
		RAISE NOTICE 'caught: %', sqlerrm;
	END;
	INSERT INTO attempts.journal VALUES (0);
END
$$;
RESET statement_timeout;
INSERT INTO journal VALUES (1);
\c -
SET search_path = attempts, public;
SELECT x FROM journal ORDER BY x;
SELECT to_regclass('attempts.slow') IS NOT NULL AS kept;

SELECT count(*) FROM queued();
SET client_min_messages = warning;
DROP SCHEMA attempts CASCADE;
RESET client_min_messages;
RESET search_path;
SELECT * FROM queued();
