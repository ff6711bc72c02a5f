--
-- Foreign tables: what this server writes to them.  The other server is this
-- one, through a connection to itself.
--
ALTER SEQUENCE inval_rule_id_seq RESTART 100;	-- for messages that have a rule's number
CREATE EXTENSION postgres_fdw;
DO $$
BEGIN
	EXECUTE format('CREATE SERVER loopback FOREIGN DATA WRAPPER postgres_fdw'
				   ' OPTIONS (host %L, port %L, dbname %L)',
				   split_part(current_setting('unix_socket_directories'), ',', 1),
				   current_setting('port'), current_database());
END
$$;
CREATE USER MAPPING FOR CURRENT_USER SERVER loopback;
CREATE SCHEMA far;
CREATE TABLE far.doc (id integer PRIMARY KEY, team_id integer, note text);
CREATE FOREIGN TABLE doc (gone integer, note text, team_id integer, id integer NOT NULL)
	SERVER loopback OPTIONS (schema_name 'far');
ALTER FOREIGN TABLE doc DROP COLUMN gone;

SELECT inval_track('doc', 'team_id') AS rule \gset
SELECT inval_track('doc', 'team_id') = :rule AS same;
SELECT relation, key FROM rules;
-- There is a trigger for TRUNCATE from version 16 on.
SELECT * FROM triggers_of('doc') WHERE name <> '00_inval_truncate';

-- INSERT, UPDATE, DELETE, COPY
INSERT INTO doc (id, team_id) VALUES (1, 1), (2, 2), (3, NULL);
SELECT * FROM queued();
UPDATE doc SET team_id = team_id + 10, note = 'x' WHERE id <= 2;
SELECT * FROM queued();
UPDATE doc SET note = 'y';
SELECT * FROM queued();
DELETE FROM doc WHERE id = 1;
SELECT * FROM queued();
COPY doc (id, team_id) FROM stdin;
4	4
5	5
\.
SELECT * FROM queued();
INSERT INTO doc (id, team_id) VALUES (4, 44), (6, 6) ON CONFLICT DO NOTHING;
SELECT * FROM queued();
UPDATE doc d SET team_id = v.team_id FROM (VALUES (4, 40)) v (id, team_id) WHERE d.id = v.id;
SELECT * FROM queued();
WITH moved AS (DELETE FROM doc WHERE id = 6 RETURNING *)
INSERT INTO doc (id, team_id) SELECT id + 1, team_id FROM moved;
SELECT * FROM queued();
UPDATE doc SET id = 2 WHERE id = 4;
SELECT * FROM queued();
SELECT key FROM inval_preview('doc') ORDER BY key;

-- Rolled back
BEGIN;
UPDATE doc SET team_id = 99;
SAVEPOINT a;
ROLLBACK;
BEGIN;
SAVEPOINT a;
UPDATE doc SET team_id = 99;
ROLLBACK TO a;
INSERT INTO doc (id, team_id) VALUES (8, 8);
COMMIT;
SELECT * FROM queued();
SET session_replication_role = replica;
DELETE FROM doc WHERE id = 8;
RESET session_replication_role;
SELECT * FROM queued();
-- What the other server does is its own business, and so are its rules.
SELECT inval_track('far.doc', key => 'far:{id}') IS NOT NULL AS tracked;
UPDATE far.doc SET note = 'z' WHERE id = 2;
SELECT * FROM queued();
UPDATE doc SET note = 'zz' WHERE id = 2;
SELECT * FROM queued();
SELECT inval_untrack('far.doc');

-- changes =>, field =>, via =>
SELECT inval_track('doc', key => 'n:{note}', field => '{id}', changes => '{note}') IS NOT NULL AS tracked;
CREATE TABLE team (id integer PRIMARY KEY, org_id integer);
INSERT INTO team VALUES (40, 1), (12, 2), (13, 3);
SELECT inval_track('doc', key => 'org:{org_id}', via => 'SELECT org_id FROM team WHERE id = {team_id}') IS NOT NULL AS tracked;
UPDATE doc SET team_id = 13 WHERE id = 2;
SELECT * FROM queued();
UPDATE doc SET note = 'new' WHERE id = 2;
SELECT * FROM queued();
SELECT inval_track('doc', key => 't:{team_id.org_id}');
SELECT inval_untrack('doc', 'n:{note}'), inval_untrack('doc', 'org:{org_id}');

