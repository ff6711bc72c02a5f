--
-- Types whose output looks at settings: they read the same in every session, and
-- the session's settings stay what they were.
--
SET client_min_messages = warning;
CREATE TYPE loud;
CREATE FUNCTION loud_in(cstring) RETURNS loud LANGUAGE internal IMMUTABLE STRICT AS 'textin';
CREATE FUNCTION loud_out(loud) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'textout';
CREATE TYPE loud (INPUT = loud_in, OUTPUT = loud_out, LIKE = text);
-- One whose output fails
CREATE TYPE broken;
CREATE FUNCTION broken_in(cstring) RETURNS broken LANGUAGE internal IMMUTABLE STRICT AS 'int4in';
CREATE FUNCTION broken_out(broken) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'enum_out';
CREATE TYPE broken (INPUT = broken_in, OUTPUT = broken_out, LIKE = int4);
RESET client_min_messages;
CREATE TYPE width AS RANGE (subtype = float8, multirange_type_name = widthmultirange);
CREATE DOMAIN spans AS interval[];
CREATE DOMAIN names AS regclass[];
CREATE TYPE made AS (span interval, blob bytea);
CREATE SCHEMA elsewhere;
CREATE TABLE elsewhere.named ();
CREATE TABLE setting (id integer PRIMARY KEY, c_loud loud, c_louds loud[], c_width width,
	c_widths widthmultirange, c_spans spans, c_names names, c_money money[], c_box box,
	c_blobs bytea[], c_times timetz[], c_name regclass, c_oids oidvector, c_path path,
	c_made made);
INSERT INTO setting VALUES (1, 'Hé', '{a,"b c"}', '[0.1,0.30000000000000004)', '{[0.1,1e22)}',
	'{1 year 2 days,-3:04}', '{pg_class,elsewhere.named}', '{1234.5}', '(0.1,0.2),(3,4)',
	'{"\\x00ff"}', '{03:04+02}', 'elsewhere.named', '1 2', '[(0.1,0.2)]',
	'(1 year,"\\x00ff")');
SELECT count(inval_track('setting', key => substring(attname, 3) || '={' || attname || '}'))
FROM pg_attribute WHERE attrelid = 'setting'::regclass AND attnum > 1;
SELECT key FROM inval_preview('setting') ORDER BY key COLLATE "C";
CREATE TABLE setting_keys AS SELECT key FROM inval_preview('setting');
SET DateStyle = 'SQL, DMY';
SET TimeZone = 'America/St_Johns';
SET IntervalStyle = 'sql_standard';
SET bytea_output = 'escape';
SET extra_float_digits = -5;
SET search_path = public, elsewhere;
SELECT key FROM inval_preview('setting') EXCEPT SELECT key FROM setting_keys;
UPDATE setting SET id = 2;
SELECT key FROM queued() EXCEPT SELECT key FROM setting_keys;
-- A composite type gets a column whose output looks at more.
ALTER TYPE made ADD ATTRIBUTE name regclass;
UPDATE setting SET c_made.name = 'elsewhere.named';
SELECT key FROM (SELECT key FROM queued() WHERE key LIKE 'made=%' EXCEPT SELECT key FROM setting_keys) k
ORDER BY key COLLATE "C";
-- Whether it has worked or not, the session's settings hold afterwards.
CREATE TABLE breaks (id broken);
SELECT inval_track('breaks', key => '{id}') IS NOT NULL AS tracked;
INSERT INTO breaks VALUES ('1');
SELECT interval '1 year 2 days', timestamptz '2026-01-02 03:04:05+00', '\x00ff'::bytea,
	0.30000000000000004::float8, 'elsewhere.named'::regclass;
RESET ALL;
SELECT inval_untrack('breaks') + inval_untrack('setting') AS untracked;
DROP TABLE setting, setting_keys, breaks, elsewhere.named;
DROP SCHEMA elsewhere;
DROP DOMAIN spans, names;
DROP TYPE width, made;
DROP TYPE loud CASCADE;
DROP TYPE broken CASCADE;
