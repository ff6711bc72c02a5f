--
-- Inheritance: the rules of a parent hold for its children, present and later.
--
ALTER SEQUENCE inval_rule_id_seq RESTART 100;	-- for messages that have a rule's number
SELECT inval_stats_reset();
CREATE TABLE person (id integer PRIMARY KEY, team_id integer, note text);
CREATE TABLE student (school text) INHERITS (person);
CREATE TABLE pupil (grade integer) INHERITS (student);
-- Columns of its own, merged, in another order, and dropped ones
CREATE TABLE teacher (dropped text, subject text, team_id integer, id integer NOT NULL, note text);
ALTER TABLE teacher DROP COLUMN dropped;
ALTER TABLE teacher INHERIT person;
CREATE TEMPORARY TABLE guest () INHERITS (person);
INSERT INTO person VALUES (1, 1), (2, NULL);
INSERT INTO student VALUES (11, 11), (12, 12);
INSERT INTO pupil VALUES (21, 21);
INSERT INTO teacher (id, team_id) VALUES (31, 31);
INSERT INTO guest VALUES (41, 41);

SELECT inval_track('person', 'team_id') AS rule \gset
SELECT * FROM triggers_of('person');
SELECT * FROM triggers_of('student');
SELECT * FROM triggers_of('pupil');
SELECT * FROM triggers_of('teacher');
-- Temporary children are left alone.
SELECT * FROM triggers_of('guest');
SELECT inval_track('person', 'team_id') = :rule AS same;
INSERT INTO guest VALUES (42, 42);
UPDATE guest SET team_id = 43;
ALTER TABLE guest ADD COLUMN more integer DEFAULT random();
TRUNCATE guest;
INSERT INTO guest VALUES (44, 44);
SELECT * FROM queued();
ALTER TABLE guest NO INHERIT person;
ALTER TABLE guest INHERIT person;
SELECT * FROM queued();
DROP TABLE guest;
SELECT * FROM queued();
SELECT key FROM inval_preview('person') ORDER BY key;

-- DML on the parent, ONLY it, and on children
UPDATE person SET note = 'x';
SELECT * FROM queued();
UPDATE ONLY person SET note = 'y';
SELECT * FROM queued();
UPDATE student SET team_id = team_id + 100;
SELECT * FROM queued();
UPDATE ONLY student SET team_id = 11 WHERE id = 11;
SELECT * FROM queued();
INSERT INTO teacher (id, team_id) VALUES (32, 32);
DELETE FROM person WHERE id = 32;
SELECT * FROM queued();
MERGE INTO pupil USING (VALUES (21), (22)) v (id) ON pupil.id = v.id
	WHEN MATCHED THEN UPDATE SET team_id = 22
	WHEN NOT MATCHED THEN INSERT (id, team_id) VALUES (22, 23);
SELECT * FROM queued();
COPY teacher (id, team_id) FROM stdin;
33	33
\.
SELECT * FROM queued();
-- TRUNCATE
BEGIN;
TRUNCATE ONLY person;
COMMIT;
SELECT * FROM queued();
BEGIN;
TRUNCATE student;
COMMIT;
SELECT * FROM queued();
TRUNCATE person;
SELECT * FROM queued();

-- Children that come later, with rows, and those of children
CREATE TABLE janitor () INHERITS (person);
SELECT * FROM triggers_of('janitor');
INSERT INTO janitor VALUES (51, 51);
SELECT * FROM queued();
CREATE TABLE visitor (id integer NOT NULL, note text, team_id integer);
INSERT INTO visitor VALUES (61, NULL, 61), (62, NULL, NULL);
CREATE TABLE regular () INHERITS (visitor);
INSERT INTO regular VALUES (63, NULL, 63);
SELECT * FROM triggers_of('regular');
ALTER TABLE visitor INHERIT person;
SELECT * FROM queued();
SELECT * FROM triggers_of('visitor');
SELECT * FROM triggers_of('regular');
UPDATE person SET team_id = team_id + 1;
SELECT * FROM queued();
ALTER TABLE visitor INHERIT person;
SELECT * FROM queued();
-- ... and that go
ALTER TABLE visitor NO INHERIT person;
SELECT * FROM queued();
SELECT * FROM triggers_of('visitor');
SELECT * FROM triggers_of('regular');
UPDATE visitor SET team_id = 0;
SELECT * FROM queued();
BEGIN;
ALTER TABLE visitor INHERIT person;
ROLLBACK;
SELECT * FROM queued();
SELECT * FROM triggers_of('visitor');

