--
-- Wrong calls of each function, and what they say.
--
CREATE TABLE doc (id integer PRIMARY KEY, team_id integer, body text);
INSERT INTO doc VALUES (1, 1, 'x');
CREATE VIEW doc_view AS SELECT * FROM doc;
CREATE MATERIALIZED VIEW doc_matview AS SELECT * FROM doc;
CREATE SEQUENCE doc_sequence;
CREATE TYPE doc_type AS (id integer);
CREATE TEMPORARY TABLE doc_temp (id integer);
CREATE TABLE doc_parted (id integer) PARTITION BY LIST (id);
CREATE TABLE doc_part PARTITION OF doc_parted FOR VALUES IN (1);
CREATE TABLE doc_parent (id integer);
CREATE TABLE doc_child () INHERITS (doc_parent);
CREATE FOREIGN DATA WRAPPER doc_wrapper;
CREATE SERVER doc_server FOREIGN DATA WRAPPER doc_wrapper;
CREATE FOREIGN TABLE doc_foreign (id integer) SERVER doc_server;
CREATE TABLE team (id integer PRIMARY KEY, org_id integer, region text, tags text[], UNIQUE (org_id, region));
CREATE TABLE note (id integer PRIMARY KEY, team_id integer REFERENCES team,
	both_id integer REFERENCES team REFERENCES note, org_id integer, region text,
	tags text[], sheet integer[], words text, note_id integer REFERENCES note,
	FOREIGN KEY (org_id, region) REFERENCES team (org_id, region),
	"a.b" integer, "c[]" integer[]);
CREATE FUNCTION write_team() RETURNS integer LANGUAGE sql AS
	'INSERT INTO public.team VALUES (1) RETURNING id';
\pset format unaligned
\pset tuples_only on
\set VERBOSITY terse

-- Relations that cannot be tracked
SELECT outcome(
	$$inval_track(NULL, 'id')$$,
	$$inval_track(4294967295::oid::regclass, 'id')$$,
	$$inval_preview(4294967295::oid::regclass)$$,
	$$inval_track('doc_view', 'id')$$,
	$$inval_track('doc_pkey', 'id')$$,
	$$inval_track('doc_sequence', 'last_value')$$,
	$$inval_track('doc_type', 'id')$$,
	$$inval_track('doc_temp', 'id')$$,
	$$inval_track('pg_class', 'oid')$$,
	$$inval_track('pg_toast.pg_toast_2619', 'chunk_id')$$,
	$$inval_track('inval_rule', 'id')$$,
	$$inval_track('inval_queue', 'id')$$,
	$$inval_track('inval_outbox_0', 'xid')$$);

-- Those that can
SELECT outcome(
	$$inval_track('doc', 'id') > 0$$,
	$$inval_track('doc_matview', 'id') > 0$$,
	$$inval_track('doc_parted', 'id') > 0$$,
	$$inval_track('doc_part', 'id') > 0$$,
	$$inval_track('doc_parent', 'id') > 0$$,
	$$inval_track('doc_child', 'id') > 0$$,
	$$inval_track('doc_foreign', 'id') > 0$$);

-- Columns
SELECT outcome(
	$$inval_track('doc')$$,
	$$inval_track('doc', NULL, NULL)$$,
	$$inval_track('doc', 'team_id', 'doc:{team_id}')$$,
	$$inval_track('doc', '')$$,
	$$inval_track('doc', ' ')$$,
	$$inval_track('doc', ',')$$,
	$$inval_track('doc', 'team_id,')$$,
	$$inval_track('doc', 'team_id id')$$,
	$$inval_track('doc', '"team_id')$$,
	$$inval_track('doc', 'team')$$,
	$$inval_track('doc', '"Team_ID"')$$,
	$$inval_track('doc', 'team_id, nope')$$,
	$$inval_track('doc', '{team_id}')$$,
	$$inval_track('doc', 'ctid')$$);

