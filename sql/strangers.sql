--
-- What each kind of role can do with each object of the extension, and who can
-- set what.  Whatever is added shows up here.
--
-- A stranger has no rights; an owner owns a table and nothing else; a monitor is
-- a member of pg_monitor; the database belongs to one who is no superuser.
--
CREATE ROLE regress_inval_stranger;
CREATE ROLE regress_inval_owner;
CREATE ROLE regress_inval_monitor IN ROLE pg_monitor;
CREATE ROLE regress_inval_dba;
CREATE SCHEMA own AUTHORIZATION regress_inval_owner;
DO $$ BEGIN
	EXECUTE format('ALTER DATABASE %I OWNER TO regress_inval_dba', current_database());
END $$;

-- Nothing of the extension belongs to any of them, so what they can do is what
-- they were granted, or PUBLIC was.  Row types come with their relations, and
-- are members in some versions only; all can use them, as those of any table.
CREATE VIEW member AS
WITH found AS (
	SELECT d.classid, d.objid FROM pg_depend d
	WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
		AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'inval'))
SELECT f.classid, f.objid, i.type, coalesce(p.proname || '()', i.name, i.identity) AS name
FROM found f CROSS JOIN pg_identify_object(f.classid, f.objid, 0) i
	LEFT JOIN pg_proc p ON f.classid = 'pg_proc'::regclass AND p.oid = f.objid
WHERE f.classid <> 'pg_type'::regclass
UNION
SELECT 'pg_type'::regclass, c.reltype, 'row type', c.relname
FROM found f JOIN pg_class c ON f.classid = 'pg_class'::regclass AND c.oid = f.objid
WHERE c.reltype <> 0
UNION
SELECT f.classid, f.objid, 'type', t.typname
FROM found f JOIN pg_type t ON f.classid = 'pg_type'::regclass AND t.oid = f.objid
WHERE t.typrelid = 0 AND t.typelem = 0;

CREATE FUNCTION rights(role text, class oid, object oid, type text) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(p.name, ', ' ORDER BY p.number)
	FROM unnest('{SELECT,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER,USAGE,EXECUTE}'::text[])
		WITH ORDINALITY p (name, number)
	WHERE CASE
		WHEN class = 'pg_proc'::regclass THEN
			p.name = 'EXECUTE' AND has_function_privilege(role, object, 'EXECUTE')
		WHEN class = 'pg_foreign_data_wrapper'::regclass THEN
			p.name = 'USAGE' AND has_foreign_data_wrapper_privilege(role, object, 'USAGE')
		WHEN class = 'pg_foreign_server'::regclass THEN
			p.name = 'USAGE' AND has_server_privilege(role, object, 'USAGE')
		WHEN class = 'pg_type'::regclass THEN
			p.name = 'USAGE' AND has_type_privilege(role, object, 'USAGE')
		WHEN class <> 'pg_class'::regclass OR p.name = 'EXECUTE' THEN false
		WHEN type = 'sequence' THEN
			CASE WHEN p.name IN ('SELECT', 'UPDATE', 'USAGE') THEN
				has_sequence_privilege(role, object, p.name) END
		WHEN p.name = 'USAGE' THEN false
		WHEN p.name IN ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES') THEN
			has_any_column_privilege(role, object, p.name)
		ELSE has_table_privilege(role, object, p.name) END
$$;
SELECT type, name,
	rights('regress_inval_stranger', classid, objid, type) AS stranger,
	rights('regress_inval_owner', classid, objid, type) AS owner,
	rights('regress_inval_monitor', classid, objid, type) AS monitor,
	rights('regress_inval_dba', classid, objid, type) AS "database's owner"
FROM member ORDER BY type COLLATE "C", name COLLATE "C";
-- All of it belongs to the extension's owner, and no right can be passed on.
SELECT m.type, m.name FROM member m
	JOIN pg_shdepend s ON s.classid = m.classid AND s.objid = m.objid AND s.deptype = 'o'
		AND s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