-- TRUNCATE, by itself and with others
SELECT id, team_id FROM doc ORDER BY id;
SELECT inval_track('team', 'id') IS NOT NULL AS tracked;
BEGIN;
TRUNCATE doc;
ROLLBACK;
SELECT * FROM queued();
SELECT count(*) FROM doc;
TRUNCATE doc;
SELECT * FROM queued();
INSERT INTO doc (id, team_id) VALUES (1, 1), (2, 2);
SELECT count(*) FROM queued();
BEGIN;
UPDATE doc SET team_id = 3 WHERE id = 2;
INSERT INTO doc (id, team_id) VALUES (4, 4);
TRUNCATE team, doc CASCADE;
COMMIT;
SELECT * FROM queued();
SELECT inval_untrack('team');
DROP TABLE team;

-- DDL: names, columns, triggers
INSERT INTO doc (id, team_id, note) VALUES (1, 1, 'a');
SELECT count(*) FROM queued();
ALTER FOREIGN TABLE doc RENAME COLUMN team_id TO squad_id;
ALTER FOREIGN TABLE doc ALTER squad_id OPTIONS (column_name 'team_id');
ALTER FOREIGN TABLE doc RENAME TO document;
ALTER FOREIGN TABLE document OPTIONS (table_name 'doc');
SELECT relation, key FROM rules;
UPDATE document SET squad_id = 2;
SELECT * FROM queued();
ALTER FOREIGN TABLE document DROP COLUMN squad_id;
ALTER FOREIGN TABLE document DISABLE TRIGGER ALL;
ALTER FOREIGN TABLE document DISABLE TRIGGER "00_inval_row";
ALTER FOREIGN TABLE document ENABLE REPLICA TRIGGER "00_inval_row";
DROP TRIGGER "00_inval_row" ON document;
SELECT * FROM triggers_of('document') WHERE name <> '00_inval_truncate';
ALTER FOREIGN TABLE document ALTER squad_id TYPE text;
UPDATE document SET note = 'b';
SELECT * FROM queued();
ALTER FOREIGN TABLE document DROP COLUMN squad_id CASCADE;
SELECT * FROM rules;
SELECT * FROM triggers_of('document');
SELECT inval_track('document', 'id') IS NOT NULL AS tracked;
SELECT inval_untrack('document');
SELECT * FROM triggers_of('document');
UPDATE document SET note = 'c';
SELECT * FROM queued();
SELECT inval_track('document', 'id') IS NOT NULL AS tracked;
-- The rows stay where they are.
DROP FOREIGN TABLE document;
SELECT count(*) FROM rules;
SELECT count(*) FROM queued();

-- Foreign partitions
CREATE TABLE far.event_b (id integer, team_id integer, kind text);
CREATE TABLE far.event_c (id integer, team_id integer, kind text);
CREATE TABLE far.event_d (id integer, team_id integer, kind text);
CREATE TABLE event (id integer, team_id integer, kind text) PARTITION BY LIST (kind);
CREATE TABLE event_a PARTITION OF event FOR VALUES IN ('a');
CREATE FOREIGN TABLE event_b PARTITION OF event FOR VALUES IN ('b')
	SERVER loopback OPTIONS (schema_name 'far');
SELECT inval_track('event', 'team_id, kind') IS NOT NULL AS tracked;
SELECT * FROM triggers_of('event_b') WHERE name <> '00_inval_truncate';
INSERT INTO event VALUES (1, 1, 'a'), (2, 2, 'b');
SELECT * FROM queued();
COPY event FROM stdin;
3	3	b
4	4	a
\.
SELECT * FROM queued();
UPDATE event SET team_id = team_id + 10;
SELECT * FROM queued();
-- A row that moves there; none moves from there.
UPDATE event SET kind = 'b' WHERE id = 1;
UPDATE event SET kind = 'b' WHERE id = 1 AND kind = 'a';
SELECT * FROM queued();
UPDATE event_b SET team_id = 20 WHERE id = 2;
SELECT * FROM queued();
DELETE FROM event WHERE id = 3;
SELECT * FROM queued();
-- Later ones
CREATE FOREIGN TABLE event_c PARTITION OF event FOR VALUES IN ('c')
	SERVER loopback OPTIONS (schema_name 'far');
