--
-- Who may invalidate keys of a target: who has USAGE on its foreign server.
--
CREATE ROLE regress_inval_owner;
CREATE ROLE regress_inval_stranger;
CREATE ROLE regress_inval_admin;
CREATE SCHEMA own AUTHORIZATION regress_inval_owner;
GRANT USAGE ON SCHEMA own TO regress_inval_stranger, regress_inval_admin;
CREATE SCHEMA strange AUTHORIZATION regress_inval_stranger;
SELECT inval_add_target('eu', 'unix:///nonexistent/eu.sock');
SELECT inval_pause('eu');
CREATE FUNCTION usage_of(target text) RETURNS text LANGUAGE sql AS $$
	SELECT coalesce(string_agg(
		CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END
		|| CASE WHEN a.is_grantable THEN ' with grant option' ELSE '' END, ', ' ORDER BY a.grantee), 'nobody')
	FROM pg_foreign_server s CROSS JOIN aclexplode(s.srvacl) a
	WHERE s.srvname = 'inval_target_' || target AND a.privilege_type = 'USAGE' AND a.grantee <> s.srvowner
$$;
SELECT target, usage_of(target) FROM inval_target_status ORDER BY target;

-- Whoever can make a table has its keys removed from the target "default", and
-- from no other.
SET SESSION AUTHORIZATION regress_inval_stranger;
CREATE TABLE strange.k (k text);
SELECT inval_track('strange.k', key => '{k}') AS rule \gset
\set VERBOSITY default
SELECT inval_track('strange.k', key => '{k}', targets => '{eu}');
SELECT inval_track('strange.k', key => '{k}', targets => '{default,eu}');
SELECT inval_track('strange.k', key => 'new:{k}', targets => '{eu}', state => 'off');
INSERT INTO strange.k VALUES ('app:session:42');
-- Nor by writing to the view, nor by hand.
RESET SESSION AUTHORIZATION;
GRANT INSERT, UPDATE ON inval_rule TO regress_inval_stranger;
GRANT EXECUTE ON FUNCTION inval_touch TO regress_inval_stranger;
SET SESSION AUTHORIZATION regress_inval_stranger;
UPDATE inval_rule SET targets = '{eu}' WHERE id = :rule;
INSERT INTO inval_rule (relation, key, targets) VALUES ('strange.k', 'new:{k}', '{eu}');
SELECT inval_touch('app:session:42', target => 'eu');
SELECT inval_touch('by hand');
GRANT USAGE ON FOREIGN SERVER inval_target_eu TO regress_inval_stranger;
RESET SESSION AUTHORIZATION;
SELECT key, target FROM inval_queue WHERE target = 'eu' OR key IN ('app:session:42', 'by hand')
ORDER BY key;
SELECT * FROM queued();

-- The owner of the table needs it, whoever tracks it.
SELECT inval_track('strange.k', key => '{k}', targets => '{eu}');
GRANT USAGE ON FOREIGN SERVER inval_target_eu TO regress_inval_stranger;
SELECT inval_track('strange.k', key => '{k}', targets => '{default,eu}') = :rule AS same;
SET SESSION AUTHORIZATION regress_inval_stranger;
UPDATE inval_rule SET targets = '{eu}' WHERE id = :rule;
SELECT inval_touch('eu by hand', target => 'eu');
INSERT INTO strange.k VALUES ('app:session:43');
SELECT targets FROM inval_rule WHERE id = :rule;
RESET SESSION AUTHORIZATION;
SELECT key, target FROM inval_queue WHERE target = 'eu' ORDER BY key;
-- A member of a role has what the role has.
CREATE ROLE regress_inval_member IN ROLE regress_inval_stranger;
SET SESSION AUTHORIZATION regress_inval_member;
SELECT inval_track('strange.k', key => 'member:{k}', targets => '{eu}') IS NOT NULL AS tracked;
RESET SESSION AUTHORIZATION;
DROP ROLE regress_inval_member;

-- "default" can be taken away, and given to some.
REVOKE USAGE ON FOREIGN SERVER inval_target_default FROM PUBLIC;
GRANT USAGE ON FOREIGN SERVER inval_target_default TO regress_inval_owner;
SET SESSION AUTHORIZATION regress_inval_stranger;
SELECT inval_track('strange.k', key => 'x:{k}');
SELECT inval_touch('by hand again');
-- What reaches it no more can still be dropped.
SELECT inval_untrack('strange.k');
SET SESSION AUTHORIZATION regress_inval_owner;
CREATE TABLE own.k (k text);
SELECT inval_track('own.k', key => 'own:{k}') IS NOT NULL AS tracked;
RESET SESSION AUTHORIZATION;
-- A pause does not change it.
SELECT inval_resume();
SELECT inval_pause();
SELECT usage_of('default');
GRANT USAGE ON FOREIGN SERVER inval_target_default TO PUBLIC;
REVOKE USAGE ON FOREIGN SERVER inval_target_default FROM regress_inval_owner;

-- Who makes a target may use it, and pass that on.  The URL stays a secret.
GRANT EXECUTE ON FUNCTION inval_add_target, inval_drop_target TO regress_inval_admin;
SET SESSION AUTHORIZATION regress_inval_admin;
SELECT inval_add_target('us', 'redis://:secret@us.example');
SELECT usage_of('us');
GRANT USAGE ON FOREIGN SERVER inval_target_us TO regress_inval_owner;
SELECT srvname, umoptions FROM pg_user_mappings WHERE srvname = 'inval_target_us';
ALTER SERVER inval_target_us OPTIONS (ADD region 'x');
DROP SERVER inval_target_us;
DROP USER MAPPING FOR PUBLIC SERVER inval_target_us;
CREATE USER MAPPING FOR regress_inval_admin SERVER inval_target_us OPTIONS (url 'redis://elsewhere');
CREATE USER MAPPING FOR regress_inval_admin SERVER inval_target_default;
SET SESSION AUTHORIZATION regress_inval_stranger;
SET SESSION AUTHORIZATION regress_inval_admin;
SELECT inval_add_target('us', 'redis://:secret@us2.example', region => 'us');
RESET SESSION AUTHORIZATION;
SELECT usage_of('us');
SELECT region FROM inval_target_status WHERE target = 'us';
SET SESSION AUTHORIZATION regress_inval_admin;
SELECT inval_drop_target('us');

-- The target "default" is the extension's, whatever is done to the others.
RESET SESSION AUTHORIZATION;
DROP SERVER inval_target_default;
SELECT * FROM queued();
SELECT inval_drop_target('eu');
SELECT srvname FROM pg_foreign_server WHERE srvname LIKE 'inval\_%' ORDER BY srvname;

SET client_min_messages = error;
DROP FUNCTION usage_of(text);
DROP SCHEMA own, strange CASCADE;
DROP OWNED BY regress_inval_owner, regress_inval_stranger, regress_inval_admin;
DROP ROLE regress_inval_owner, regress_inval_stranger, regress_inval_admin;
SELECT count(*) FROM queued();