-- Templates
SELECT outcome(
	$$inval_track('doc', key => '')$$,
	$$inval_track('doc', key => '{nope}')$$,
	$$inval_track('doc', key => '{Team_ID}')$$,
	$$inval_track('doc', key => '{ team_id}')$$,
	$$inval_track('doc', key => '{tableoid}')$$,
	$$inval_track('doc', key => 'doc:{}')$$,
	$$inval_track('doc', key => 'doc:{|md5}')$$,
	$$inval_track('doc', key => 'doc:{""}')$$,
	$$inval_track('doc', key => 'doc:{')$$,
	$$inval_track('doc', key => 'doc:{team_id')$$,
	$$inval_track('doc', key => 'doc:{team_id|md5')$$,
	$$inval_track('doc', key => 'doc:{team{_id}}')$$,
	$$inval_track('doc', key => 'doc:}')$$,
	$$inval_track('doc', key => 'doc:{team_id}}')$$,
	$$inval_track('doc', key => 'doc:{{team_id}')$$,
	$$inval_track('doc', key => 'doc:{"team_id}')$$,
	$$inval_track('doc', key => 'doc:{"team_id"x}')$$,
	$$inval_track('doc', key => 'doc:{@nope}')$$,
	$$inval_track('doc', key => 'doc:{@}')$$,
	$$inval_track('doc', key => 'doc:{$sha}')$$,
	$$inval_track('doc', key => 'doc:{team_id.name}')$$,
	$$inval_track('doc', key => 'doc:{team_id[]}')$$,
	$$inval_track('doc', key => 'doc:{team_id|}')$$,
	$$inval_track('doc', key => 'doc:{team_id|sha1}')$$,
	$$inval_track('doc', key => 'doc:{team_id|MD5}')$$,
	$$inval_track('doc', key => 'doc:{team_id|md5 }')$$,
	$$inval_track('doc', key => 'doc:{team_id|sha256:}')$$,
	$$inval_track('doc', key => 'doc:{team_id|sha256:0}')$$,
	$$inval_track('doc', key => 'doc:{team_id|sha256:-1}')$$,
	$$inval_track('doc', key => 'doc:{team_id|sha256:8x}')$$,
	$$inval_track('doc', key => 'doc:{team_id|sha256:99999999999999999999}')$$,
	$$inval_track('doc', key => 'doc:{team_id|lower|lower|lower|lower|lower|lower|lower|lower|lower}')$$,
	$$inval_track('doc', key => repeat('x', 8193))$$,
	$$inval_track('doc', 'team_id', field => '')$$,
	$$inval_track('doc', 'team_id', field => '{nope}')$$,
	$$inval_track('doc', 'team_id', field => '{id')$$,
	$$inval_track('doc', 'team_id', field => repeat('x', 8193))$$);

-- Paths along foreign keys
SELECT outcome(
	$$inval_track('note', key => '{team_id.}')$$,
	$$inval_track('note', key => '{.id}')$$,
	$$inval_track('note', key => '{team_id..id}')$$,
	$$inval_track('note', key => '{nope.id}')$$,
	$$inval_track('note', key => '{ctid.id}')$$,
	$$inval_track('note', key => '{id.id}')$$,
	$$inval_track('note', key => '{words.id}')$$,
	$$inval_track('note', key => '{team_id.nope}')$$,
	$$inval_track('note', key => '{team_id.ctid}')$$,
	$$inval_track('note', key => '{team_id.ID}')$$,
	$$inval_track('note', key => '{team_id.org_id.id}')$$,
	$$inval_track('note', key => '{team_id.tags}') > 0$$,
	$$inval_track('note', key => '{both_id.id}')$$,
	$$inval_track('note', key => '{org_id.id}') > 0$$,
	$$inval_track('note', key => '{region.id}') > 0$$,
	$$inval_track('note', key => '{@table.id}')$$,
	$$inval_track('note', key => '{$sha.id}')$$,
	$$inval_track('note', key => '{"team_id.id"}')$$,
	$$inval_track('note', key => '{"team_id"."id"}') > 0$$,
	$$inval_track('note', key => '{team_id.id.}')$$,
	$$inval_track('note', key => '{team_id.id|sha1}')$$,
	$$inval_track('note', key => '{note_id.note_id.note_id.note_id.note_id.note_id.note_id.note_id.id}')$$,
	$$inval_track('note', key => '{' || repeat('note_id.', 40) || 'id}')$$,
	$$inval_track('note', 'id', field => '{team_id.nope}')$$,
	$$inval_track('note', 'id', field => '{team_id.region|upper}') > 0$$,
	$$inval_track('note', 'team_id.region')$$,
	$$inval_track('note', 'id', changes => '{team_id.region}')$$,
	$$inval_track('note', key => '{a.b}')$$,
	$$inval_track('note', key => '{"a.b"}') > 0$$,
	$$inval_track('doc_view', key => '{team_id.id}')$$,
	$$inval_track('doc_matview', key => '{team_id.id}')$$);

