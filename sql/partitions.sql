--
-- Partitioned tables: the rules of the root and of each level hold for all
-- that belongs to it, whatever comes and goes.
--
ALTER SEQUENCE inval_rule_id_seq RESTART 100;	-- for messages that have a rule's number
CREATE FUNCTION tracked_leaves(regclass) RETURNS TABLE (leaf regclass, triggers text)
LANGUAGE sql AS $$
	SELECT t.relid, (SELECT string_agg(format('%s %s', name, enabled), ', ' ORDER BY name)
					 FROM triggers_of(t.relid))
	FROM (SELECT relid FROM pg_partition_tree($1)) t
	ORDER BY t.relid::text COLLATE "C"
$$;

-- Partitions that differ from the root: other order of columns, dropped ones,
-- another level, a default.
CREATE TABLE event (id integer NOT NULL, gone text, team_id integer, kind text)
	PARTITION BY LIST (kind);
ALTER TABLE event DROP COLUMN gone;
CREATE TABLE event_a PARTITION OF event FOR VALUES IN ('a');
CREATE TABLE event_b (kind text, dropped integer, team_id integer, dropped_too text, id integer NOT NULL);
ALTER TABLE event_b DROP COLUMN dropped, DROP COLUMN dropped_too;
ALTER TABLE event ATTACH PARTITION event_b FOR VALUES IN ('b');
CREATE TABLE event_c (team_id integer, id integer NOT NULL, kind text) PARTITION BY RANGE (id);
CREATE TABLE event_c1 (dropped integer, kind text, id integer NOT NULL, team_id integer);
ALTER TABLE event_c1 DROP COLUMN dropped;
ALTER TABLE event_c ATTACH PARTITION event_c1 FOR VALUES FROM (0) TO (100);
CREATE TABLE event_c2 PARTITION OF event_c FOR VALUES FROM (100) TO (200);
ALTER TABLE event ATTACH PARTITION event_c FOR VALUES IN ('c');
CREATE TABLE event_rest PARTITION OF event DEFAULT;

INSERT INTO event VALUES (1, 1, 'a'), (2, 2, 'b'), (3, 3, 'c'), (103, 4, 'c'), (5, 5, 'z');
SELECT inval_track('event', 'team_id, kind') AS rule \gset
SELECT * FROM tracked_leaves('event');
SELECT inval_track('event', 'team_id, kind') = :rule AS same;
SELECT key FROM inval_preview('event') ORDER BY key;
SELECT key FROM inval_preview('event_c1') ORDER BY key;
SELECT relation, key FROM rules;

-- Through the root, through a level, through a leaf
INSERT INTO event VALUES (11, 11, 'a'), (12, 12, 'b'), (13, 13, 'c'), (113, 14, 'c'), (15, NULL, 'z'), (16, 16, 'y');
SELECT * FROM queued();
UPDATE event SET id = id WHERE team_id < 10;
SELECT * FROM queued();
UPDATE event_c SET team_id = 23 WHERE id = 13;
SELECT * FROM queued();
UPDATE event_b SET team_id = 22 WHERE id = 12;
SELECT * FROM queued();
DELETE FROM event_rest;
SELECT * FROM queued();
DELETE FROM ONLY event;
SELECT * FROM queued();
COPY event FROM stdin;
21	21	a
22	22	b
123	24	c
\.
SELECT * FROM queued();
COPY event_c2 FROM stdin;
99	199	c
\.
SELECT * FROM queued();
-- Rows that move are gone there and new here.
UPDATE event SET kind = 'b' WHERE id = 1;
SELECT * FROM queued();
UPDATE event SET id = id + 100 WHERE id = 13;
SELECT * FROM queued();
UPDATE event SET kind = 'moved', team_id = team_id + 1000 WHERE kind = 'c' AND id < 110;
SELECT * FROM queued();
-- A row that cannot move
UPDATE event_a SET kind = 'b';
SELECT * FROM queued();
INSERT INTO event VALUES (31, 31, 'a') ON CONFLICT DO NOTHING;
MERGE INTO event e USING (VALUES (31, 32), (33, 33)) v (id, team_id) ON e.id = v.id
	WHEN MATCHED THEN UPDATE SET team_id = v.team_id
	WHEN NOT MATCHED THEN INSERT VALUES (v.id, v.team_id, 'b');
