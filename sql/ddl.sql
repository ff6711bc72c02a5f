--
-- DDL: rules follow their tables and columns, rows that a command destroys or
-- rewrites are not forgotten, and nobody gets more rights by it.
--
ALTER SEQUENCE inval_rule_id_seq RESTART 100;	-- for messages that have a rule's number
CREATE TABLE team (id integer PRIMARY KEY, org_id integer, old_name text);
CREATE TABLE doc (id integer PRIMARY KEY, team_id integer REFERENCES team, kind text, note text, spare integer, tags text[]);
INSERT INTO team VALUES (1, 10, 'one'), (2, 20, 'two');
INSERT INTO doc VALUES (1, 1, 'a', 'x', 0, '{p,q}');

-- Columns in key, field, changes, paths, arrays, via; tables; schemas
SELECT inval_track('doc', 'team_id, kind') IS NOT NULL AS plain,
	inval_track('doc', key => '{{{kind|md5:4}}}:{team_id.org_id}', field => '{"note"}', changes => '{kind,note,"spare"}') IS NOT NULL AS path,
	inval_track('doc', key => '{@schema}.{@table}:{tags[]|upper}') IS NOT NULL AS elements,
	inval_track('doc', key => 'via:{old_name}', via => 'SELECT old_name FROM team WHERE id = {team_id}') IS NOT NULL AS via;
SELECT relation, key, field, changes, via FROM inval_rule ORDER BY id;
ALTER TABLE doc RENAME COLUMN team_id TO "Team.Id";
ALTER TABLE doc RENAME kind TO "k{i}nd";
ALTER TABLE doc RENAME note TO "no""te";
ALTER TABLE doc RENAME spare TO "spa,re";
ALTER TABLE doc RENAME tags TO "tags[]";
ALTER TABLE team RENAME org_id TO "Org";
ALTER TABLE team RENAME old_name TO name;
ALTER TABLE team RENAME TO "Team";
CREATE SCHEMA "New Schema";
ALTER TABLE "Team" SET SCHEMA "New Schema";
ALTER TABLE doc SET SCHEMA "New Schema";
ALTER SCHEMA "New Schema" RENAME TO app;
ALTER TABLE app.doc RENAME TO document;
SELECT relation, key, field, changes, via FROM inval_rule ORDER BY id;
UPDATE app.document SET "no""te" = 'y';
SELECT * FROM queued();
-- A column that takes the name that another one had
ALTER TABLE app.document RENAME "k{i}nd" TO k;
ALTER TABLE app.document RENAME "no""te" TO "k{i}nd";
SELECT key, field, changes FROM inval_rule ORDER BY id;
-- In a transaction that is rolled back, and half of one
BEGIN;
ALTER TABLE app.document RENAME k TO kk;
SAVEPOINT a;
ALTER TABLE app.document RENAME kk TO kkk;
SELECT key FROM inval_rule ORDER BY id;
ROLLBACK TO a;
UPDATE app.document SET kk = 'b';
SELECT key FROM inval_rule ORDER BY id;
ROLLBACK;
SELECT key FROM inval_rule ORDER BY id;
UPDATE app.document SET k = 'c';
SELECT * FROM queued();
-- What else bears the name is not meant.
CREATE TABLE other (k text, "Team.Id" integer);
ALTER TABLE other RENAME k TO not_k;
ALTER TABLE other RENAME "Team.Id" TO not_it;
ALTER TABLE other ADD CONSTRAINT k CHECK (true);
ALTER TABLE other RENAME CONSTRAINT k TO not_k;
ALTER INDEX app.doc_pkey RENAME TO k;
SELECT key FROM inval_rule ORDER BY id;
DROP TABLE other;