-- Elements of arrays
SELECT outcome(
	$$inval_track('note', key => '{tags[]}') > 0$$,
	$$inval_track('note', key => '{sheet[]}:{tags[]|md5}') > 0$$,
	$$inval_track('note', key => '{words[]}')$$,
	$$inval_track('note', key => '{id[]}')$$,
	$$inval_track('note', key => '{nope[]}')$$,
	$$inval_track('note', key => '{[]}')$$,
	$$inval_track('note', key => '{tags[}')$$,
	$$inval_track('note', key => '{tags]}')$$,
	$$inval_track('note', key => '{tags[1]}')$$,
	$$inval_track('note', key => '{tags[][]}')$$,
	$$inval_track('note', key => '{tags[].x}')$$,
	$$inval_track('note', key => '{tags[] }')$$,
	$$inval_track('note', key => '{team_id.tags[]}') > 0$$,
	$$inval_track('note', key => '{team_id.region[]}')$$,
	$$inval_track('note', key => '{team_id[].tags}')$$,
	$$inval_track('note', key => '{"c[]"}') > 0$$,
	$$inval_track('note', key => '{"c[]"[]}') > 0$$,
	$$inval_track('note', 'tags[]')$$,
	$$inval_track('note', key => '{@table[]}')$$);

-- Variables
SELECT outcome(
	$$inval_track('note', key => '{$}')$$,
	$$inval_track('note', key => '{$ }')$$,
	$$inval_track('note', key => '{$nope}')$$,
	$$inval_track('note', 'id', field => '{$nope}')$$,
	$$inval_track('note', key => '{"$nope"}')$$,
	$$inval_track('note', key => '{$nope[]}')$$,
	$$inval_track('note', key => '{$nope|sha1}')$$);