SELECT * FROM queued();

-- TRUNCATE of a leaf, a level, the root
TRUNCATE event_a;
SELECT * FROM queued();
TRUNCATE event_c;
SELECT * FROM queued();
TRUNCATE ONLY event;
TRUNCATE event;
SELECT * FROM queued();
SELECT count(*) FROM event;

-- A rule of a level, and of a leaf
SELECT inval_track('event_c', key => 'level:{id}') AS level_rule \gset
SELECT inval_track('event_c1', key => 'leaf:{id}') AS leaf_rule \gset
SELECT * FROM tracked_leaves('event');
INSERT INTO event VALUES (1, 1, 'a'), (3, 3, 'c'), (103, 4, 'c');
SELECT * FROM queued();
-- A row that leaves them
UPDATE event SET kind = 'a' WHERE id = 3;
SELECT * FROM queued();
UPDATE event SET kind = 'c' WHERE id = 3;
SELECT * FROM queued();
-- The triggers stay where something else needs them, and go with the last rule.
SELECT inval_untrack('event');
SELECT * FROM tracked_leaves('event');
UPDATE event SET team_id = 7;
SELECT * FROM queued();
SELECT inval_untrack('event');
SELECT inval_untrack('event_c');
SELECT * FROM tracked_leaves('event');
UPDATE event SET team_id = 8;
SELECT * FROM queued();
SELECT inval_untrack_rule(:leaf_rule);
SELECT * FROM tracked_leaves('event');
UPDATE event SET team_id = 9;
SELECT * FROM queued();
SELECT inval_untrack('event');

-- Partitions that come later: created, attached with rows, at any level
SELECT inval_track('event', 'team_id, kind') AS rule \gset
CREATE TABLE event_d PARTITION OF event FOR VALUES IN ('d');
CREATE TABLE event_e PARTITION OF event FOR VALUES IN ('e') PARTITION BY RANGE (id);
CREATE TABLE event_e1 PARTITION OF event_e FOR VALUES FROM (0) TO (100);
SELECT * FROM triggers_of('event_d');
SELECT * FROM triggers_of('event_e');
SELECT * FROM triggers_of('event_e1');
INSERT INTO event VALUES (41, 41, 'd'), (42, 42, 'e');
SELECT * FROM queued();
-- The keys of the rows that appear, and only those
CREATE TABLE event_f (kind text, id integer NOT NULL, team_id integer);
INSERT INTO event_f VALUES ('f', 51, 51), ('f', 52, NULL), ('f', 53, 53);
ALTER TABLE event ATTACH PARTITION event_f FOR VALUES IN ('f');
SELECT * FROM queued();
SELECT * FROM triggers_of('event_f');
CREATE TABLE event_g (id integer NOT NULL, kind text, team_id integer) PARTITION BY RANGE (id);
CREATE TABLE event_g1 PARTITION OF event_g FOR VALUES FROM (0) TO (100);
CREATE TABLE event_g2 PARTITION OF event_g DEFAULT;
INSERT INTO event_g VALUES (61, 'g', 61), (161, 'g', 62);
SELECT * FROM triggers_of('event_g1');
ALTER TABLE event ATTACH PARTITION event_g FOR VALUES IN ('g');
SELECT * FROM queued();
SELECT * FROM triggers_of('event_g1');
SELECT * FROM triggers_of('event_g2');
CREATE TABLE event_e2 (LIKE event INCLUDING ALL);
INSERT INTO event_e2 VALUES (171, 71, 'e');
ALTER TABLE event_e ATTACH PARTITION event_e2 FOR VALUES FROM (100) TO (200);
SELECT * FROM queued();
UPDATE event SET team_id = -team_id WHERE kind IN ('f', 'g') OR id = 171;
SELECT * FROM queued();
-- One that cannot be attached
CREATE TABLE event_h (LIKE event);
INSERT INTO event_h VALUES (81, 81, 'not h');
ALTER TABLE event ATTACH PARTITION event_h FOR VALUES IN ('h');
SELECT * FROM triggers_of('event_h');
BEGIN;
SAVEPOINT a;
DELETE FROM event_h;
ALTER TABLE event ATTACH PARTITION event_h FOR VALUES IN ('h');
INSERT INTO event VALUES (82, 82, 'h');
ROLLBACK TO a;
COMMIT;
SELECT * FROM triggers_of('event_h');
UPDATE event_h SET id = id;
SELECT * FROM queued();
DROP TABLE event_h;