-- Columns that a rule needs
ALTER TABLE app.document DROP COLUMN k;
ALTER TABLE app.document DROP COLUMN "spa,re";
ALTER TABLE app.document DROP COLUMN "tags[]", ADD COLUMN more integer;
ALTER TABLE app."Team" DROP COLUMN "Org";
ALTER TABLE app."Team" DROP COLUMN name;
ALTER TABLE app.document DROP CONSTRAINT doc_team_id_fkey;
SELECT count(*) FROM inval_rule;
ALTER TABLE app.document ADD COLUMN unneeded integer, DROP COLUMN IF EXISTS nothing;
ALTER TABLE app.document DROP COLUMN unneeded;
BEGIN;
ALTER TABLE app.document DROP COLUMN "spa,re" CASCADE;
ALTER TABLE app."Team" DROP COLUMN name CASCADE;
SELECT key FROM inval_rule ORDER BY id;
UPDATE app.document SET "k{i}nd" = 'z';
ROLLBACK;
SELECT * FROM queued();
SELECT count(*) FROM inval_rule;
ALTER TABLE app.document DROP CONSTRAINT doc_team_id_fkey CASCADE;
SELECT * FROM queued();
ALTER TABLE app.document DROP COLUMN "tags[]" CASCADE;
SELECT relation, key FROM rules;
SELECT * FROM triggers_of('app.document');
-- A type that goes takes the column along.
CREATE TYPE app.level AS ENUM ('low', 'high');
ALTER TABLE app.document ADD COLUMN level app.level DEFAULT 'low';
SELECT inval_track('app.document', key => 'level:{level}') IS NOT NULL AS tracked;
DROP TYPE app.level;
DROP TYPE app.level CASCADE;
SELECT relation, key FROM rules;
SELECT count(*) FROM queued();

-- Triggers of ours stay enabled, always.
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER users BEFORE INSERT ON app.document FOR EACH ROW EXECUTE FUNCTION nothing();
ALTER TABLE app.document DISABLE TRIGGER USER;
SELECT * FROM triggers_of('app.document');
ALTER TABLE app.document DISABLE TRIGGER ALL;
SELECT * FROM triggers_of('app.document');
ALTER TABLE app.document ENABLE TRIGGER ALL;
SELECT * FROM triggers_of('app.document');
ALTER TABLE app.document ENABLE REPLICA TRIGGER "00_inval_row", DISABLE TRIGGER "00_inval_truncate", DISABLE TRIGGER users;
SELECT * FROM triggers_of('app.document');
ALTER TABLE app.document ENABLE TRIGGER USER;
ALTER TRIGGER "00_inval_row" ON app.document RENAME TO renamed;
ALTER TRIGGER users ON app.document RENAME TO "00_inval_row";
SELECT * FROM triggers_of('app.document');
UPDATE app.document SET k = 'd';
SELECT * FROM queued();
-- Between two commands of a transaction there is no hole.
BEGIN;
ALTER TABLE app.document DISABLE TRIGGER ALL;
UPDATE app.document SET k = 'e';
ALTER TABLE app.document ENABLE TRIGGER ALL;
COMMIT;
SELECT * FROM queued();
-- Dropped by hand
DROP TRIGGER "00_inval_row" ON app.document;
DROP TRIGGER "00_inval_truncate" ON app.document;
SELECT * FROM triggers_of('app.document');
DROP TRIGGER users ON app.document;
DROP FUNCTION nothing();
DROP FUNCTION inval_capture_row();
DROP EVENT TRIGGER inval_on_drop;
-- The trigger that carries the rule: the rule goes.
SELECT format('DROP TRIGGER %I ON app.document', tgname) FROM pg_trigger
WHERE tgrelid = 'app.document'::regclass AND tgname LIKE '00_inval_rule%' \gexec
SELECT relation, key FROM rules;
SELECT * FROM triggers_of('app.document');
UPDATE app.document SET k = 'f';
SELECT DISTINCT key FROM queued() ORDER BY key;

