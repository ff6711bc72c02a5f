--
-- Rules that cannot be applied any more: the write goes on, the other rules of
-- the table are applied as ever, it is said once in a session and counted.
--
ALTER SEQUENCE inval_rule_id_seq RESTART 9301;	-- for messages that have a rule's number
CREATE ROLE regress_inval_owner;
CREATE SCHEMA broken AUTHORIZATION regress_inval_owner;
GRANT USAGE ON SCHEMA public TO regress_inval_owner;
CREATE TABLE read_by_rule (tag_id integer, article_id integer);
CREATE TABLE parent_of_rule (id integer PRIMARY KEY, team_id integer);
INSERT INTO read_by_rule VALUES (1, 7);
INSERT INTO parent_of_rule VALUES (1, 8);
GRANT SELECT ON read_by_rule TO regress_inval_owner;
GRANT SELECT, REFERENCES ON parent_of_rule TO regress_inval_owner;
SET ROLE regress_inval_owner;
CREATE TABLE broken.tag (id integer PRIMARY KEY, parent_id integer REFERENCES public.parent_of_rule, note text);
SELECT inval_track('broken.tag', key => 'plain:{id}') IS NOT NULL AS plain,
	inval_track('broken.tag', key => 'article:{article_id}',
		via => 'SELECT article_id FROM public.read_by_rule WHERE tag_id = {id}') IS NOT NULL AS via,
	inval_track('broken.tag', key => 'team:{parent_id.team_id}') IS NOT NULL AS path;
INSERT INTO broken.tag VALUES (1, 1);
RESET ROLE;
SELECT * FROM queued();

-- A right is revoked, and given back.
RESET ROLE;
REVOKE SELECT ON read_by_rule FROM regress_inval_owner;
SET ROLE regress_inval_owner;
UPDATE broken.tag SET note = 'a';
UPDATE broken.tag SET note = 'b';
RESET ROLE;
SELECT * FROM queued();
SELECT key, broken FROM inval_rule WHERE relation = 'broken.tag'::regclass ORDER BY key;
GRANT SELECT ON read_by_rule TO regress_inval_owner;
REVOKE SELECT ON parent_of_rule FROM regress_inval_owner;
SET ROLE regress_inval_owner;
UPDATE broken.tag SET note = 'c';
RESET ROLE;
SELECT * FROM queued();
SELECT verdict, detail FROM inval_coverage('parent_id') WHERE relation = 'broken.tag'::regclass;
GRANT SELECT ON parent_of_rule TO regress_inval_owner;

-- Row security is switched on where a rule reads.
ALTER TABLE read_by_rule ENABLE ROW LEVEL SECURITY;
UPDATE broken.tag SET note = 'd';
SELECT * FROM queued();
ALTER TABLE read_by_rule DISABLE ROW LEVEL SECURITY;
UPDATE broken.tag SET note = 'e';
SELECT * FROM queued();

-- The table gets an owner who may not.
CREATE ROLE regress_inval_other;
GRANT USAGE, CREATE ON SCHEMA broken TO regress_inval_other;
ALTER TABLE broken.tag OWNER TO regress_inval_other;
UPDATE broken.tag SET note = 'f';
SELECT * FROM queued();
ALTER TABLE broken.tag OWNER TO regress_inval_owner;

-- A target that is not there, as after a restore of a part
UPDATE broken.tag SET note = 'g';
SELECT * FROM queued();
SELECT r.key, s.skipped > 0 AS skipped FROM inval_rule r JOIN inval_stats s ON s.rule = r.id
WHERE r.relation = 'broken.tag'::regclass AND s.skipped > 0 ORDER BY r.id;

DROP TABLE broken.tag;
DROP SCHEMA broken;
DROP TABLE read_by_rule, parent_of_rule;
REVOKE USAGE ON SCHEMA public FROM regress_inval_owner;
DROP ROLE regress_inval_owner, regress_inval_other;
SELECT count(*) > 0 AS dropped FROM queued();