-- DETACH: the keys of the rows that vanish, and only those
ALTER TABLE event DETACH PARTITION event_f;
SELECT * FROM queued();
SELECT * FROM triggers_of('event_f');
UPDATE event_f SET id = id + 1;
TRUNCATE event_f;
SELECT * FROM queued();
DROP TABLE event_f;
SELECT * FROM queued();
-- A level with its leaves
ALTER TABLE event DETACH PARTITION event_g;
SELECT * FROM queued();
SELECT * FROM tracked_leaves('event_g');
UPDATE event_g SET team_id = 1;
SELECT * FROM queued();
-- A leaf of a level
ALTER TABLE event_e DETACH PARTITION event_e2;
SELECT * FROM queued();
SELECT * FROM triggers_of('event_e2');
-- Rolled back
BEGIN;
ALTER TABLE event DETACH PARTITION event_d;
INSERT INTO event_d VALUES (43, 43, 'd');
ROLLBACK;
SELECT * FROM queued();
SELECT * FROM triggers_of('event_d');
-- There and back
BEGIN;
ALTER TABLE event DETACH PARTITION event_d;
INSERT INTO event_d VALUES (44, 44, 'd');
DELETE FROM event_d WHERE id = 41;
ALTER TABLE event ATTACH PARTITION event_d FOR VALUES IN ('d');
COMMIT;
SELECT * FROM queued();
SELECT * FROM triggers_of('event_d');

-- CONCURRENTLY, which wants no default partition
ALTER TABLE event DETACH PARTITION event_d CONCURRENTLY;
DELETE FROM event_rest;
DROP TABLE event_rest;
SELECT count(*) FROM queued();
ALTER TABLE event DETACH PARTITION event_d CONCURRENTLY;
SELECT * FROM queued();
SELECT * FROM triggers_of('event_d');
INSERT INTO event_d VALUES (45, 45, 'd');
SELECT * FROM queued();
ALTER TABLE event ATTACH PARTITION event_d FOR VALUES IN ('d');
SELECT * FROM queued();

-- What an interrupted one leaves (there is no second session here to do so)
UPDATE pg_inherits SET inhdetachpending = true WHERE inhrelid = 'event_d'::regclass;
UPDATE event SET team_id = 46 WHERE kind = 'd';
SELECT * FROM queued();
ALTER TABLE event DETACH PARTITION event_d FINALIZE;
SELECT * FROM queued();
SELECT * FROM triggers_of('event_d');
ALTER TABLE event ATTACH PARTITION event_d FOR VALUES IN ('d');
SELECT count(*) FROM queued();
-- An index is attached, too.
CREATE INDEX event_kind ON ONLY event (kind);
CREATE INDEX event_d_kind ON event_d (kind);
ALTER INDEX event_kind ATTACH PARTITION event_d_kind;
DROP INDEX event_kind;
SELECT * FROM queued();

-- A row that moves is deleted and inserted, so it counts whatever has changed.
SELECT inval_track('event', key => 'only:{id}', changes => '{team_id}') AS only_rule \gset
UPDATE event SET id = id + 1 WHERE kind = 'd';
SELECT * FROM queued() WHERE key LIKE 'only%';
UPDATE event SET kind = 'a' WHERE kind = 'd';
SELECT * FROM queued() WHERE key LIKE 'only%';
UPDATE event SET kind = 'd' WHERE kind = 'a' AND id > 40;
SELECT count(*) FROM queued();
SELECT inval_untrack_rule(:only_rule);