-- What counts is the trigger that inval makes, not another one that calls the
-- same function now and then; and what has its name is replaced.
CREATE VIEW capture AS
	SELECT tgrelid::regclass AS relation, regexp_replace(pg_get_triggerdef(oid), ' ON .* FOR EACH', ' ON ... FOR EACH') AS trigger, tgenabled AS enabled
	FROM pg_trigger WHERE NOT tgisinternal AND tgname !~ '^00_inval_rule_' AND tgrelid <> 'inval_rule'::regclass
	ORDER BY 1, tgname;
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TABLE exact (id integer PRIMARY KEY, extra integer);
CREATE TABLE taken (id integer PRIMARY KEY);
CREATE TABLE deferred (id integer PRIMARY KEY);
CREATE TRIGGER mine AFTER INSERT ON exact FOR EACH ROW WHEN (false) EXECUTE FUNCTION inval_capture_row();
ALTER TABLE exact ENABLE ALWAYS TRIGGER mine;
SET check_function_bodies = off;	-- as a dump is restored
CREATE TRIGGER "00_inval_row" AFTER INSERT OR UPDATE OR DELETE ON exact FOR EACH ROW WHEN (pg_trigger_depth() > 5) EXECUTE FUNCTION inval_capture_row();
CREATE TRIGGER "00_inval_truncate" BEFORE TRUNCATE ON exact FOR EACH STATEMENT EXECUTE FUNCTION inval_capture_truncate('argument');
ALTER TABLE exact ENABLE ALWAYS TRIGGER "00_inval_row", ENABLE ALWAYS TRIGGER "00_inval_truncate";
CREATE TRIGGER "00_inval_row" BEFORE INSERT ON taken FOR EACH ROW EXECUTE FUNCTION nothing();
CREATE CONSTRAINT TRIGGER "00_inval_row" AFTER INSERT OR UPDATE OR DELETE ON deferred DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION inval_capture_row();
ALTER TABLE deferred ENABLE ALWAYS TRIGGER "00_inval_row";
RESET check_function_bodies;
SELECT inval_track('exact', 'id') IS NOT NULL AND inval_track('taken', 'id') IS NOT NULL AND inval_track('deferred', 'id') IS NOT NULL AS tracked;
SELECT * FROM capture;
INSERT INTO exact VALUES (1);
INSERT INTO taken VALUES (1);
INSERT INTO deferred VALUES (1);
SELECT * FROM queued();
-- ... at once, and the name is refused to others.
CREATE OR REPLACE TRIGGER "00_inval_row" AFTER INSERT ON exact FOR EACH ROW WHEN (false) EXECUTE FUNCTION inval_capture_row();
CREATE TRIGGER "00_inval_truncate" AFTER TRUNCATE ON exact EXECUTE FUNCTION inval_capture_truncate();
SELECT * FROM capture WHERE relation = 'exact'::regclass;
CREATE OR REPLACE TRIGGER "00_inval_row" AFTER INSERT ON exact FOR EACH ROW EXECUTE FUNCTION nothing();
CREATE TRIGGER "00_inval_x" AFTER INSERT ON exact FOR EACH ROW EXECUTE FUNCTION nothing();
CREATE CONSTRAINT TRIGGER "00_inval_x" AFTER INSERT ON exact FOR EACH ROW EXECUTE FUNCTION no_function();
CREATE CONSTRAINT TRIGGER "00_inval_row" AFTER INSERT ON exact FOR EACH ROW EXECUTE FUNCTION inval_capture_row();
SET check_function_bodies = off;
CREATE OR REPLACE TRIGGER "00_inval_row" AFTER INSERT ON exact FOR EACH ROW EXECUTE FUNCTION nothing();
CREATE TRIGGER "00_inval_row" AFTER INSERT ON exact FOR EACH ROW EXECUTE FUNCTION nothing();
RESET check_function_bodies;
INSERT INTO exact VALUES (2);
SELECT * FROM queued();
CREATE TRIGGER mine AFTER INSERT ON taken FOR EACH ROW EXECUTE FUNCTION nothing();
CREATE TRIGGER another AFTER INSERT ON exact FOR EACH ROW EXECUTE FUNCTION nothing();
INSERT INTO exact VALUES (3);
SELECT * FROM queued();
SELECT inval_untrack('exact'), inval_untrack('taken'), inval_untrack('deferred');
SELECT * FROM capture;
DROP TABLE exact, taken, deferred;

