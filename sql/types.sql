--
-- A column's value as text: the same in every session, whatever its settings.
--
CREATE TYPE mood AS ENUM ('sad', 'ok', 'it''s fine');
CREATE DOMAIN positive AS integer CHECK (VALUE > 0);
CREATE DOMAIN day AS date;
CREATE DOMAIN days AS day[];
CREATE TYPE pair AS (at timestamptz, amount float8);
CREATE TABLE value (
	id integer PRIMARY KEY,
	c_int2 smallint, c_int4 integer, c_int8 bigint, c_oid oid, c_text text,
	c_varchar varchar(20), c_char char(8), c_name name, c_byte "char",
	c_uuid uuid, c_bool boolean, c_date date, c_timestamp timestamp,
	c_timestamptz timestamptz, c_time time, c_timetz timetz,
	c_interval interval, c_numeric numeric, c_numeric2 numeric(10,2),
	c_float4 real, c_float8 double precision, c_money money, c_bytea bytea,
	c_json json, c_jsonb jsonb, c_markup text, c_inet inet, c_cidr cidr,
	c_macaddr macaddr, c_bit bit(4), c_varbit varbit, c_enum mood,
	c_domain positive, c_day day, c_days days, c_ints integer[],
	c_texts text[], c_stamps timestamptz[], c_floats float8[],
	c_blobs bytea[], c_spans interval[], c_composite pair,
	c_tstzrange tstzrange, c_int4range int4range, c_dates datemultirange,
	c_point point, c_tsvector tsvector, c_regclass regclass,
	c_regtype regtype);

INSERT INTO value VALUES
(1, -32768, -2147483648, -9223372036854775808, 4294967295,
	'Grüße', 'varying', 'ab', 'name', 'c',
	'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', true,
	'2026-01-02', '2026-01-02 03:04:05.678', '2026-01-02 03:04:05.678+00', '03:04:05.678',
	'03:04:05+02', '1 year 2 mons -3 days 04:05:06.7',
	'123456789012345678901234567890.1200', 12.5, 0.1, 0.1,
	1234.5, '\x00ff5c27',
	'{"b": 1,  "a": [ ]}', '{"b": 1,  "a": [ ]}', '<a/>',
	'192.168.0.1', '10.0.0.0/8', '08:00:2B:01:02:03', '1010', '101',
	'it''s fine', 7, '2026-01-02', '{2026-01-02,NULL}',
	'{1,NULL,3}', '{a,"b c",NULL,"null","q\"uote"}', '{2026-01-02 03:04:05+00}', '{0.1,1e100}',
	'{"\\x00ff"}', '{1 day}',
	ROW('2026-01-02 03:04:05+00', 0.1), '[2026-01-01 00:00+00,2026-02-01 00:00+00)', '[1,5]', '{[2026-01-01,2026-01-05]}',
	'(0.1,2)', 'a:1 b:2', 'pg_class', 'timestamp with time zone'),
(2, 32767, 2147483647, 9223372036854775807, 0,
	E'a b\tc\n', '', '', '', '',
	'00000000-0000-0000-0000-000000000000', false,
	'infinity', 'infinity', '-infinity', '24:00:00',
	'00:00:00-15:59', '-1 day +00:00:01',
	'NaN', 0, 'Infinity', '-Infinity',
	-0.01, '',
	'null', 'null', '&<>',
	'::1', '::/0', '00:00:00:00:00:00', '0000', '',
	'sad', 1, '0044-03-15 BC', '{}',
	'{}', '{}', '{}', '{}', '{}', '{}',
	ROW(NULL, 'NaN'), 'empty', '(,)', '{}',
	'(1e300,-0)', '', 'value', 'mood'),