-- An owner who is no superuser
CREATE ROLE regress_inval_parts;
GRANT CREATE ON SCHEMA public TO regress_inval_parts;
SET ROLE regress_inval_parts;
CREATE TABLE owned (id integer, team_id integer) PARTITION BY RANGE (id);
CREATE TABLE owned_1 PARTITION OF owned FOR VALUES FROM (0) TO (10);
SELECT inval_track('owned', 'team_id') IS NOT NULL AS tracked;
CREATE TABLE owned_2 (team_id integer, id integer);
INSERT INTO owned_2 VALUES (2, 12);
ALTER TABLE owned ATTACH PARTITION owned_2 FOR VALUES FROM (10) TO (20);
CREATE TABLE owned_3 PARTITION OF owned DEFAULT;
INSERT INTO owned VALUES (1, 1), (33, 3);
ALTER TABLE owned DETACH PARTITION owned_1;
DROP TABLE owned_3;
RESET ROLE;
SELECT * FROM queued();
SELECT * FROM tracked_leaves('owned');
-- A partition that another owns
CREATE TABLE owned_4 PARTITION OF owned FOR VALUES FROM (30) TO (40);
INSERT INTO owned VALUES (30, 4);
SELECT * FROM queued();
SET ROLE regress_inval_parts;
SELECT inval_untrack('owned') AS rules;
SELECT inval_track('owned', 'team_id') IS NOT NULL AS tracked;
UPDATE owned SET team_id = 5 WHERE id = 30;
DROP TABLE owned, owned_1;
RESET ROLE;
SELECT * FROM queued();
REVOKE CREATE ON SCHEMA public FROM regress_inval_parts;
DROP ROLE regress_inval_parts;

-- A partition that has rules of its own keeps them, and only them.
CREATE TABLE event_i (LIKE event);
INSERT INTO event_i VALUES (91, 91, 'i');
SELECT inval_track('event_i', key => 'own:{id}') IS NOT NULL AS tracked;
ALTER TABLE event ATTACH PARTITION event_i FOR VALUES IN ('i');
SELECT * FROM queued();
SELECT * FROM triggers_of('event_i');
UPDATE event SET id = 92 WHERE id = 91;
SELECT * FROM queued();
ALTER TABLE event DETACH PARTITION event_i;
SELECT * FROM queued();
SELECT * FROM triggers_of('event_i');
UPDATE event_i SET id = 93;
SELECT * FROM queued();
SELECT relation, key FROM rules ORDER BY key;
-- So does a level.
CREATE TABLE event_j (LIKE event) PARTITION BY RANGE (id);
CREATE TABLE event_j1 PARTITION OF event_j DEFAULT;
INSERT INTO event_j VALUES (1, 1, 'j');
SELECT inval_track('event_j', key => 'j:{id}') IS NOT NULL AS tracked;
SELECT inval_track('event_j', key => 'j off:{id}', state => 'off') IS NOT NULL AS tracked;
ALTER TABLE event ATTACH PARTITION event_j FOR VALUES IN ('j');
SELECT * FROM queued();
INSERT INTO event VALUES (2, 2, 'j');
SELECT * FROM queued();
ALTER TABLE event DETACH PARTITION event_j;
SELECT * FROM queued();
INSERT INTO event_j VALUES (3, 3, 'j');
SELECT * FROM queued();
-- Detached from an untracked root, attached to a tracked one
CREATE TABLE plain (LIKE event) PARTITION BY LIST (kind);
ALTER TABLE plain ATTACH PARTITION event_j FOR VALUES IN ('j');
SELECT * FROM queued();
BEGIN;
ALTER TABLE plain DETACH PARTITION event_j;
ALTER TABLE event ATTACH PARTITION event_j FOR VALUES IN ('j');
COMMIT;
SELECT * FROM queued();
DROP TABLE plain;

