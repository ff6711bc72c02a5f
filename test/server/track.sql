--
-- Tracks everything that is created from now on in this database: tables,
-- partitions, foreign tables and materialized views, as they are created.
-- What keys they get says the variable "keys":
--
--   constant  a key that names no column
--   column    a key of the first column
--   path      a constant key, and one along each foreign key of one column
--
-- ALTER TABLE ... DROP would be refused for what a key names, so it is met by a
-- table without rules, which gets new ones afterwards.
--
-- Whoever creates a table makes its rules.  What cannot be tracked is told to
-- the server log only.
--
CREATE SCHEMA inval;
GRANT USAGE ON SCHEMA inval TO PUBLIC;
CREATE EXTENSION inval SCHEMA inval;

CREATE FUNCTION inval.server_test_track(relation regclass, template text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM inval.inval_rule_rows() r
				   WHERE r.relation = server_test_track.relation AND r.key = template)
	THEN
		PERFORM inval.inval_track(relation, key => template);
	END IF;
EXCEPTION WHEN others THEN
	RAISE LOG 'not tracked: % with %: % (%)', relation, template, SQLERRM, SQLSTATE;
END
$$;

-- Which templates a table gets.
CREATE FUNCTION inval.server_test_templates(relation regclass, keys text)
RETURNS SETOF text LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT 't' || relation::oid || CASE keys WHEN 'column' THEN coalesce(
		(SELECT format(':{%s|sha256}', attname) FROM pg_attribute
		 WHERE attrelid = relation AND attnum > 0 AND NOT attisdropped
		 ORDER BY attnum LIMIT 1), '') ELSE '' END
	UNION ALL
	SELECT format('t%s:{%s.%s}', relation::oid, a.attname, b.attname)
	FROM pg_constraint c
		JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
		JOIN pg_attribute b ON b.attrelid = c.confrelid AND b.attnum > 0 AND NOT b.attisdropped
	WHERE keys = 'path' AND c.contype = 'f' AND c.conparentid = 0
		AND c.conrelid = relation AND array_length(c.conkey, 1) = 1
		AND b.attnum = (SELECT max(attnum) FROM pg_attribute
						WHERE attrelid = c.confrelid AND NOT attisdropped)
$$;

CREATE FUNCTION inval.server_test_on_ddl() RETURNS event_trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	relation regclass;
	template text;
BEGIN
	FOR relation IN
		SELECT DISTINCT c.objid FROM pg_event_trigger_ddl_commands() c
			JOIN pg_class r ON r.oid = c.objid
		WHERE c.classid = 'pg_class'::regclass AND NOT c.in_extension
			AND r.relkind IN ('r', 'p', 'f', 'm')
			AND c.command_tag IN ('CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO',
								  'CREATE FOREIGN TABLE', 'CREATE MATERIALIZED VIEW', 'ALTER TABLE')
		ORDER BY 1
	LOOP
		FOR template IN
			SELECT inval.server_test_templates(relation, current_setting('server_test.keys'))
		LOOP
			PERFORM inval.server_test_track(relation, template);
		END LOOP;
	END LOOP;
END
$$;
CREATE EVENT TRIGGER inval_server_test ON ddl_command_end
	EXECUTE FUNCTION inval.server_test_on_ddl();

-- The name is to be found as the command finds it.
CREATE FUNCTION inval.server_test_before_drop() RETURNS event_trigger
LANGUAGE plpgsql AS $$
DECLARE
	relation regclass;
BEGIN
	FOR relation IN
		WITH RECURSIVE member (oid) AS (
			SELECT to_regclass(m[1])::oid FROM regexp_matches(current_query(),
				'alter\s+(?:foreign\s+)?table\s+(?:if\s+exists\s+)?(?:only\s+)?([\w.]+)[\s*][^;]*\mdrop\M', 'gi') m
			UNION
			SELECT i.inhrelid FROM pg_inherits i JOIN member m ON i.inhparent = m.oid)
		SELECT m.oid FROM member m
		WHERE current_setting('server_test.keys') <> 'constant' AND EXISTS (
			SELECT FROM pg_trigger t WHERE t.tgrelid = m.oid AND t.tgname ~ '^00_inval_rule_')
	LOOP
		PERFORM inval.inval_untrack(relation);
	END LOOP;
EXCEPTION WHEN others THEN
	RAISE LOG 'not untracked: % (%)', SQLERRM, SQLSTATE;
END
$$;
CREATE EVENT TRIGGER inval_server_test_drop ON ddl_command_start
	WHEN TAG IN ('ALTER TABLE', 'ALTER FOREIGN TABLE')
	EXECUTE FUNCTION inval.server_test_before_drop();

SELECT format('ALTER DATABASE %I SET server_test.keys = %L', current_database(), :'keys')
\gexec