-- via
SELECT outcome(
	$$inval_track('note', key => '{x}', via => '')$$,
	$$inval_track('note', key => '{x}', via => ' ')$$,
	$$inval_track('note', key => '{x}', via => ';')$$,
	$$inval_track('note', key => '{x}', via => 'nonsense')$$,
	$$inval_track('note', key => '{x}', via => 'SELECT id AS x FROM nope')$$,
	$$inval_track('note', key => '{x}', via => 'SELECT nope AS x FROM team')$$,
	$$inval_track('note', key => '{x}', via => 'SELECT id AS x FROM team; SELECT 1')$$,
	$$inval_track('note', key => '{x}', via => 'SELECT id AS x FROM team;') > 0$$,
	$$inval_track('note', key => '{x}', via => 'SELECT id FROM team')$$,
	$$inval_track('note', key => '{x}', via => 'SELECT id AS x, id AS x FROM team')$$,
	$$inval_track('note', key => '{x}', via => 'SELECT FROM team')$$,
	$$inval_track('note', key => '{x.y}', via => 'SELECT id AS x FROM team')$$,
	$$inval_track('note', key => '{"x.y"}', via => 'SELECT id AS "x.y" FROM team') > 0$$,
	$$inval_track('note', key => '{x[]}', via => 'SELECT id AS x FROM team')$$,
	$$inval_track('note', key => '{x[]}', via => 'SELECT tags AS x FROM team') > 0$$,
	$$inval_track('note', key => '{x}', field => '{y}', via => 'SELECT id AS x FROM team')$$,
	$$inval_track('note', 'id', via => 'SELECT {id} AS id') > 0$$,
	$$inval_track('note', 'id', via => 'SELECT 1 AS x')$$,
	$$inval_track('note', key => 'all', via => 'SELECT id FROM team') > 0$$,
	$$inval_track('note', key => '{x}', via => 'SELECT {nope} AS x')$$,
	$$inval_track('note', key => '{x}', via => 'SELECT {ctid} AS x')$$,
	$$inval_track('note', key => '{x}', via => 'SELECT {} AS x')$$,
	$$inval_track('note', key => '{x}', via => 'SELECT {id AS x')$$,
	$$inval_track('note', key => '{x}', via => 'SELECT {team_id.region} AS x')$$,
	$$inval_track('note', key => '{x}', via => 'SELECT {tags[]} AS x')$$,
	$$inval_track('note', key => '{x}', via => 'SELECT {id|md5} AS x')$$,
	$$inval_track('note', key => '{x}', via => 'SELECT {$sha} AS x')$$,
	$$inval_track('note', key => '{x}', via => 'SELECT {@table} AS x')$$,
	$$inval_track('note', key => '{x}', via => 'SELECT ''{words}'' AS x')$$,
	$$inval_track('note', key => '{x}', via => 'SELECT ''{{words}}'' AS x') > 0$$,
	$$inval_track('note', key => '{x}', via => 'SELECT $q${words}$q$ AS x')$$,
	$$inval_track('note', key => '{x}', via => 'SELECT 1 AS x -- {words}')$$,
	$$inval_track('note', key => '{x}', via => 'SELECT 1 AS x /* {words} */')$$,
	$$inval_track('note', key => '{x}', via => 'SELECT 1 AS "{words}"')$$,
	$$inval_track('note', key => '{x}', via => 'SELECT $1 AS x')$$,
	$$inval_track('note', key => '{x}', via => 'SELECT {id} + $1 AS x')$$,
	$$inval_track('note', key => '{x}', via => 'SELECT id AS x FROM {words}')$$,
	$$inval_track('note', key => '{x}', via => 'SELECT id AS x FROM team WHERE id = {words}')$$,
	$$inval_track('note', key => '{x}', via => 'INSERT INTO team VALUES (1) RETURNING id AS x')$$,
	$$inval_track('note', key => '{x}', via => 'UPDATE team SET id = 1 RETURNING id AS x')$$,
	$$inval_track('note', key => '{x}', via => 'WITH d AS (DELETE FROM team RETURNING id) SELECT id AS x FROM d')$$,
	$$inval_track('note', key => '{x}', via => 'SELECT id AS x INTO new FROM team')$$,
	$$inval_track('note', key => '{x}', via => 'SELECT id AS x FROM team FOR UPDATE')$$,
	$$inval_track('note', key => '{x}', via => 'SELECT id AS x FROM (SELECT id FROM team FOR SHARE) t')$$,
	$$inval_track('note', key => '{x}', via => 'VALUES (1)')$$,
	$$inval_track('note', key => '{column1}', via => 'VALUES (1)') > 0$$,
	$$inval_track('note', key => '{x}', via => 'TABLE team')$$,
	$$inval_track('note', key => '{id}', via => 'TABLE team') > 0$$,
	$$inval_track('note', key => '{x}', via => 'EXPLAIN SELECT 1 AS x')$$,
	$$inval_track('note', key => '{x}', via => 'COPY team TO STDOUT')$$,
	$$inval_track('note', key => '{x}', via => 'DECLARE c CURSOR FOR SELECT 1 AS x')$$,
	$$inval_track('note', key => '{x}', via => 'SELECT id AS x FROM doc_temp')$$,
	$$inval_track('note', key => '{x}', via => 'SELECT write_team() AS x') > 0$$,
	$$inval_track('note', key => '{x}', via => 'SELECT 1 AS x' || repeat(' ', 8192))$$,
	$$inval_track('note', 'id', via => 'SELECT 1 AS id', changes => '{nope}')$$);

