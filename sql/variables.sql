--
-- Variables of key templates: inval_set_var and inval_var.
--
SELECT * FROM inval_var;
SELECT inval_set_var('sha', 'a1b2');
SELECT * FROM inval_var;
-- Two releases are live while a deploy rolls, then one.
SELECT inval_set_var('sha', 'a1b2', 'c3d4');
SELECT inval_set_var('sha', VARIADIC '{c3d4}');
SELECT inval_set_var('region', 'eu');
SELECT inval_set_var('Region-2_x', 'us');
SELECT * FROM inval_var;
-- Any text can be a value.
SELECT inval_set_var('odd', '', ' ', 'NULL', 'a=b', 'a,b', '{x}', '"', '\', '''', 'ä', E'two\nlines');
SELECT cardinality("values"), "values" FROM inval_var WHERE name = 'odd';
SELECT inval_set_var('odd', VARIADIC array_agg(repeat('x', 1000) || i)) FROM generate_series(1, 64) i;
SELECT cardinality("values"), length(array_to_string("values", '')) FROM inval_var
WHERE name = 'odd';
SELECT inval_set_var('odd', VARIADIC '{}');
SELECT inval_set_var('odd', VARIADIC '{}');
SELECT name FROM inval_var;

-- They are as transactional as anything.
BEGIN;
SELECT inval_set_var('sha', 'e5f6');
SAVEPOINT s;
SELECT inval_set_var('sha', VARIADIC '{}');
SELECT inval_set_var('region', 'ap', 'eu');
SELECT * FROM inval_var;
ROLLBACK TO s;
SELECT * FROM inval_var;
ROLLBACK;
SELECT * FROM inval_var;

-- Wrong calls
\pset format unaligned
\pset tuples_only on
SELECT outcome(
	$$inval_set_var(NULL, 'x')$$,
	$$inval_set_var('', 'x')$$,
	$$inval_set_var(' ', 'x')$$,
	$$inval_set_var('$sha', 'x')$$,
	$$inval_set_var('{$sha}', 'x')$$,
	$$inval_set_var('git sha', 'x')$$,
	$$inval_set_var('gït', 'x')$$,
	$$inval_set_var(repeat('x', 40), 'x')$$,
	$$inval_set_var(repeat('x', 41), 'x')$$,
	$$inval_set_var('v')$$,
	$$inval_set_var('v', NULL)$$,
	$$inval_set_var('v', 'x', NULL)$$,
	$$inval_set_var('v', VARIADIC NULL)$$,
	$$inval_set_var('v', VARIADIC '{{a,b},{c,d}}')$$,
	$$inval_set_var('v', 'x', 'y', 'x')$$,
	$$inval_set_var('v', repeat('x', 1024))$$,
	$$inval_set_var('v', 'x', repeat('ä', 513))$$,
	$$inval_set_var('v', VARIADIC array(SELECT i::text FROM generate_series(1, 65) i))$$,
	$$inval_set_var('unset', VARIADIC '{}')$$);
\pset tuples_only off
\pset format aligned
BEGIN READ ONLY;
SELECT inval_set_var('sha', 'x');
ROLLBACK;
BEGIN READ ONLY;
SELECT * FROM inval_var;
COMMIT;

-- Who may do what
CREATE ROLE regress_inval_deploy;
CREATE ROLE regress_inval_other;
GRANT EXECUTE ON FUNCTION inval_set_var TO regress_inval_deploy;
SET SESSION AUTHORIZATION regress_inval_other;
SELECT * FROM inval_var;
SELECT inval_set_var('sha', 'x');
SELECT inval_store_validator('{}', 0);
CREATE SERVER inval_var_mine TYPE 'variable' FOREIGN DATA WRAPPER inval;
ALTER SERVER inval_var_sha OPTIONS (SET values '{mine}');
DROP SERVER inval_var_sha;
SET SESSION AUTHORIZATION regress_inval_deploy;
SELECT inval_set_var('sha', 'c3d4', 'e5f6');
SELECT inval_set_var('canary', 'yes');
SELECT inval_set_var('canary', VARIADIC '{}');
SELECT * FROM inval_var;
RESET SESSION AUTHORIZATION;
REVOKE EXECUTE ON FUNCTION inval_set_var FROM regress_inval_deploy;
DROP ROLE regress_inval_deploy, regress_inval_other;

-- A superuser can write to the store by hand, but nothing that inval cannot read.
SELECT srvname, srvtype, srvoptions, srvowner = extowner AS owned
FROM pg_foreign_server, pg_extension WHERE extname = 'inval' AND srvname LIKE 'inval%'
ORDER BY srvname;
ALTER SERVER inval_var_sha OPTIONS (SET values 'e5f6');
ALTER SERVER inval_var_sha OPTIONS (SET values '{e5f6,NULL}');
ALTER SERVER inval_var_sha OPTIONS (ADD nope 'x');
CREATE SERVER inval_var_hand TYPE 'variable' FOREIGN DATA WRAPPER inval OPTIONS (host 'x');
CREATE USER MAPPING FOR CURRENT_USER SERVER inval_var_sha;
CREATE FOREIGN TABLE not_there (id integer) SERVER inval_var_sha;
ALTER FOREIGN DATA WRAPPER inval OPTIONS (ADD host 'x');
BEGIN;
ALTER SERVER inval_var_sha OPTIONS (SET values '{0000}');
SELECT * FROM inval_var;
DROP SERVER inval_var_sha;
SELECT * FROM inval_var;
ROLLBACK;
-- A server of that name that is another's
CREATE FOREIGN DATA WRAPPER regress_inval_wrapper;
CREATE SERVER inval_var_taken TYPE 'variable' FOREIGN DATA WRAPPER regress_inval_wrapper;
SELECT inval_set_var('taken', 'x');
SELECT * FROM inval_var;
DROP FOREIGN DATA WRAPPER regress_inval_wrapper CASCADE;

-- A variable stays as long as a rule uses it.
CREATE TABLE release (id integer);
SELECT inval_set_var('sha2', 'x'), inval_set_var('SHA', 'x');
\pset format unaligned
\pset tuples_only on
CREATE FUNCTION removal(rule_key text, rule_field text) RETURNS SETOF text
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM inval_untrack('release');
	PERFORM inval_track('release', key => rule_key, field => rule_field);
	RETURN QUERY SELECT regexp_replace(outcome, 'Rule \d+', 'Rule N')
	FROM outcome($c$inval_set_var('sha', VARIADIC '{}')$c$) outcome;
END
$$;
SELECT removal('release:{id}:{$sha}', NULL);
SELECT removal('release:{id}', '{$sha|md5:8}');
SELECT removal('{{{$sha}}}:{id}', NULL);
-- These do not.
SELECT inval_set_var('sha2', 'x'), inval_set_var('SHA', 'x');
SELECT removal('release:{id}:{$sha2}:{{$sha}}:$sha:{$SHA}', '{id}');
\pset tuples_only off
\pset format aligned
SELECT inval_set_var('sha', 'f7');
DROP FUNCTION removal(text, text);

-- Every value gives a key, and so does every combination of variables.
SELECT inval_set_var('sha', 'f7', 'g8'), inval_set_var('region', 'eu', 'US');
SELECT inval_untrack('release');
SELECT inval_track('release', key => '{$sha}:{@table}:{id}:{$region|lower}', field => '{$sha}')
	IS NOT NULL AS tracked;
INSERT INTO release VALUES (1), (NULL);
SELECT * FROM queued();
SELECT key, field FROM inval_preview('release') ORDER BY key COLLATE "C", field;
SELECT inval_untrack('release');
SELECT inval_track('release', key => '{$sha}:{@table}:{id}') AS rule \gset
-- A deploy adds its own, the next one removes the old, from the next row on; and
-- what is rolled back never was.
BEGIN;
INSERT INTO release VALUES (2);
SELECT inval_set_var('sha', 'g8', 'h9');
INSERT INTO release VALUES (3);
SAVEPOINT a;
SELECT inval_set_var('sha', 'i0');
INSERT INTO release VALUES (4);
ROLLBACK TO a;
INSERT INTO release VALUES (5);
COMMIT;
SELECT * FROM queued();
BEGIN;
SELECT inval_set_var('sha', 'i0');
ROLLBACK;
DELETE FROM release WHERE id = 5;
SELECT * FROM queued();
-- Values that would be syntax in a template or in an array are text.
SELECT inval_set_var('sha', '{id}', 'a,"b"\{{}}', 'NULL', '');
INSERT INTO release VALUES (6);
SELECT * FROM queued();
SELECT inval_untrack_rule(:rule);
SELECT inval_set_var('sha2', VARIADIC '{}'), inval_set_var('SHA', VARIADIC '{}');
DROP TABLE release;
SELECT inval_set_var('sha', VARIADIC '{}'), inval_set_var('sha2', VARIADIC '{}'),
	inval_set_var('SHA', VARIADIC '{}');
SELECT inval_set_var('sha', 'f7');

-- They go with the extension, without CASCADE, and in whatever schema it is.
BEGIN;
SET LOCAL client_min_messages = error;
DROP VIEW rules;
DROP EXTENSION inval;
SELECT srvname FROM pg_foreign_server WHERE srvname LIKE 'inval%';
CREATE SCHEMA "in Val";
CREATE EXTENSION inval SCHEMA "in Val";
SELECT * FROM "in Val".inval_var;
SELECT "in Val".inval_set_var('sha', 'g8');
SELECT * FROM "in Val".inval_var;
ROLLBACK;

SELECT inval_set_var('sha', VARIADIC '{}'), inval_set_var('region', VARIADIC '{}'),
	inval_set_var('Region-2_x', VARIADIC '{}');
SELECT * FROM inval_var;