WHERE s.refobjid <> (SELECT extowner FROM pg_extension WHERE extname = 'inval');
SELECT m.type, m.name, a.grantee
FROM member m
	LEFT JOIN pg_proc p ON m.classid = 'pg_proc'::regclass AND p.oid = m.objid
	LEFT JOIN pg_class c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid
	LEFT JOIN pg_foreign_server s ON m.classid = 'pg_foreign_server'::regclass AND s.oid = m.objid
	CROSS JOIN aclexplode(coalesce(p.proacl, c.relacl, s.srvacl)) a
WHERE a.is_grantable AND a.grantee <> (SELECT extowner FROM pg_extension WHERE extname = 'inval');

-- No function runs as its owner.  These do not run under the caller's search path.
SELECT m.name, p.prosecdef, p.proconfig FROM member m JOIN pg_proc p ON p.oid = m.objid
WHERE m.classid = 'pg_proc'::regclass AND (p.prosecdef OR p.proconfig IS NOT NULL)
ORDER BY m.name COLLATE "C";

-- Settings: a stranger sets one, and reads all but the URL.
SELECT name, context, vartype FROM pg_settings WHERE name LIKE 'inval.%' ORDER BY name;
SET SESSION AUTHORIZATION regress_inval_stranger;
SELECT count(*) AS readable FROM pg_settings WHERE name LIKE 'inval.%';
DO $$
DECLARE
	s record;
BEGIN
	FOR s IN SELECT name, setting FROM pg_settings WHERE name LIKE 'inval.%' ORDER BY name LOOP
		BEGIN
			PERFORM set_config(s.name, s.setting, true);
			RAISE NOTICE 'can set %', s.name;
		EXCEPTION WHEN insufficient_privilege OR cant_change_runtime_param THEN NULL;
		END;
	END LOOP;
END $$;
-- No setting of the namespace can be invented.
SET inval.nonsense = 1;
RESET SESSION AUTHORIZATION;

-- What everybody can call says nothing that the catalogs do not say to everybody:
-- a key template, a variable, which columns lead to which.  No row of a table is
-- shown to who may not read it.
CREATE TABLE own.secret (id integer, word text);
INSERT INTO own.secret VALUES (1, 'hunter2');
ALTER TABLE own.secret OWNER TO regress_inval_owner;
SELECT inval_track('own.secret', key => '{word}') AS rule \gset
GRANT USAGE ON SCHEMA own TO regress_inval_stranger, regress_inval_monitor, regress_inval_dba;
GRANT SELECT (id) ON own.secret TO regress_inval_monitor;
\set VERBOSITY default
SET SESSION AUTHORIZATION regress_inval_stranger;
SELECT inval_preview('own.secret');
SELECT inval_untrack('own.secret');
SELECT inval_untrack_rule(:rule);
SELECT inval_track('own.secret', 'id');
SELECT relation, key FROM inval_rule WHERE id = :rule;
SELECT * FROM inval_coverage('word');
SET SESSION AUTHORIZATION regress_inval_monitor;
SELECT inval_preview('own.secret');
SELECT inval_track('own.secret', 'id');
SET SESSION AUTHORIZATION regress_inval_dba;
SELECT inval_preview('own.secret');
SELECT inval_untrack('own.secret');
SELECT inval_touch('x');
DROP EXTENSION inval;
ALTER EXTENSION inval UPDATE;
ALTER EVENT TRIGGER inval_on_drop DISABLE;
ALTER SERVER inval_target_default OPTIONS (ADD region 'x');
GRANT USAGE ON FOREIGN SERVER inval_target_default TO regress_inval_owner WITH GRANT OPTION;
CREATE SERVER inval_target_mine TYPE 'target' FOREIGN DATA WRAPPER inval;
CREATE USER MAPPING FOR PUBLIC SERVER inval_target_default OPTIONS (url 'redis://elsewhere');
CREATE TABLE own.t (LIKE inval_outbox_0);
RESET SESSION AUTHORIZATION;

DO $$ BEGIN
	EXECUTE format('ALTER DATABASE %I OWNER TO %I', current_database(), session_user);
END $$;
SET client_min_messages = error;
DROP VIEW member;
DROP FUNCTION rights(text, oid, oid, text);
DROP SCHEMA own CASCADE;
DROP ROLE regress_inval_stranger, regress_inval_owner, regress_inval_monitor, regress_inval_dba;
SELECT count(*) FROM queued();