-- A rule that this version cannot read is in the way of no other command.  (A
-- trigger that carries one is refused, so it is made in the catalog.)
CREATE TABLE newer (id integer PRIMARY KEY, note text);
CREATE TABLE older (id integer PRIMARY KEY);
CREATE MATERIALIZED VIEW newer_view AS SELECT id FROM older;
INSERT INTO newer VALUES (1);
SELECT inval_track('newer', 'id') IS NOT NULL AND inval_track('older', 'id') IS NOT NULL AS tracked;
CREATE TRIGGER "00_inval_rule_0" BEFORE TRUNCATE ON newer EXECUTE FUNCTION inval_rule_carrier('id', '900', 'key', 'x', 'colour', 'red');
CREATE TRIGGER "00_inval_rule_0" BEFORE TRUNCATE ON newer EXECUTE FUNCTION inval_rule_carrier('id', '9x', 'key', 'x');
CREATE TRIGGER "00_inval_rule_0" BEFORE TRUNCATE ON newer EXECUTE FUNCTION inval_rule_carrier();
BEGIN;
UPDATE pg_trigger SET tgnargs = 6, tgargs = (
	SELECT string_agg(convert_to(a, 'UTF8') || '\x00', '') FROM unnest('{id,900,key,x,colour,red}'::text[]) a)
WHERE tgrelid = 'newer'::regclass AND tgname ~ '^00_inval_rule';
SELECT relation, key FROM inval_rule;
SAVEPOINT a;
INSERT INTO newer VALUES (2);
ROLLBACK TO a;
INSERT INTO older VALUES (1);
ALTER TABLE older RENAME id TO number;
ALTER TABLE older ADD COLUMN more integer;
DROP MATERIALIZED VIEW newer_view;
SELECT inval_untrack('older');
ROLLBACK TO a;
SELECT format('DROP TRIGGER %I ON newer', tgname) FROM pg_trigger
WHERE tgrelid = 'newer'::regclass AND tgname ~ '^00_inval_rule' \gexec
INSERT INTO newer VALUES (2);
SELECT relation, key FROM inval_rule;
ROLLBACK TO a;
DROP TABLE newer;
SELECT relation, key FROM inval_rule;
ROLLBACK;
SELECT * FROM queued();
UPDATE pg_class SET relname = relname WHERE oid = 'newer'::regclass;	-- it is read anew
DROP MATERIALIZED VIEW newer_view;
DROP TABLE older, newer;
SELECT DISTINCT key FROM queued();

-- Tables of a type, and what inherits from them
CREATE TYPE kind AS (v text, w integer);
CREATE TABLE of_kind OF kind (PRIMARY KEY (w));
CREATE TABLE heir_of_kind (own text) INHERITS (of_kind);
CREATE TABLE not_of_kind (v text, ref integer REFERENCES of_kind);
SELECT inval_track('of_kind', 'v', changes => '{v}') IS NOT NULL AND inval_track('heir_of_kind', key => 'heir:{v}') IS NOT NULL
	AND inval_track('not_of_kind', key => 'not:{v}:{ref.v}') IS NOT NULL
	AND inval_track('not_of_kind', key => 'via:{v}', via => 'SELECT v FROM of_kind WHERE w = {ref}') IS NOT NULL AS tracked;
ALTER TYPE kind RENAME ATTRIBUTE v TO vv CASCADE;
SELECT relation, key, changes, via FROM inval_rule ORDER BY id;
INSERT INTO of_kind VALUES ('a', 1);
INSERT INTO heir_of_kind VALUES ('b', 2, 'c');
INSERT INTO not_of_kind VALUES ('d', 1);
SELECT * FROM queued();
DROP TABLE not_of_kind, heir_of_kind, of_kind;
DROP TYPE kind;
SELECT DISTINCT key FROM queued() ORDER BY key;
-- Types that a query names, and types that nobody names
CREATE TYPE hue AS ENUM ('red', 'blue');
CREATE DOMAIN small AS integer;
CREATE TABLE painted (id integer, hue hue);
SELECT inval_track('painted', key => 'hue:{hue}:{n}',
	via => 'SELECT ''red''::hue AS hue, 1::small AS n WHERE {hue} = ''red''::hue') IS NOT NULL AS tracked;