-- Words
SELECT outcome(
	$$inval_track('doc', 'team_id', action => NULL)$$,
	$$inval_track('doc', 'team_id', action => 'remove')$$,
	$$inval_track('doc', 'team_id', action => 'DELETE')$$,
	$$inval_track('doc', key => '{team_id}:', action => 'prefix')$$,
	$$inval_track('doc', key => '{@table}:{team_id}', action => 'prefix')$$,
	$$inval_track('doc', 'team_id', action => 'prefix', delivery => 'strict')$$,
	$$inval_track('doc', 'team_id', action => 'prefix', field => 'f')$$,
	$$inval_track('doc', 'team_id', action => 'prefix', publish => 'c')$$,
	$$inval_track('doc', 'team_id', action => 'expire')$$,
	$$inval_track('doc', 'team_id', action => 'none')$$,
	$$inval_track('doc', 'team_id', delivery => NULL)$$,
	$$inval_track('doc', 'team_id', delivery => 'later')$$,
	$$inval_track('doc', key => 'doc:{team_id}', field => 'f', delivery => 'strict')$$,
	$$inval_track('doc', 'team_id', action => 'version', delivery => 'strict')$$,
	$$inval_track('doc', 'team_id', state => NULL)$$,
	$$inval_track('doc', 'team_id', state => 'maybe')$$);

-- Lists
SELECT outcome(
	$$inval_track('doc', 'team_id', changes => '{}')$$,
	$$inval_track('doc', 'team_id', changes => '{NULL}')$$,
	$$inval_track('doc', 'team_id', changes => '{body,nope}')$$,
	$$inval_track('doc', 'team_id', changes => '{ctid}')$$,
	$$inval_track('doc', 'team_id', targets => NULL)$$,
	$$inval_track('doc', 'team_id', targets => '{}')$$,
	$$inval_track('doc', 'team_id', targets => '{NULL}')$$,
	$$inval_track('doc', 'team_id', targets => '{elsewhere}')$$,
	$$inval_track('doc', 'team_id', targets => '{default,default}')$$);

-- Options that do not go together, and one that this version does not have
SELECT outcome(
	$$inval_track('doc', 'team_id', ttl => '1 minute')$$,
	$$inval_track('doc', 'team_id', action => 'expire', ttl => '0')$$,
	$$inval_track('doc', 'team_id', action => 'expire', ttl => '1 month')$$,
	$$inval_track('doc', key => 'doc:{team_id}', field => '{team_id}', action => 'version')$$,
	$$inval_track('doc', 'team_id', publish => 'c:{nope}')$$,
	$$inval_track('doc', 'team_id', stream => '{')$$,
	$$inval_track('doc', key => 'doc:{team_id}', field => '{team_id}', fence => true)$$,
	$$inval_track('doc', 'team_id', fence => NULL)$$,
	$$inval_track('doc', 'team_id', repeat_after => '2 hours')$$,
	$$inval_track('doc', 'team_id', refill => 'SELECT 1')$$);

-- The other functions
SELECT outcome(
	$$inval_untrack(NULL)$$,
	$$inval_untrack('doc')$$,
	$$inval_untrack_rule(NULL)$$,
	$$inval_untrack_rule(-1)$$,
	$$inval_untrack_rule(2147483647)$$);
SELECT outcome(
	$$count(*) FROM inval_preview('doc')$$,
	$$count(*) FROM inval_preview('doc', 0)$$,
	$$count(*) FROM inval_preview('doc', -1)$$,
	$$count(*) FROM inval_preview(NULL)$$,
	$$count(*) FROM inval_preview('doc', NULL)$$,
	$$count(*) FROM inval_preview('doc_view')$$,
	$$count(*) FROM inval_preview('doc_sequence')$$);
SELECT outcome(
	$$inval_touch(NULL)$$,
	$$inval_touch('')$$,
	$$inval_touch(repeat('x', 65537))$$,
	$$inval_touch('key', field => repeat('x', 65537))$$,
	$$inval_touch('key', NULL)$$,
	$$inval_touch('key', 'remove')$$,
	$$inval_touch('key', delivery => NULL)$$,
	$$inval_touch('key', delivery => 'later')$$,
	$$inval_touch('key', target => NULL)$$,
	$$inval_touch('key', target => 'elsewhere')$$);
SELECT outcome(
	$$inval_drain(NULL)$$,
	$$inval_drain('-1 second')$$,
	$$inval_drain('1 hour')$$,
	$$inval_pause(NULL)$$,
	$$inval_pause('elsewhere')$$,
	$$inval_resume(NULL)$$,
	$$inval_resume('elsewhere')$$);