SELECT * FROM triggers_of('event_c') WHERE name <> '00_inval_truncate';
INSERT INTO event VALUES (5, 5, 'c');
SELECT * FROM queued();
CREATE FOREIGN TABLE event_d (kind text, id integer, team_id integer)
	SERVER loopback OPTIONS (schema_name 'far');
INSERT INTO event_d VALUES ('d', 6, 6);
SELECT * FROM queued();
-- Rows that appear and vanish
ALTER TABLE event ATTACH PARTITION event_d FOR VALUES IN ('d');
SELECT * FROM queued();
SELECT * FROM triggers_of('event_d') WHERE name <> '00_inval_truncate';
UPDATE event SET team_id = 7 WHERE id = 6;
SELECT * FROM queued();
ALTER TABLE event DETACH PARTITION event_d;
SELECT * FROM queued();
SELECT * FROM triggers_of('event_d');
UPDATE event_d SET team_id = 8;
SELECT * FROM queued();
-- ... in two transactions, in the second of which there is no snapshot
ALTER TABLE event ATTACH PARTITION event_d FOR VALUES IN ('d');
SELECT * FROM queued();
ALTER TABLE event DETACH PARTITION event_d CONCURRENTLY;
SELECT DISTINCT * FROM queued();
SELECT * FROM triggers_of('event_d');
TRUNCATE event_b;
SELECT * FROM queued();
TRUNCATE event;
SELECT * FROM queued();
DROP FOREIGN TABLE event_c;
SELECT inval_untrack('event');
SELECT * FROM triggers_of('event_b');
DROP TABLE event;

-- A foreign child, and a local child of a foreign parent
CREATE TABLE far.kid (id integer, team_id integer);
CREATE TABLE elder (id integer, team_id integer);
CREATE FOREIGN TABLE kid () INHERITS (elder) SERVER loopback OPTIONS (schema_name 'far');
SELECT inval_track('elder', 'team_id') IS NOT NULL AS tracked;
INSERT INTO kid VALUES (1, 1);
UPDATE elder SET team_id = 2;
SELECT * FROM queued();
CREATE TABLE grandkid () INHERITS (kid);
INSERT INTO grandkid VALUES (3, 3);
DELETE FROM elder;
SELECT * FROM queued();
INSERT INTO kid VALUES (4, 4);
SELECT * FROM queued();
TRUNCATE elder;
SELECT * FROM queued();
DROP TABLE elder CASCADE;
SELECT * FROM queued();

-- An application that has rights on the foreign table only.  To truncate it
-- takes reading it: the remote rows name the keys.
CREATE ROLE regress_inval_far;
CREATE FOREIGN TABLE doc (id integer, team_id integer) SERVER loopback OPTIONS (schema_name 'far');
SELECT inval_track('doc', 'team_id') IS NOT NULL AS tracked;
GRANT INSERT, TRUNCATE ON doc TO regress_inval_far;
DO $$
BEGIN
	EXECUTE format('CREATE USER MAPPING FOR regress_inval_far SERVER loopback'
				   ' OPTIONS (user %L, password_required %L)', session_user, 'false');
END
$$;
SET ROLE regress_inval_far;
INSERT INTO doc VALUES (10, 10);
TRUNCATE doc;
RESET ROLE;
GRANT SELECT ON doc TO regress_inval_far;
SET ROLE regress_inval_far;
TRUNCATE doc;
RESET ROLE;
SELECT * FROM queued();

SET client_min_messages = warning;
DROP SCHEMA far CASCADE;
DROP EXTENSION postgres_fdw CASCADE;
DROP ROLE regress_inval_far;
RESET client_min_messages;
SELECT count(*) FROM inval_rule;
SELECT * FROM queued();