ALTER TYPE hue RENAME TO colour;
ALTER DOMAIN small RENAME TO little;
SELECT via FROM inval_rule WHERE relation = 'painted'::regclass;
CREATE SCHEMA elsewhere;
ALTER TYPE colour SET SCHEMA elsewhere;
ALTER DOMAIN little SET SCHEMA elsewhere;
SELECT via FROM inval_rule WHERE relation = 'painted'::regclass;
INSERT INTO painted VALUES (1, 'red');
SELECT * FROM queued();
ALTER TYPE nosuch RENAME TO other;
ALTER DOMAIN nosuch.nosuch RENAME TO other;
ALTER TYPE nosuch SET SCHEMA elsewhere;
ALTER DOMAIN nosuch SET SCHEMA elsewhere;
ALTER TYPE a.b.c.d RENAME TO other;
DROP TABLE painted;
DROP SCHEMA elsewhere CASCADE;
SELECT DISTINCT key FROM queued();
-- The rule of a materialized view is written anew only if it has another name.
CREATE MATERIALIZED VIEW named AS SELECT 1 AS id;
CREATE TABLE unnamed (id integer);
SELECT inval_track('named', 'id') IS NOT NULL AS tracked;
CREATE VIEW named_rule AS SELECT xmin, srvoptions FROM pg_foreign_server WHERE srvtype = 'rule';
SELECT xmin AS before FROM named_rule \gset
ALTER TABLE unnamed RENAME id TO number;
ALTER TABLE unnamed RENAME TO renamed;
SELECT xmin = :'before' AS same FROM named_rule;
ALTER MATERIALIZED VIEW named RENAME TO other_name;
SELECT xmin = :'before' AS same, srvoptions FROM named_rule;
DROP VIEW named_rule;
DROP MATERIALIZED VIEW other_name;
DROP TABLE renamed;
SELECT * FROM queued();

-- A rewrite: keys of all rows, before and after
TRUNCATE app.document;
INSERT INTO app.document (id, "Team.Id", k) VALUES (1, 1, 'a'), (2, 2, 'b'), (3, NULL, 'c');
SELECT inval_track('app.document', key => 'd:{id}:{Team.Id}') IS NOT NULL AS tracked;
SELECT inval_track('app.document', key => 'd:{id}:{"Team.Id"}') IS NOT NULL AS tracked;
ALTER TABLE app.document ALTER "Team.Id" TYPE bigint;
SELECT * FROM queued();
ALTER TABLE app.document ALTER "Team.Id" TYPE numeric(10, 1) USING "Team.Id" * 10;
SELECT * FROM queued();
ALTER TABLE app.document ALTER "Team.Id" TYPE text, ADD COLUMN volatile_default double precision DEFAULT random(), DROP COLUMN k;
SELECT * FROM queued();
ALTER TABLE app.document ADD COLUMN serial_number serial;
SELECT * FROM queued();
-- Not a rewrite, or none of what the rows are
ALTER TABLE app.document ADD COLUMN cheap integer DEFAULT 5;
ALTER TABLE app.document ALTER "Team.Id" TYPE varchar;
ALTER TABLE app.document ALTER cheap SET DEFAULT 6;
VACUUM FULL app.document;
CLUSTER app.document USING k;
ALTER TABLE app.document SET UNLOGGED;
ALTER TABLE app.document SET LOGGED;
CREATE INDEX ON app.document (cheap);
REINDEX TABLE app.document;
ANALYZE app.document;
SELECT * FROM queued();
-- A rewrite that fails, and what follows in the same transaction
BEGIN;
SAVEPOINT a;
ALTER TABLE app.document ALTER "Team.Id" TYPE integer USING 1 / (id - 2);
ROLLBACK TO a;
UPDATE app.document SET cheap = 1 WHERE id = 1;
ALTER TABLE app.document ALTER cheap TYPE text;
COMMIT;
SELECT * FROM queued();
DO $$
BEGIN
	BEGIN
		ALTER TABLE app.document DROP COLUMN id;
	EXCEPTION WHEN dependent_objects_still_exist THEN
		RAISE NOTICE 'refused: %', sqlerrm;
	END;
	ALTER TABLE app.document RENAME COLUMN id TO number;
	ALTER TABLE app.document ALTER number TYPE text USING 'n' || number;
	INSERT INTO app.document (number, "Team.Id") VALUES ('n4', 4);