(3, 0, 0, 0, 2147483648,
	'', 'x ', 'a  b', 'x', 'y',
	'ffffffff-ffff-ffff-ffff-ffffffffffff', false,
	'0044-03-15 BC', '0044-03-15 12:00:00 BC', '0044-03-15 12:00:00.5+00 BC', '00:00',
	'12:00:00+00', '00:00',
	'-0.000', -99999999.99, 1e-40, 1e-300,
	0, '\x5c',
	'"x"', '1.50', '',
	'10.0.0.1/8', '192.168.1.0/24', 'ff:ff:ff:ff:ff:ff', '1111', '1',
	'ok', 2147483647, '-infinity', '{infinity}',
	'{{1,2},{3,4}}', '{{a},{b}}', '{infinity}', '{NaN}', '{NULL}', '{-1 mon}',
	ROW('-infinity', 1e21), '(-infinity,)', '[3,)', '{(,)}',
	'(NaN,0)', '''a b'':3', 'pg_class', 'integer'),
(4, 1, 1, 1, 1,
	'1', '1', '1', '1', '1',
	'11111111-1111-1111-1111-111111111111', true,
	'12345-06-07', '12345-06-07 08:09:10.000001', '2026-07-01 00:00:00+02', '23:59:59.999999',
	'23:59:59.999999+05:30', '1000000:00:00',
	1e20, 1, 16777216, 1e15,
	1000000, '\x31',
	'1', '1e2', '1',
	'1.1.1.1/32', '1.1.1.1/32', '01:01:01:01:01:01', '0001', '00000001',
	'ok', 1, '12345-06-07', '{12345-06-07}',
	'[0:1]={1,2}', '{1}', '{2026-07-01 00:00:00.5+02}', '{1e15,1e16}', '{"\\x31"}', '{1 year}',
	ROW('2026-07-01 00:00:00+02', 1e15), '[2026-07-01 00:00+02,2026-07-02 00:00+02]', '[1,1]', '{}',
	'(1,1)', '1', 'value', 'text');

-- A rule for each column, whose key is "column=value #id"; and one for all NULL.
SELECT count(inval_track('value', key => substring(attname, 3) || '={' || attname || '} #{id}'))
FROM pg_attribute WHERE attrelid = 'value'::regclass AND attnum > 1;
INSERT INTO value (id) VALUES (5);
SELECT * FROM queued();
CREATE VIEW preview AS SELECT key FROM inval_preview('value', 100);

-- What pg_regress sets makes a session whose settings are not the defaults.
-- (Its time zone goes by two names, depending on the minor version.)
SELECT current_setting('DateStyle'), current_setting('TimeZone') <> 'UTC' AS elsewhere,
	current_setting('IntervalStyle');
SELECT key FROM preview
ORDER BY substring(key, '#(\d+)$'),
	(SELECT attnum FROM pg_attribute
	 WHERE attrelid = 'value'::regclass AND attname = 'c_' || substring(key, '^[^=]+'));

-- The same in other sessions
CREATE TEMPORARY TABLE first AS SELECT key FROM preview;
CREATE FUNCTION differing() RETURNS SETOF text LANGUAGE sql AS $$
	(SELECT '- ' || key FROM (SELECT key FROM pg_temp.first EXCEPT ALL SELECT key FROM public.preview) gone)
	UNION ALL
	(SELECT '+ ' || key FROM (SELECT key FROM public.preview EXCEPT ALL SELECT key FROM pg_temp.first) come)
$$;
SET DateStyle = 'SQL, DMY';
SET TimeZone = 'Asia/Kathmandu';
SET IntervalStyle = 'sql_standard';
SET bytea_output = 'escape';
SET extra_float_digits = -15;
SET search_path = pg_catalog, public;
SELECT differing();
SET DateStyle = 'German, YMD';
SET TimeZone = 'Antarctica/Troll';
SET IntervalStyle = 'iso_8601';
SET extra_float_digits = 3;
SET search_path = public, pg_catalog;
SET quote_all_identifiers = on;
SET xmlbinary = 'hex';
SELECT differing();
SET DateStyle = 'ISO, MDY';
SET TimeZone = '-12:34';
SET IntervalStyle = 'postgres';
SET bytea_output = 'hex';
SET extra_float_digits = 0;
SET lc_monetary = 'POSIX';
SET lc_numeric = 'POSIX';
SET lc_time = 'POSIX';
SET search_path = '';
SELECT public.differing();
-- The settings of the session itself are as they were.
SELECT current_setting('DateStyle'), current_setting('TimeZone'),
	current_setting('extra_float_digits'), current_setting('search_path');
RESET ALL;

-- The triggers give what inval_preview gives.
UPDATE value SET id = id WHERE id < 5;
CREATE TEMPORARY TABLE queued_then AS SELECT key FROM queued();
SELECT count(*) FROM queued_then;
SELECT key FROM queued_then EXCEPT ALL SELECT key FROM preview;
SELECT key FROM preview EXCEPT ALL SELECT key FROM queued_then;
SET DateStyle = 'SQL, DMY';
SET TimeZone = 'Asia/Kathmandu';
SET extra_float_digits = -15;
SET bytea_output = 'escape';
DELETE FROM value;
SELECT key FROM queued() EXCEPT ALL SELECT key FROM queued_then;
RESET ALL;
-- What was pinned while rendering is not left behind, not by a rollback either.
BEGIN;
SET LOCAL DateStyle = 'SQL, DMY';
SAVEPOINT a;
INSERT INTO value (id, c_spans, c_floats) VALUES (1, '{1 day}', '{0.1}');
ROLLBACK TO a;
SHOW DateStyle;
ROLLBACK;
SHOW DateStyle;

SELECT inval_untrack('value') > 0 AS untracked;
DROP VIEW preview;
DROP FUNCTION differing();
DROP TABLE value;
DROP TYPE pair;
DROP DOMAIN days;
DROP DOMAIN day;
DROP DOMAIN positive;
DROP TYPE mood;

-- A value that was noted is not read as one of what its type has become since.
CREATE TYPE coin AS (amount int, unit int);
CREATE TABLE purse (id int PRIMARY KEY, coin coin);
CREATE TABLE one AS SELECT 1 AS id;
SELECT inval_track('purse', key => 'purse:{x}', via => 'SELECT {coin}::text AS x FROM one') > 0 AS tracked;
BEGIN;
INSERT INTO purse VALUES (1, ROW(2000000001, 5));
ALTER TABLE purse ALTER coin TYPE text USING 'gone';
ALTER TYPE coin ALTER ATTRIBUTE amount TYPE text;
ALTER TYPE coin ALTER ATTRIBUTE unit TYPE text;
ALTER TABLE purse ALTER coin TYPE coin USING NULL;
COMMIT;
SELECT key FROM queued();
DROP TABLE purse, one;
DROP TYPE coin;