-- Trigger functions are for tracked tables only.
SELECT outcome(
	$$inval_capture_row()$$,
	$$inval_capture_truncate()$$,
	$$inval_rule_carrier()$$,
	$$inval_rule_write()$$,
	$$inval_on_ddl_start()$$,
	$$inval_on_ddl_end()$$,
	$$inval_on_rewrite()$$,
	$$inval_on_drop()$$,
	$$count(*) FROM inval_outbox_source()$$);
\pset tuples_only off
\pset format aligned
\set VERBOSITY default
CREATE TRIGGER wrong BEFORE INSERT ON doc
	FOR EACH ROW EXECUTE FUNCTION inval_capture_row();
INSERT INTO doc VALUES (2, 2, 'x');
DROP TRIGGER wrong ON doc;
CREATE TRIGGER wrong AFTER INSERT ON doc
	FOR EACH STATEMENT EXECUTE FUNCTION inval_capture_row();
INSERT INTO doc VALUES (2, 2, 'x');
DROP TRIGGER wrong ON doc;
CREATE TRIGGER wrong AFTER TRUNCATE ON doc
	FOR EACH STATEMENT EXECUTE FUNCTION inval_capture_truncate();
TRUNCATE doc;
DROP TRIGGER wrong ON doc;

CREATE TRIGGER wrong INSTEAD OF INSERT ON doc_view
	FOR EACH ROW EXECUTE FUNCTION inval_rule_write();
INSERT INTO doc_view VALUES (2, 2, 'x');
DROP TRIGGER wrong ON doc_view;
CREATE EVENT TRIGGER wrong ON ddl_command_end EXECUTE FUNCTION inval_capture_row();

-- A carrier of one's own making is not taken for a rule in silence.
CREATE TRIGGER "00_inval_rule_x" BEFORE TRUNCATE ON doc FOR EACH STATEMENT
	EXECUTE FUNCTION inval_rule_carrier();
CREATE TRIGGER "00_inval_rule_y" BEFORE TRUNCATE ON doc FOR EACH STATEMENT
	EXECUTE FUNCTION inval_rule_carrier('key', 'doc:{id}');
SELECT count(*) FROM inval_rule;

-- Rows of inval_rule that inval_track would not make
SELECT inval_track('doc', 'id') AS rule \gset
CREATE FUNCTION refused(VARIADIC commands text[]) RETURNS SETOF text
LANGUAGE plpgsql AS $$
DECLARE
	command text;
	said text;
	detail text;
BEGIN
	FOREACH command IN ARRAY commands LOOP
		RETURN NEXT command;
		BEGIN
			EXECUTE command;
			RETURN NEXT '    is not refused';
		EXCEPTION WHEN OTHERS THEN
			GET STACKED DIAGNOSTICS said = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
			RETURN NEXT regexp_replace(format('    %s: %s', SQLSTATE, said), 'rule \d+', 'rule N');
			IF detail <> '' THEN
				RETURN NEXT '    DETAIL: ' || detail;
			END IF;
		END;
	END LOOP;