END
$$;
SELECT key FROM inval_rule;
SELECT * FROM queued();
-- DDL within DDL: a function that an index or a default calls, a trigger of
-- the user's on DDL
CREATE FUNCTION log_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
	CREATE TABLE IF NOT EXISTS ddl_log (tag text);
	INSERT INTO ddl_log VALUES (tg_tag);
	ALTER TABLE ddl_log ALTER tag TYPE varchar;
END
$$;
CREATE EVENT TRIGGER "00 first" ON ddl_command_end WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION log_ddl();
DROP EVENT TRIGGER "00 first";
CREATE EVENT TRIGGER zz_last ON ddl_command_start WHEN TAG IN ('CREATE INDEX') EXECUTE FUNCTION log_ddl();
CREATE INDEX ON app.document (cheap);
DROP EVENT TRIGGER zz_last;
SELECT * FROM ddl_log;
DROP TABLE ddl_log;
DROP FUNCTION log_ddl();

-- Key columns that are toasted, of a table whose toast table has another number
-- than it had at first
CREATE TABLE toasted (id integer, big text);
ALTER TABLE toasted ALTER big SET STORAGE EXTERNAL;
INSERT INTO toasted SELECT i, repeat(i::text, 5000) FROM generate_series(1, 3) i;
VACUUM FULL toasted;
SELECT inval_track('toasted', key => 't:{big|md5}') IS NOT NULL AS tracked;
BEGIN;
ALTER TABLE toasted ALTER id TYPE bigint;
SELECT count(*) FROM toasted;
COMMIT;
SELECT key = ANY (SELECT 't:' || md5(big) FROM toasted) AS right FROM queued();
CREATE TABLE sums AS SELECT 't:' || md5(big) AS key FROM toasted;
VACUUM FULL toasted;
DROP TABLE toasted;
SELECT key = ANY (SELECT key FROM sums) AS right FROM queued();
DROP TABLE sums;

-- DROP SCHEMA CASCADE with several tables, and an error later on
SELECT inval_track('app."Team"', key => 'team:{id}') IS NOT NULL AS tracked;
BEGIN;
DROP TABLE app.document;
ROLLBACK;
SELECT * FROM queued();
BEGIN;
SAVEPOINT a;
DROP TABLE app.document;
ROLLBACK TO a;
UPDATE app."Team" SET name = 'x' WHERE id = 1;
COMMIT;
SELECT * FROM queued();
SET client_min_messages = warning;
DROP SCHEMA app CASCADE;
RESET client_min_messages;
SELECT * FROM queued();
SELECT count(*) FROM inval_rule;

-- CREATE TABLE AS, LIKE, and names used again
CREATE TABLE doc (id integer);
SELECT inval_track('doc', 'id') IS NOT NULL AS tracked;
CREATE TABLE doc_copy (LIKE doc INCLUDING ALL);
CREATE TABLE doc_as AS TABLE doc;
SELECT * FROM triggers_of('doc_copy');
SELECT * FROM triggers_of('doc_as');
DROP TABLE doc_copy, doc_as;
BEGIN;
ALTER TABLE doc RENAME TO doc_old;
CREATE TABLE doc (id integer);
INSERT INTO doc VALUES (1);
INSERT INTO doc_old VALUES (2);
DROP TABLE doc_old;
COMMIT;
SELECT * FROM queued();
DROP TABLE doc;

