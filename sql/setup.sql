--
-- The extension, its objects, and what the tests share.
--
-- No test needs Redis, and none may reach one: the target is a socket that
-- cannot exist, so keys stay queued, and the tests read the queue.
--
DO $$
BEGIN
	EXECUTE format('ALTER DATABASE %I SET inval.redis_url = %L',
				   current_database(), 'unix:///nonexistent/redis.sock');
END
$$;
\c -
SHOW inval.redis_url;
CREATE EXTENSION inval;
-- A worker comes by itself.
DO $$
BEGIN
	FOR i IN 1 .. 600 LOOP
		EXIT WHEN (SELECT worker_pid IS NOT NULL FROM inval_target_status);
		PERFORM pg_sleep(0.1);
	END LOOP;
END
$$;
SELECT worker_pid IS NOT NULL AS worker FROM inval_target_status;
SELECT inval_pause();

-- Everything that the extension brings, and what others than its owner may do
-- with it.  Row types, which come with their relations, are members from
-- version 17 on.
WITH member AS (
	SELECT d.classid, d.objid, i.type,
		coalesce(p.proname || '()', c.relname, i.identity) AS name,
		coalesce(c.relacl, p.proacl, acldefault('f', p.proowner),
				 acldefault('r', c.relowner)) AS acl
	FROM pg_depend d
		CROSS JOIN pg_identify_object(d.classid, d.objid, 0) i
		LEFT JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid
		LEFT JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
	WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
		AND d.classid <> 'pg_type'::regclass
		AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'inval'))
SELECT type, name,
	(SELECT string_agg(privilege_type, ', ') FROM aclexplode(acl)
	 WHERE grantee = 0) AS "PUBLIC",
	(SELECT string_agg(privilege_type, ', ') FROM aclexplode(acl)
	 WHERE grantee = 'pg_monitor'::regrole) AS pg_monitor,
	(SELECT string_agg(DISTINCT grantee::regrole::text, ', ') FROM aclexplode(acl)
	 WHERE grantee NOT IN (0, 'pg_monitor'::regrole, grantor)) AS others
FROM member
ORDER BY type COLLATE "C", name COLLATE "C";

-- Each of them is explained by a comment, and so is each column that users read.
SELECT pg_describe_object(d.classid, d.objid, 0) AS "without a comment"
FROM pg_depend d
WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
	AND d.classid <> 'pg_type'::regclass
	AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'inval')
	AND obj_description(d.objid, d.classid::regclass::name) IS NULL
UNION ALL
SELECT format('column %s.%s', a.attrelid::regclass, a.attname)
FROM pg_attribute a
WHERE a.attrelid IN ('inval_rule'::regclass, 'inval_queue'::regclass,
					 'inval_stats'::regclass, 'inval_target_status'::regclass,
					 'inval_var'::regclass, 'inval_guards'::regclass)
	AND a.attnum > 0 AND col_description(a.attrelid, a.attnum) IS NULL;

-- No function takes other rights than its caller's without fixing its search
-- path, and none may run in a parallel worker.
SELECT p.oid::regprocedure AS "unsafe function"
FROM pg_proc p
WHERE p.proname LIKE 'inval%'
	AND (p.prosecdef AND p.proconfig IS NULL OR p.proparallel <> 'u');

-- No dump has to carry rows of it: rules are in the schema, and what is queued is not copied.
SELECT unnest(extconfig)::regclass AS dumped FROM pg_extension
WHERE extname = 'inval';

--
-- What the tests share
--
-- Waits until the worker has looked up once more what committed transactions
-- have left to it.
CREATE FUNCTION looked() RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
	WHILE EXISTS (
		SELECT FROM (
			SELECT xid, lane FROM inval_outbox_0 UNION ALL SELECT xid, lane FROM inval_outbox_1 UNION ALL
			SELECT xid, lane FROM inval_outbox_2 UNION ALL SELECT xid, lane FROM inval_outbox_3 UNION ALL
			SELECT xid, lane FROM inval_outbox_4 UNION ALL SELECT xid, lane FROM inval_outbox_5) o
		WHERE lane = 'l' AND xid IS DISTINCT FROM pg_current_xact_id_if_assigned())
	LOOP
		PERFORM pg_sleep(0.01);
	END LOOP;
END $$;

-- The invalidations queued since the last call.  One that was queued twice
-- is shown twice.
CREATE TABLE seen (id bigint PRIMARY KEY);
CREATE FUNCTION queued(OUT key text, OUT field text) RETURNS SETOF record
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
BEGIN
	PERFORM looked();
	RETURN QUERY WITH fresh AS (
		SELECT q.id, q.key, q.field FROM inval_queue q
		WHERE NOT EXISTS (SELECT FROM seen s WHERE s.id = q.id)),
	noted AS (INSERT INTO seen SELECT f.id FROM fresh f)
	SELECT f.key, f.field FROM fresh f
	ORDER BY f.key COLLATE "C", f.field COLLATE "C" NULLS FIRST;
END $$;

-- What a rule is, without its number.
CREATE VIEW rules AS
	SELECT relation, key, field, action, delivery, changes, targets, state
	FROM inval_rule;

-- The triggers that capture a table's changes ("A": enabled always).
CREATE FUNCTION triggers_of(regclass, OUT name name, OUT enabled "char")
RETURNS SETOF record LANGUAGE sql AS $$
	SELECT tgname, tgenabled FROM pg_trigger
	WHERE tgrelid = $1 AND NOT tgisinternal AND tgname !~ '^00_inval_rule_'
	ORDER BY tgname
$$;

-- What calls give, each in its own transaction so to say: the error in full,
-- or the result, after which the call is undone.
CREATE FUNCTION outcome(VARIADIC calls text[]) RETURNS SETOF text
LANGUAGE plpgsql AS $$
DECLARE
	call text;
	result text;
	said text;
	detail text;
	hint text;
BEGIN
	FOREACH call IN ARRAY calls LOOP
		RETURN NEXT call;
		BEGIN
			EXECUTE 'SELECT ' || call INTO result;
			RAISE EXCEPTION USING errcode = 'UNDO1';
		EXCEPTION
			WHEN SQLSTATE 'UNDO1' THEN
				RETURN NEXT '    gives ' || coalesce(quote_literal(result), 'NULL');
			WHEN OTHERS THEN
				GET STACKED DIAGNOSTICS said = MESSAGE_TEXT,
					detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
				RETURN NEXT format('    %s: %s', SQLSTATE, said);
				-- What a server says further of missing functions is its version's.
				CONTINUE WHEN SQLSTATE = '42883';
				IF detail <> '' THEN
					RETURN NEXT '    DETAIL: ' || detail;
				END IF;
				IF hint <> '' THEN
					RETURN NEXT '    HINT: ' || hint;
				END IF;
		END;
	END LOOP;
END
$$;