-- DROP of a partition: what its rows feed, by the root's rules and its own
INSERT INTO event_j VALUES (4, NULL, 'j');
SELECT count(*) FROM queued();
DROP TABLE event_j1;
SELECT * FROM queued();
DROP TABLE event_j;
SELECT * FROM queued();
SELECT relation, key FROM rules ORDER BY key;
BEGIN;
DROP TABLE event_d;
ROLLBACK;
SELECT * FROM queued();
DROP TABLE event_d;
SELECT * FROM queued();
-- A partition that a foreign key or a view keeps, unless CASCADE
CREATE TABLE event_k PARTITION OF event (PRIMARY KEY (id)) FOR VALUES IN ('k');
INSERT INTO event VALUES (1, 1, 'k');
CREATE TABLE refers (id integer REFERENCES event_k, team_id integer);
INSERT INTO refers VALUES (1, 100);
CREATE VIEW looks AS SELECT * FROM event_k;
SELECT inval_track('refers', 'team_id') IS NOT NULL AS tracked;
SELECT count(*) FROM queued();
DROP TABLE event_k;
SELECT * FROM queued();
SET client_min_messages = warning;
DROP TABLE event_k CASCADE;
RESET client_min_messages;
SELECT * FROM queued();
SELECT count(*) FROM refers;
DROP TABLE refers;
SELECT * FROM queued();
-- By DROP SCHEMA
CREATE SCHEMA parts;
CREATE TABLE parts.event_l PARTITION OF event FOR VALUES IN ('l') PARTITION BY RANGE (id);
CREATE TABLE parts.event_l1 PARTITION OF parts.event_l FOR VALUES FROM (0) TO (100);
CREATE TABLE event_l2 PARTITION OF parts.event_l FOR VALUES FROM (100) TO (200);
CREATE TABLE parts.event_m PARTITION OF event FOR VALUES IN ('m');
INSERT INTO event VALUES (1, 1, 'l'), (101, 2, 'l'), (3, 3, 'm');
SELECT count(*) FROM queued();
SET client_min_messages = warning;
DROP SCHEMA parts CASCADE;
RESET client_min_messages;
SELECT * FROM queued();
SELECT to_regclass('event_l2');
-- By DROP OWNED
CREATE ROLE regress_inval_parts;
CREATE TABLE event_n PARTITION OF event FOR VALUES IN ('n');
INSERT INTO event VALUES (1, 1, 'n');
SELECT count(*) FROM queued();
ALTER TABLE event_n OWNER TO regress_inval_parts;
DROP OWNED BY regress_inval_parts;
SELECT * FROM queued();
DROP ROLE regress_inval_parts;
-- By a type that goes
CREATE TYPE temper AS ENUM ('sad', 'ok');
CREATE TABLE tempers (id integer, temper temper) PARTITION BY LIST (temper);
CREATE TABLE tempers_sad PARTITION OF tempers FOR VALUES IN ('sad');
INSERT INTO tempers VALUES (1, 'sad');
SELECT inval_track('tempers', 'id') IS NOT NULL AS tracked;
SET client_min_messages = warning;
DROP TYPE temper CASCADE;
RESET client_min_messages;
SELECT * FROM queued();
SELECT relation, key FROM rules WHERE key LIKE 'tempers%';

-- Names
ALTER TABLE event_a RENAME TO event_first;
ALTER TABLE event RENAME TO happening;
ALTER TABLE happening RENAME COLUMN team_id TO squad_id;
SELECT relation, key FROM rules ORDER BY key;
SELECT inval_untrack('happening');
SELECT inval_track('happening', key => '{@schema}.{@table}:{squad_id}') IS NOT NULL AS tracked;
INSERT INTO happening VALUES (61, 61, 'a');
SELECT * FROM queued();
CREATE SCHEMA elsewhere;
ALTER TABLE event_first SET SCHEMA elsewhere;
INSERT INTO elsewhere.event_first VALUES (62, 62, 'a');
SELECT * FROM queued();
ALTER TABLE happening SET SCHEMA elsewhere;
INSERT INTO elsewhere.happening VALUES (63, 63, 'b');
SELECT * FROM queued();
ALTER TABLE elsewhere.happening SET SCHEMA public;
-- Columns
ALTER TABLE happening ADD COLUMN added integer DEFAULT 9;
SELECT inval_track('happening', key => 'added:{added}:{squad_id}', changes => '{added}') IS NOT NULL AS tracked;
SELECT count(*) FROM queued();
INSERT INTO happening VALUES (64, 64, 'b', 1);
UPDATE happening SET squad_id = 65 WHERE id = 64;
SELECT * FROM queued();
UPDATE event_b SET added = 2 WHERE id = 64;
SELECT * FROM queued();
ALTER TABLE happening DROP COLUMN added;
ALTER TABLE happening DROP COLUMN added CASCADE;
SELECT relation, key FROM rules ORDER BY key;
UPDATE happening SET squad_id = 66 WHERE id = 64;
SELECT * FROM queued();
-- One that a partition has inherited is not the partition's to rename or drop.
ALTER TABLE event_b RENAME COLUMN squad_id TO team_id;
ALTER TABLE event_b DROP COLUMN squad_id;
-- A rewrite of all partitions
SELECT inval_untrack('happening');
SELECT inval_track('happening', 'squad_id') IS NOT NULL AS tracked;
TRUNCATE happening;
INSERT INTO happening VALUES (1, 1, 'a'), (2, 2, 'b'), (3, 3, 'c');
SELECT count(*) FROM queued();
ALTER TABLE happening ALTER squad_id TYPE text USING 'x' || squad_id;
SELECT * FROM queued();