-- Who does not own a table can neither lock it nor learn of it by a command
-- that is refused anyway.
CREATE ROLE regress_inval_owner;
CREATE ROLE regress_inval_nobody;
CREATE SCHEMA own AUTHORIZATION regress_inval_owner;
GRANT USAGE ON SCHEMA own TO regress_inval_nobody;
CREATE TABLE own.doc (id integer PRIMARY KEY, note text);
CREATE MATERIALIZED VIEW own.mat AS SELECT * FROM own.doc;
INSERT INTO own.doc VALUES (1, 'secret');
ALTER TABLE own.doc OWNER TO regress_inval_owner;
ALTER MATERIALIZED VIEW own.mat OWNER TO regress_inval_owner;
SELECT inval_track('own.doc', key => 'doc:{note}') IS NOT NULL AS doc, inval_track('own.mat', key => 'mat:{note}') IS NOT NULL AS mat;
CREATE FUNCTION held() RETURNS TABLE (relation regclass, mode text) LANGUAGE sql SECURITY DEFINER AS $$
	SELECT relation, mode FROM pg_locks WHERE pid = pg_backend_pid() AND relation IN ('own.doc'::regclass, 'own.mat'::regclass)
$$;
SET ROLE regress_inval_nobody;
BEGIN;
SAVEPOINT a;
ALTER TABLE own.doc ALTER note TYPE varchar;
ROLLBACK TO a;
ALTER TABLE own.doc RENAME note TO n;
ROLLBACK TO a;
ALTER TABLE own.doc DROP COLUMN note CASCADE;
ROLLBACK TO a;
ALTER TABLE own.doc DISABLE TRIGGER ALL;
ROLLBACK TO a;
DROP TABLE own.doc CASCADE;
ROLLBACK TO a;
TRUNCATE own.doc;
ROLLBACK TO a;
-- The server's words for that differ between versions.
\set VERBOSITY sqlstate
REFRESH MATERIALIZED VIEW own.mat;
\set VERBOSITY default
ROLLBACK TO a;
DROP TRIGGER "00_inval_row" ON own.doc;
ROLLBACK TO a;
SELECT * FROM held();
COMMIT;
RESET ROLE;
SELECT * FROM queued();

-- Nobody executes anything as somebody else: DDL under a hostile search path,
-- by a superuser and by the owner.
GRANT CREATE ON DATABASE :DBNAME TO regress_inval_nobody;
SET ROLE regress_inval_nobody;
CREATE SCHEMA evil;
CREATE FUNCTION evil.report() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	RAISE WARNING 'hostile code runs as %', current_user;
END
$$;
CREATE FUNCTION evil.op(oid, oid) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN PERFORM evil.report(); RETURN pg_catalog.oideq($1, $2); END';
CREATE FUNCTION evil.op(text, text) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN PERFORM evil.report(); RETURN pg_catalog.texteq($1, $2); END';
CREATE FUNCTION evil.op(name, text) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN PERFORM evil.report(); RETURN pg_catalog.nameeqtext($1, $2); END';
CREATE FUNCTION evil.op(name, name) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN PERFORM evil.report(); RETURN pg_catalog.nameeq($1, $2); END';
CREATE FUNCTION evil.op(integer, integer) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN PERFORM evil.report(); RETURN pg_catalog.int4eq($1, $2); END';
CREATE FUNCTION evil.op(oid, regclass) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN PERFORM evil.report(); RETURN pg_catalog.oideq($1, $2::pg_catalog.oid); END';
CREATE FUNCTION evil.op("char", "char") RETURNS boolean LANGUAGE plpgsql AS 'BEGIN PERFORM evil.report(); RETURN pg_catalog.chareq($1, $2); END';
CREATE OPERATOR evil.= (FUNCTION = evil.op, LEFTARG = oid, RIGHTARG = oid);
CREATE OPERATOR evil.= (FUNCTION = evil.op, LEFTARG = oid, RIGHTARG = regclass);
CREATE OPERATOR evil.= (FUNCTION = evil.op, LEFTARG = text, RIGHTARG = text);
CREATE OPERATOR evil.= (FUNCTION = evil.op, LEFTARG = name, RIGHTARG = text);
CREATE OPERATOR evil.= (FUNCTION = evil.op, LEFTARG = name, RIGHTARG = name);
CREATE OPERATOR evil.= (FUNCTION = evil.op, LEFTARG = integer, RIGHTARG = integer);
CREATE OPERATOR evil.= (FUNCTION = evil.op, LEFTARG = "char", RIGHTARG = "char");
CREATE FUNCTION evil.pg_event_trigger_ddl_commands(OUT classid oid, OUT objid oid, OUT in_extension boolean) RETURNS SETOF record
	LANGUAGE plpgsql AS 'BEGIN PERFORM evil.report(); END';