-- Rules of a child are its own, and its children's.
SELECT inval_track('visitor', key => 'visit:{id}') IS NOT NULL AS tracked;
ALTER TABLE visitor INHERIT person;
SELECT * FROM queued();
UPDATE person SET team_id = 64 WHERE id = 63;
SELECT * FROM queued();
UPDATE person SET note = 'z' WHERE id = 51;
SELECT * FROM queued();
ALTER TABLE visitor NO INHERIT person;
SELECT * FROM queued();
UPDATE regular SET team_id = 65;
SELECT * FROM queued();

-- Several parents: the rules of all of them, once each however they are reached
CREATE TABLE payer (id integer NOT NULL, account text);
CREATE TABLE member (payer_note text) INHERITS (person, payer);
CREATE TABLE gold () INHERITS (member, payer);
SELECT inval_track('payer', 'account') IS NOT NULL AS tracked;
INSERT INTO member (id, team_id, account) VALUES (71, 71, 'a');
INSERT INTO gold (id, team_id, account) VALUES (72, 72, 'b');
SELECT * FROM queued();
SELECT rows_seen FROM inval_stats WHERE rule = (SELECT id FROM inval_rule WHERE relation = 'payer'::regclass);
-- One of two ways to a parent goes: its rows stay the parent's, and so do their
-- rules.  Their keys are queued all the same, which is harmless.
ALTER TABLE gold NO INHERIT payer;
SELECT * FROM queued();
SELECT * FROM triggers_of('gold');
UPDATE gold SET account = 'c';
SELECT * FROM queued();
ALTER TABLE member NO INHERIT payer;
SELECT * FROM queued();
SELECT * FROM triggers_of('gold');
UPDATE gold SET account = 'd';
SELECT * FROM queued();
SELECT inval_untrack('person');
SELECT * FROM triggers_of('member');
SELECT * FROM triggers_of('gold');
SELECT * FROM triggers_of('person');
SELECT * FROM triggers_of('payer');
UPDATE member SET team_id = 1;
SELECT * FROM queued();
SELECT inval_track('person', 'team_id') IS NOT NULL AS tracked;

-- Names and columns
ALTER TABLE person RENAME COLUMN team_id TO squad_id;
ALTER TABLE person RENAME TO human;
SELECT relation, key FROM rules ORDER BY key;
UPDATE gold SET note = 'n';
SELECT * FROM queued();
ALTER TABLE member RENAME COLUMN squad_id TO team_id;
ALTER TABLE human DROP COLUMN squad_id;
-- ONLY the parent's: the children keep the column as their own.
ALTER TABLE ONLY human DROP COLUMN squad_id;
-- The column of a child's own rule, and of one inherited, from another side
ALTER TABLE human ADD COLUMN added integer DEFAULT 4;
SELECT inval_track('member', key => 'added:{added}') IS NOT NULL AS tracked;
ALTER TABLE human RENAME COLUMN added TO more;
SELECT relation, key FROM rules ORDER BY key;
ALTER TABLE human DROP COLUMN more;
ALTER TABLE human DROP COLUMN more CASCADE;
SELECT relation, key FROM rules ORDER BY key;
SELECT * FROM queued();
-- A rewrite of all, and ONLY of the parent
INSERT INTO human VALUES (1, 1);
SELECT count(*) FROM queued();
ALTER TABLE human ALTER squad_id TYPE text USING squad_id || '!';
SELECT * FROM queued();
ALTER TABLE ONLY human ALTER squad_id TYPE text USING squad_id || '?';

-- Dropping
DROP TABLE gold;
SELECT * FROM queued();
DROP TABLE human;
SELECT * FROM queued();
SET client_min_messages = warning;
DROP TABLE human CASCADE;
RESET client_min_messages;
SELECT * FROM queued();
SELECT relation, key FROM rules ORDER BY key;
DROP TABLE visitor, payer CASCADE;
SELECT * FROM queued();
SELECT count(*) FROM inval_rule;

-- A child in another schema, owned by another role
CREATE ROLE regress_inval_heir;
CREATE SCHEMA heir AUTHORIZATION regress_inval_heir;
CREATE TABLE parent (id integer);
ALTER TABLE parent OWNER TO regress_inval_heir;
SET ROLE regress_inval_heir;
SELECT inval_track('parent', '  id ') IS NOT NULL AS tracked;
CREATE TABLE heir.child (more text) INHERITS (public.parent);
INSERT INTO heir.child VALUES (1);
TRUNCATE parent;
INSERT INTO heir.child VALUES (2);
RESET ROLE;
SELECT * FROM queued();
-- DROP OWNED
DROP OWNED BY regress_inval_heir CASCADE;
SELECT * FROM queued();
DROP ROLE regress_inval_heir;
SELECT count(*) FROM pg_trigger WHERE tgname LIKE '00_inval%';