END
$$;
\pset format unaligned
\pset tuples_only on
SELECT refused(
	$$INSERT INTO inval_rule DEFAULT VALUES$$,
	$$INSERT INTO inval_rule (key) VALUES ('x')$$,
	$$INSERT INTO inval_rule (relation) VALUES ('doc')$$,
	$$INSERT INTO inval_rule (relation, key) VALUES ('nope', 'x')$$,
	$$INSERT INTO inval_rule (relation, key) VALUES (4294967295::oid, 'x')$$,
	$$INSERT INTO inval_rule (relation, key) VALUES ('doc_view', 'x')$$,
	$$INSERT INTO inval_rule (relation, key) VALUES ('pg_class', 'x')$$,
	$$INSERT INTO inval_rule (relation, key) VALUES ('doc', 'doc:{id}')$$,
	$$INSERT INTO inval_rule (id, relation, key) VALUES ((SELECT id FROM inval_rule), 'doc', 'x')$$,
	$$INSERT INTO inval_rule (id, relation, key) VALUES (0, 'doc', 'x')$$,
	$$INSERT INTO inval_rule (id, relation, key) VALUES (-1, 'doc', 'x')$$,
	$$INSERT INTO inval_rule (relation, key) VALUES ('doc', '{nope}')$$,
	$$INSERT INTO inval_rule (relation, key) VALUES ('doc', '')$$,
	$$INSERT INTO inval_rule (relation, key, field) VALUES ('doc', 'x', '{nope}')$$,
	$$INSERT INTO inval_rule (relation, key, via) VALUES ('doc', 'x', 'nonsense')$$,
	$$UPDATE inval_rule SET id = id + 1$$,
	$$UPDATE inval_rule SET id = NULL$$,
	$$UPDATE inval_rule SET relation = 'doc_matview'$$,
	$$UPDATE inval_rule SET relation = NULL$$,
	$$UPDATE inval_rule SET key = NULL$$,
	$$UPDATE inval_rule SET action = 'remove'$$,
	$$UPDATE inval_rule SET action = 'refill'$$,
	$$UPDATE inval_rule SET delivery = 'later'$$,
	$$UPDATE inval_rule SET state = 'maybe'$$,
	$$UPDATE inval_rule SET changes = '{}'$$,
	$$UPDATE inval_rule SET changes = '{nope}'$$,
	$$UPDATE inval_rule SET changes = '{NULL}'$$,
	$$UPDATE inval_rule SET changes = '{ctid}'$$,
	$$UPDATE inval_rule SET targets = '{elsewhere}'$$,
	$$UPDATE inval_rule SET targets = '{}'$$,
	$$UPDATE inval_rule SET ttl = '1 min', publish = 'p'$$,
	$$UPDATE inval_rule SET field = 'f', fence = true$$);
\pset tuples_only off
\pset format aligned
DROP FUNCTION refused(text[]);
DELETE FROM inval_rule WHERE id = 0;
SELECT * FROM rules;
-- NULL is what is not given.
UPDATE inval_rule SET action = NULL, delivery = NULL, fence = NULL, targets = NULL, state = NULL
WHERE id = :rule;
SELECT * FROM rules;
SELECT inval_untrack_rule(:rule);
SELECT * FROM queued();

-- What writes cannot run where nothing may be written.
\set SHOW_CONTEXT never
BEGIN READ ONLY;
SELECT inval_touch('key');
ROLLBACK;
BEGIN READ ONLY;
SELECT inval_drain();
ROLLBACK;
BEGIN READ ONLY;
SELECT inval_track('doc', 'team_id');
ROLLBACK;
SELECT inval_track('doc', 'team_id') AS rule \gset
BEGIN READ ONLY;
SELECT inval_track('doc', 'team_id') = :rule AS same;
SELECT inval_untrack('doc');
ROLLBACK;
BEGIN READ ONLY;
DELETE FROM inval_rule;
ROLLBACK;
SELECT inval_untrack('doc');
\set SHOW_CONTEXT errors
-- Reading can.
BEGIN READ ONLY;
SELECT count(*) >= 0 AS read FROM inval_queue;
SELECT count(*) >= 0 AS read FROM inval_stats;
SELECT count(*) FROM inval_target_status;
SELECT count(*) FROM inval_preview('doc');
COMMIT;

-- Nothing has come of all that.
SELECT * FROM rules;
SELECT * FROM triggers_of('doc');
SELECT * FROM queued();

-- A wrong call leaves a rule that is there as it is.
SELECT inval_track('doc', 'team_id', changes => '{body}') IS NOT NULL AS tracked;
SELECT inval_track('doc', 'team_id', changes => '{nope}');
SELECT inval_track('doc', 'team_id', delivery => 'later');
SELECT * FROM rules;
SELECT inval_untrack('doc');

DROP FOREIGN TABLE doc_foreign;
DROP SERVER doc_server;
DROP FOREIGN DATA WRAPPER doc_wrapper;
DROP TABLE doc_child, doc_parent, doc_parted, doc_temp;
DROP TYPE doc_type;
DROP SEQUENCE doc_sequence;
DROP MATERIALIZED VIEW doc_matview;
DROP VIEW doc_view;
DROP TABLE note, doc, team;
DROP FUNCTION write_team();