CREATE FUNCTION evil.pg_event_trigger_dropped_objects(OUT classid oid, OUT objid oid, OUT object_type text, OUT address_names text[]) RETURNS SETOF record
	LANGUAGE plpgsql AS 'BEGIN PERFORM evil.report(); END';
CREATE FUNCTION evil.nextval(regclass) RETURNS bigint LANGUAGE plpgsql AS 'BEGIN PERFORM evil.report(); RETURN 1; END';
CREATE FUNCTION evil.inval_rule_carrier() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM evil.report(); RETURN NULL; END';
CREATE TABLE evil.inval_rule (id integer);
RESET ROLE;
GRANT USAGE ON SCHEMA evil TO PUBLIC;
SET search_path = evil, pg_catalog, public;
CREATE TABLE own.parted (id integer, note text) PARTITION BY RANGE (id);
SELECT inval_track('own.parted', 'id') > 100 AS tracked;
CREATE TABLE own.part PARTITION OF own.parted DEFAULT;
INSERT INTO own.parted VALUES (1, 'a');
ALTER TABLE own.parted DETACH PARTITION own.part;
ALTER TABLE own.parted ATTACH PARTITION own.part DEFAULT;
ALTER TABLE own.parted RENAME id TO number;
ALTER TABLE own.parted ALTER note TYPE varchar USING 'x' || note;
ALTER TABLE own.doc DISABLE TRIGGER ALL;
ALTER TABLE own.doc DROP COLUMN note;
DROP TRIGGER "00_inval_row" ON own.doc;
CREATE UNIQUE INDEX ON own.mat (id);
REFRESH MATERIALIZED VIEW own.mat;
SET ROLE regress_inval_owner;
ALTER TABLE own.doc RENAME note TO notice;
REFRESH MATERIALIZED VIEW CONCURRENTLY own.mat;
REFRESH MATERIALIZED VIEW own.mat;
RESET ROLE;
SELECT key FROM inval_preview('own.doc');
SELECT inval_set_var('evil', 'x');
SELECT inval_set_var('evil', VARIADIC '{}');
SELECT inval_untrack('own.parted');
DROP TABLE own.parted;
RESET search_path;
SELECT relation, key FROM rules ORDER BY key;
SELECT count(*) > 0 AS queued FROM queued();
-- Code of the owner's that runs when a key is made is not run with more rights
-- than the one who writes has: types and casts of the user's own
SET ROLE regress_inval_nobody;
CREATE FUNCTION evil.check_it(text) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN PERFORM evil.report(); RETURN true; END';
CREATE DOMAIN evil.checked AS text CHECK (evil.check_it(VALUE));
CREATE TABLE evil.domains (id integer, d text);
INSERT INTO evil.domains VALUES (1, 'x');
SELECT inval_track('evil.domains', key => 'd:{d}') IS NOT NULL AS tracked;
SELECT inval_track('evil.domains', key => 'e:{x}', via => 'SELECT d::evil.checked AS x FROM evil.domains WHERE id = {id}') IS NOT NULL AS tracked;
RESET ROLE;
UPDATE evil.domains SET d = 'y';
DROP TABLE evil.domains;
SELECT DISTINCT key FROM queued() ORDER BY key;

DROP VIEW capture;
DROP FUNCTION nothing();
DROP FUNCTION held();
SET client_min_messages = warning;
DROP SCHEMA own, evil CASCADE;
REVOKE CREATE ON DATABASE :DBNAME FROM regress_inval_nobody;
DROP ROLE regress_inval_owner, regress_inval_nobody;
RESET client_min_messages;
SELECT count(*) FROM queued();
SELECT count(*) FROM inval_rule;
SELECT count(*) FROM pg_trigger WHERE tgname LIKE '00_inval%';