-- Triggers
ALTER TABLE event_b DISABLE TRIGGER ALL;
SELECT * FROM triggers_of('event_b');
ALTER TABLE happening DISABLE TRIGGER ALL;
SELECT * FROM tracked_leaves('happening');
ALTER TABLE happening ENABLE TRIGGER USER;
SELECT * FROM tracked_leaves('happening');
DROP TRIGGER "00_inval_row" ON event_b;
SELECT * FROM triggers_of('event_b');

-- Dropping the root
SELECT count(*) FROM queued();
DROP TABLE happening;
SELECT * FROM queued();
SELECT relation, key FROM rules ORDER BY key;
SELECT inval_untrack('event_i');
DROP TABLE event_e2, event_g, event_i;
DROP SCHEMA elsewhere;

-- Foreign keys between partitioned tables
CREATE TABLE parent (id integer PRIMARY KEY, team_id integer) PARTITION BY RANGE (id);
CREATE TABLE parent_1 PARTITION OF parent FOR VALUES FROM (0) TO (10);
CREATE TABLE parent_2 PARTITION OF parent FOR VALUES FROM (10) TO (20);
CREATE TABLE child (id integer, parent_id integer REFERENCES parent ON DELETE CASCADE ON UPDATE CASCADE)
	PARTITION BY RANGE (id);
CREATE TABLE child_1 (parent_id integer, id integer);
ALTER TABLE child ATTACH PARTITION child_1 FOR VALUES FROM (0) TO (10);
INSERT INTO parent VALUES (1, 1), (11, 2);
INSERT INTO child VALUES (1, 1), (2, 11);
SELECT inval_track('child', key => 'c:{parent_id.team_id}') IS NOT NULL AS tracked;
SELECT inval_track('parent', key => 'p:{id}') IS NOT NULL AS tracked;
UPDATE parent SET id = 2 WHERE id = 1;
SELECT * FROM queued();
DELETE FROM parent WHERE id = 11;
SELECT * FROM queued();
TRUNCATE parent CASCADE;
SELECT * FROM queued();
DROP TABLE child, parent;
SELECT * FROM queued();

-- Many partitions, an unlogged one, and a large one
CREATE TABLE many (id integer, team_id integer) PARTITION BY RANGE (id);
DO $$
BEGIN
	FOR i IN 0 .. 39 LOOP
		EXECUTE format('CREATE %s TABLE many_%s PARTITION OF many FOR VALUES FROM (%s) TO (%s)',
			CASE WHEN i = 0 THEN 'UNLOGGED' ELSE '' END, i, i * 1000, i * 1000 + 1000);
	END LOOP;
END
$$;
SELECT inval_track('many', 'team_id') IS NOT NULL AS tracked;
SELECT count(*) FROM pg_trigger WHERE tgname IN ('00_inval_row', '00_inval_truncate') AND tgenabled = 'A';
SET inval.pending_memory = '64kB';
INSERT INTO many SELECT i, i FROM generate_series(0, 39999, 10) i;
SELECT count(*), count(DISTINCT key) FROM queued();
ALTER TABLE many DETACH PARTITION many_39;
SELECT count(*), count(DISTINCT key) FROM queued();
DROP TABLE many;
SELECT count(*), count(DISTINCT key) FROM queued();
RESET inval.pending_memory;
DROP TABLE many_39;
SELECT count(*) FROM inval_rule;
SELECT count(*) FROM pg_trigger WHERE tgname LIKE '00_inval%';
DROP FUNCTION tracked_leaves(regclass);
SELECT * FROM queued();
