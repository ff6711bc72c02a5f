/* inval--1.0.sql: the objects of the extension */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION inval" to load this file. \quit

------------------------------------------------------------------------------
-- Rules
------------------------------------------------------------------------------

-- A rule is a trigger on its table; that of a materialized view a foreign
-- server.  src/rule/carrier.c says why.
CREATE FUNCTION inval_rule_carrier() RETURNS trigger
AS 'MODULE_PATHNAME' LANGUAGE C;
REVOKE ALL ON FUNCTION inval_rule_carrier() FROM PUBLIC;
COMMENT ON FUNCTION inval_rule_carrier() IS
	'Function of the triggers that carry rules, as their arguments; does nothing';

-- Its place is not in dumps, which would take a right to read and another to
-- write it: a number that a restored rule has is passed by.
CREATE SEQUENCE inval_rule_id_seq AS integer;
REVOKE ALL ON SEQUENCE inval_rule_id_seq FROM PUBLIC;
COMMENT ON SEQUENCE inval_rule_id_seq IS 'Numbers of rules';

CREATE FUNCTION inval_rule_rows(
	OUT id integer, OUT relation regclass, OUT key text, OUT field text,
	OUT action text, OUT delivery text, OUT changes text[], OUT via text,
	OUT ttl interval, OUT publish text, OUT stream text, OUT fence boolean,
	OUT repeat_after interval, OUT refill text, OUT targets text[], OUT state text,
	OUT audit text)
RETURNS SETOF record
AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 10;
COMMENT ON FUNCTION inval_rule_rows() IS 'Rows of inval_rule';

CREATE FUNCTION inval_rule_write() RETURNS trigger
AS 'MODULE_PATHNAME' LANGUAGE C SET search_path = pg_catalog, pg_temp;
REVOKE ALL ON FUNCTION inval_rule_write() FROM PUBLIC;
COMMENT ON FUNCTION inval_rule_write() IS
	'Lets those who may write to inval_rule change rules as rows';

-- As pg_trigger, which says of every table what happens to its changes,
-- everybody can read it.
CREATE FUNCTION inval_rule_problem(relation regclass, rule integer) RETURNS text
AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE COST 1000;
COMMENT ON FUNCTION inval_rule_problem(regclass, integer) IS
	'Why a rule cannot be applied to the rows of a relation; NULL if it can';

CREATE FUNCTION inval_rule_is_paused(rule integer) RETURNS boolean
AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION inval_rule_is_paused(integer) IS
	'Whether what a rule owes is held back by inval_pause';

CREATE VIEW inval_rule AS
	SELECT r.*, @extschema@.inval_rule_problem(r.relation, r.id) AS broken,
		@extschema@.inval_rule_is_paused(r.id) AS paused
	FROM @extschema@.inval_rule_rows() r;
GRANT SELECT ON inval_rule TO PUBLIC;
COMMENT ON VIEW inval_rule IS
	'Which keys a change of a row in one table invalidates, and how. Write to it through inval_track and inval_untrack.';
CREATE TRIGGER inval_rule_write
	INSTEAD OF INSERT OR UPDATE OR DELETE ON inval_rule
	FOR EACH ROW EXECUTE FUNCTION inval_rule_write();
COMMENT ON COLUMN inval_rule.id IS 'Number of the rule, as inval_track returns it';
COMMENT ON COLUMN inval_rule.relation IS 'The tracked table';
COMMENT ON COLUMN inval_rule.key IS 'Template of the key';
COMMENT ON COLUMN inval_rule.field IS 'Template of the hash field to remove, NULL for the whole key';
COMMENT ON COLUMN inval_rule.action IS 'What is done to the key: delete, version, members, prefix, expire or none';
COMMENT ON COLUMN inval_rule.delivery IS 'When the target is told: commit, background, or strict: fenced before the commit';
COMMENT ON COLUMN inval_rule.changes IS 'An UPDATE counts only if one of these columns, or of the key, changed; NULL for any';
COMMENT ON COLUMN inval_rule.via IS 'Query that finds the rows that name the keys';
COMMENT ON COLUMN inval_rule.ttl IS 'How much longer an expired key may live, or how long a value that is put back';
COMMENT ON COLUMN inval_rule.publish IS 'Template of the channel that each key is published on';
COMMENT ON COLUMN inval_rule.stream IS 'Template of the stream that each invalidation is added to';
COMMENT ON COLUMN inval_rule.fence IS 'Whether outstanding leases on the key are voided too';
COMMENT ON COLUMN inval_rule.repeat_after IS 'When the invalidation is sent once more';
COMMENT ON COLUMN inval_rule.refill IS 'Query for the value to put back at the key';
COMMENT ON COLUMN inval_rule.targets IS 'Names of the targets that are told';
COMMENT ON COLUMN inval_rule.broken IS 'Why the rule cannot be applied, so that its keys are not removed; NULL if it can';
COMMENT ON COLUMN inval_rule.paused IS 'Whether what it owes is held back by inval_pause';
COMMENT ON COLUMN inval_rule.audit IS 'Query for the value that should be at the key, for inval_audit; NULL: that of refill, if there is one';
COMMENT ON COLUMN inval_rule.state IS 'on, shadow (count and list in inval_shadow, send nothing) or off';

CREATE FUNCTION inval_capture_row() RETURNS trigger
AS 'MODULE_PATHNAME' LANGUAGE C;
REVOKE ALL ON FUNCTION inval_capture_row() FROM PUBLIC;
COMMENT ON FUNCTION inval_capture_row() IS
	'Row trigger of a tracked table: queues the keys that the changed row feeds';

CREATE FUNCTION inval_capture_truncate() RETURNS trigger
AS 'MODULE_PATHNAME' LANGUAGE C;
REVOKE ALL ON FUNCTION inval_capture_truncate() FROM PUBLIC;
COMMENT ON FUNCTION inval_capture_truncate() IS
	'Truncate trigger of a tracked table: queues the keys of all its rows before they go';

CREATE FUNCTION inval_track(
	relation     regclass,
	columns      text DEFAULT NULL,
	key          text DEFAULT NULL,
	field        text DEFAULT NULL,
	action       text DEFAULT 'delete',
	delivery     text DEFAULT 'commit',
	changes      text[] DEFAULT NULL,
	via          text DEFAULT NULL,
	ttl          interval DEFAULT NULL,
	publish      text DEFAULT NULL,
	stream       text DEFAULT NULL,
	fence        boolean DEFAULT false,
	repeat_after interval DEFAULT NULL,
	refill       text DEFAULT NULL,
	targets      text[] DEFAULT '{default}',
	state        text DEFAULT 'on',
	audit        text DEFAULT NULL)
RETURNS integer
AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION inval_track(regclass, text, text, text, text, text, text[],
		text, interval, text, text, boolean, interval, text, text[], text, text) IS
	'Tracks a table: from now on every committed change of a row removes the keys that it feeds. Returns the rule''s id';

CREATE FUNCTION inval_untrack(relation regclass, key text DEFAULT NULL)
RETURNS integer
AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION inval_untrack(regclass, text) IS
	'Drops the rules of a table, or those with the given key template. Returns how many went';

CREATE FUNCTION inval_untrack_rule(rule integer) RETURNS boolean
AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION inval_untrack_rule(integer) IS
	'Drops one rule. Returns whether there was one';

-- No search path is set: they resolve the names in commands as the commands do,
-- and run queries under a search path of their own.
CREATE FUNCTION inval_on_ddl_start() RETURNS event_trigger
AS 'MODULE_PATHNAME' LANGUAGE C;
REVOKE ALL ON FUNCTION inval_on_ddl_start() FROM PUBLIC;
COMMENT ON FUNCTION inval_on_ddl_start() IS
	'Remembers what a DDL command may destroy: rows that feed keys, what rules need';

CREATE EVENT TRIGGER inval_on_ddl_start ON ddl_command_start
	EXECUTE FUNCTION inval_on_ddl_start();
ALTER EVENT TRIGGER inval_on_ddl_start ENABLE ALWAYS;
COMMENT ON EVENT TRIGGER inval_on_ddl_start IS
	'Remembers what a DDL command may destroy: rows that feed keys, what rules need';

CREATE FUNCTION inval_on_ddl_end() RETURNS event_trigger
AS 'MODULE_PATHNAME' LANGUAGE C;
REVOKE ALL ON FUNCTION inval_on_ddl_end() FROM PUBLIC;
COMMENT ON FUNCTION inval_on_ddl_end() IS
	'Lets rules follow renames, gives partitions and children their triggers, queues the keys of rows that came or went';

CREATE EVENT TRIGGER inval_on_ddl_end ON ddl_command_end
	EXECUTE FUNCTION inval_on_ddl_end();
ALTER EVENT TRIGGER inval_on_ddl_end ENABLE ALWAYS;
COMMENT ON EVENT TRIGGER inval_on_ddl_end IS
	'Lets rules follow renames, gives partitions and children their triggers, queues the keys of rows that came or went';

CREATE FUNCTION inval_on_rewrite() RETURNS event_trigger
AS 'MODULE_PATHNAME' LANGUAGE C;
REVOKE ALL ON FUNCTION inval_on_rewrite() FROM PUBLIC;
COMMENT ON FUNCTION inval_on_rewrite() IS
	'Queues the keys of rows that ALTER TABLE is about to rewrite';

CREATE EVENT TRIGGER inval_on_rewrite ON table_rewrite
	EXECUTE FUNCTION inval_on_rewrite();
ALTER EVENT TRIGGER inval_on_rewrite ENABLE ALWAYS;
COMMENT ON EVENT TRIGGER inval_on_rewrite IS
	'Queues the keys of rows that ALTER TABLE is about to rewrite';

CREATE FUNCTION inval_on_drop() RETURNS event_trigger
AS 'MODULE_PATHNAME' LANGUAGE C;
REVOKE ALL ON FUNCTION inval_on_drop() FROM PUBLIC;
COMMENT ON FUNCTION inval_on_drop() IS
	'Says which rules went with what they need, and gives tables back triggers of inval that they have lost';

CREATE EVENT TRIGGER inval_on_drop ON sql_drop
	EXECUTE FUNCTION inval_on_drop();
ALTER EVENT TRIGGER inval_on_drop ENABLE ALWAYS;
COMMENT ON EVENT TRIGGER inval_on_drop IS
	'Says which rules went with what they need, and gives tables back triggers of inval that they have lost';

CREATE FUNCTION inval_preview(
	relation regclass, max_rows integer DEFAULT 10,
	OUT rule integer, OUT action text, OUT key text, OUT field text)
RETURNS SETOF record
AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE ROWS 10;
COMMENT ON FUNCTION inval_preview(regclass, integer) IS
	'Shows the keys that up to max_rows existing rows would invalidate, and queues nothing';

------------------------------------------------------------------------------
-- Variables, guard and coverage
--
-- Settings are foreign servers of a wrapper that has no handler: the one kind of
-- object that is transactional, takes any text, is in every dump and in no
-- publication.  src/store/store.c has more.
------------------------------------------------------------------------------

CREATE FUNCTION inval_store_validator(options text[], catalog oid) RETURNS void
AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION inval_store_validator(text[], oid) FROM PUBLIC;
COMMENT ON FUNCTION inval_store_validator(text[], oid) IS
	'Checks what is stored in the foreign data wrapper inval';

CREATE FOREIGN DATA WRAPPER inval
	NO HANDLER VALIDATOR @extschema@.inval_store_validator;
REVOKE ALL ON FOREIGN DATA WRAPPER inval FROM PUBLIC;
COMMENT ON FOREIGN DATA WRAPPER inval IS
	'Keeps settings of inval as servers: write to them through inval_set_var, inval_guard, inval_track and inval_add_target';

-- USAGE on a target is the right to have its keys invalidated.  As with the
-- schema public of old, everybody has that on the default, unless it is revoked.
CREATE SERVER inval_target_default TYPE 'target' FOREIGN DATA WRAPPER inval;
GRANT USAGE ON FOREIGN SERVER inval_target_default TO PUBLIC;
COMMENT ON SERVER inval_target_default IS
	'The target default: USAGE on it is the right to have its keys invalidated; inval.redis_url says where it is';

CREATE FUNCTION inval_set_var(name text, VARIADIC "values" text[]) RETURNS void
AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;
REVOKE ALL ON FUNCTION inval_set_var(text, text[]) FROM PUBLIC;
COMMENT ON FUNCTION inval_set_var(text, text[]) IS
	'Sets all current values of the variable {$name} of key templates; none of them removes it';

CREATE FUNCTION inval_var_rows(OUT name text, OUT "values" text[])
RETURNS SETOF record
AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 10;
COMMENT ON FUNCTION inval_var_rows() IS 'Rows of inval_var';

CREATE VIEW inval_var AS SELECT * FROM @extschema@.inval_var_rows();
GRANT SELECT ON inval_var TO PUBLIC;
COMMENT ON VIEW inval_var IS
	'Variables of key templates and their current values';
COMMENT ON COLUMN inval_var.name IS 'The variable, {$name} in a template';
COMMENT ON COLUMN inval_var.values IS 'Its current values, each of which gives a key';

CREATE FUNCTION inval_guard(mode text, column_name text, exempt text[] DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;
REVOKE ALL ON FUNCTION inval_guard(text, text, text[]) FROM PUBLIC;
COMMENT ON FUNCTION inval_guard(text, text, text[]) IS
	'Sets what happens when a table that has the column is created, or given columns, and not tracked: off, warn, error or track; tables of which the schema or the name is like one of exempt are left alone';

CREATE FUNCTION inval_guard_rows(OUT column_name text, OUT mode text, OUT exempt text[])
RETURNS SETOF record
AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 10;
REVOKE ALL ON FUNCTION inval_guard_rows() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION inval_guard_rows() TO pg_monitor;
COMMENT ON FUNCTION inval_guard_rows() IS 'Rows of inval_guards';

CREATE VIEW inval_guards AS SELECT * FROM @extschema@.inval_guard_rows();
REVOKE ALL ON inval_guards FROM PUBLIC;
GRANT SELECT ON inval_guards TO pg_monitor;
COMMENT ON VIEW inval_guards IS 'Guards that inval_guard has set';
COMMENT ON COLUMN inval_guards.column_name IS 'The column that a guarded table has';
COMMENT ON COLUMN inval_guards.mode IS 'What happens if it is not tracked: warn, error or track';
COMMENT ON COLUMN inval_guards.exempt IS 'Patterns of schemas and names of tables that are left alone';

CREATE FUNCTION inval_coverage_paths(
	column_name text, OUT relation oid, OUT path text)
RETURNS SETOF record
AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION inval_coverage_paths(text) IS
	'The tables that have a column or reach it through foreign keys, and the path; for inval_coverage';

CREATE FUNCTION inval_template_columns(
	relation oid, template text,
	OUT path text, OUT column_name text, OUT found boolean)
RETURNS SETOF record
AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE ROWS 3
SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION inval_template_columns(oid, text) IS
	'The columns that a key template names, and whether they are there; for inval_coverage';

CREATE FUNCTION inval_template_variables(template text) RETURNS SETOF text
AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE ROWS 1
SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION inval_template_variables(text) IS
	'The variables that a key template names; for inval_coverage';

-- The body is parsed here, so that it follows when the schema is renamed.  The
-- search path is that of the function, for operators that nobody can replace.
SELECT pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

-- As src/rule/family.c makes the triggers of a table with rows: it has the same
-- names and types.  Event triggers are of no table.
CREATE VIEW @extschema@.inval_trigger_state AS
	SELECT c.oid AS relid, f.name, CASE
		WHEN t.oid IS NULL THEN 'missing'
		WHEN t.tgfoid <> f.oid OR t.tgtype <> f.type OR t.tgqual IS NOT NULL
			OR t.tgnargs > 0 OR t.tgattr[0] IS NOT NULL OR t.tgconstraint <> 0
			OR t.tgoldtable IS NOT NULL OR t.tgnewtable IS NOT NULL THEN 'altered'
		WHEN t.tgenabled = 'D' THEN 'disabled'
		WHEN t.tgenabled <> 'A' THEN 'not enabled ALWAYS' ELSE '' END AS fault
	FROM pg_class c CROSS JOIN (VALUES
		('row trigger', '00_inval_row',
		 '@extschema@.inval_capture_row()'::regprocedure::oid, 29, true),
		('truncate trigger', '00_inval_truncate',
		 '@extschema@.inval_capture_truncate()'::regprocedure::oid, 34,
		 current_setting('server_version_num')::integer >= 160000))
		f (name, tgname, oid, type, on_foreign)
		LEFT JOIN pg_trigger t ON t.tgrelid = c.oid AND t.tgname = f.tgname
	WHERE c.relkind = 'r' OR c.relkind = 'f' AND f.on_foreign
	UNION ALL
	SELECT NULL, 'event trigger ' || e.evtname, CASE e.evtenabled
		WHEN 'A' THEN '' WHEN 'D' THEN 'disabled' ELSE 'not enabled ALWAYS' END
	FROM pg_event_trigger e
		JOIN pg_depend d ON d.classid = 'pg_event_trigger'::regclass AND d.objid = e.oid
			AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
		JOIN pg_extension x ON x.oid = d.refobjid AND x.extname = 'inval';
GRANT SELECT ON @extschema@.inval_trigger_state TO PUBLIC;
COMMENT ON VIEW @extschema@.inval_trigger_state IS
	'What is wrong with the triggers that a table with rows has, or would have if it were tracked; for inval_coverage and inval_holes';

-- What is judged is a unit: a table, or a partitioned table with all that is
-- below it.  Its members are the tables with rows: partitions, or the table and
-- the children that inherit from it.  Each member is looked at, and what is
-- wrong with it is a hole of its unit.
CREATE FUNCTION @extschema@.inval_coverage(column_name text)
RETURNS TABLE (relation regclass, verdict text, detail text)
LANGUAGE sql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET jit = off
BEGIN ATOMIC
WITH RECURSIVE
rule AS MATERIALIZED (
	SELECT r.id, r.relation::oid AS relid, r.key, r.field, r.via, r.changes, r.targets, r.state
	FROM @extschema@.inval_rule r),
-- What the rules name.  The columns of a via rule's key are those of its query.
mention AS MATERIALIZED (
	SELECT r.id, r.relid, t.path, t.column_name, t.found OR r.via IS NOT NULL AS found
	FROM rule r
		CROSS JOIN LATERAL (VALUES (r.key), (r.field)) s (template)
		CROSS JOIN LATERAL @extschema@.inval_template_columns(r.relid, s.template) t
	UNION
	SELECT r.id, r.relid, c.name, NULL, EXISTS (
		SELECT FROM pg_attribute a
		WHERE a.attrelid = r.relid AND a.attname = c.name AND a.attnum > 0
			AND NOT a.attisdropped)
	FROM rule r CROSS JOIN LATERAL unnest(r.changes) c (name)),
-- Variables that a rule names and that have no value: it gives no key.
unset AS MATERIALIZED (
	SELECT DISTINCT r.id, n.name
	FROM rule r
		CROSS JOIN LATERAL (VALUES (r.key), (r.field)) s (template)
		CROSS JOIN LATERAL @extschema@.inval_template_variables(s.template) n (name)
	WHERE strpos(s.template, '{$') > 0 AND NOT EXISTS (
		SELECT FROM @extschema@.inval_var v
		WHERE v.name = n.name AND cardinality(v."values") > 0)),
-- Rules that cannot be applied.  One that looks nothing up can only lack a
-- column, which "mention" tells, or a target.
broken AS MATERIALIZED (
	SELECT r.id, @extschema@.inval_rule_problem(r.relid::regclass, r.id) AS problem
	FROM rule r
	WHERE (r.via IS NOT NULL OR strpos(r.key, '.') > 0 OR strpos(r.field, '.') > 0
		   OR r.targets <> '{default}')
		AND NOT EXISTS (SELECT FROM mention m WHERE m.id = r.id AND NOT m.found)),
-- The tables in question: those that have the column or reach it, and those
-- that had it when a rule was made.
reached AS MATERIALIZED (
	SELECT p.relation, p.path FROM @extschema@.inval_coverage_paths($1) p
	UNION ALL
	SELECT m.relid, min(m.path) FROM mention m
	WHERE m.column_name = $1 AND NOT m.found AND m.relid NOT IN (
		SELECT p.relation FROM @extschema@.inval_coverage_paths($1) p)
	GROUP BY m.relid),
-- Each relation with itself and all its ancestors
kinship (relid, ancestor) AS (
	SELECT c.oid, c.oid FROM pg_class c WHERE c.relkind IN ('r', 'p', 'f', 'm')
	UNION
	SELECT k.relid, i.inhparent
	FROM kinship k JOIN pg_inherits i ON i.inhrelid = k.ancestor),
unit AS MATERIALIZED (
	SELECT r.relation, r.path, c.relkind
	FROM reached r JOIN pg_class c ON c.oid = r.relation
	WHERE NOT c.relispartition OR NOT EXISTS (
		SELECT FROM pg_partition_ancestors(r.relation) a
			JOIN reached root ON root.relation = a.relid
		WHERE a.relid <> r.relation)),
member AS MATERIALIZED (
	SELECT u.relation AS unit, c.oid AS relid, c.relkind
	FROM unit u JOIN kinship k ON k.ancestor = u.relation
		JOIN pg_class c ON c.oid = k.relid
	WHERE c.relkind <> 'p' AND c.relpersistence <> 't'),
-- The rules that name the column, and those of them that find it.  A via query
-- can do so in any way; that the column's name is in it has to do.
naming AS (
	SELECT r.id, bool_or(m.found) OR bool_or(strpos(r.via, $1) > 0) AS feeds
	FROM rule r LEFT JOIN mention m ON m.id = r.id AND m.column_name = $1
	WHERE m.id IS NOT NULL OR strpos(r.via, $1) > 0
	GROUP BY r.id),
-- The rules of each member, and of each unit as such
applied AS MATERIALIZED (
	SELECT w.unit, w.relid, r.id, r.key, r.field, r.state,
		r.state = 'on' AS is_on, n.id IS NOT NULL AS names, coalesce(n.feeds, false) AS feeds
	FROM (SELECT m.unit, m.relid FROM member m
		  UNION SELECT u.relation, u.relation FROM unit u) w
		JOIN kinship k ON k.relid = w.relid
		JOIN rule r ON r.relid = k.ancestor
		LEFT JOIN naming n ON n.id = r.id),
-- A parent is not tracked because a child is, a partitioned table is so in part.
touched AS (
	SELECT DISTINCT u.relation AS unit
	FROM unit u JOIN applied a ON a.unit = u.relation
		AND (a.relid = u.relation OR u.relkind = 'p')),
trigger_state AS (
	SELECT m.unit, m.relid, t.name, t.fault
	FROM member m JOIN @extschema@.inval_trigger_state t ON t.relid = m.relid),
-- What is wrong, with which member; general: with the rules, not the member
fault (unit, relid, rank, general, problem) AS (
	SELECT m.unit, m.relid, 1, false, 'no rule' FROM member m
	WHERE NOT EXISTS (SELECT FROM applied a WHERE a.unit = m.unit AND a.relid = m.relid)
	UNION ALL
	SELECT a.unit, a.relid, 2, true, format('only rules in state %s',
		string_agg(DISTINCT a.state, ' and ' ORDER BY a.state))
	FROM applied a GROUP BY a.unit, a.relid HAVING NOT bool_or(a.is_on)
	UNION ALL
	SELECT a.unit, a.relid, 3, true, 'no rule names ' || u.path
	FROM applied a JOIN unit u ON u.relation = a.unit
	GROUP BY a.unit, a.relid, u.path
	HAVING bool_or(a.is_on) AND NOT bool_or(a.is_on AND a.names)
	UNION ALL
	SELECT DISTINCT a.unit, a.relid, 4, true,
		format('%s, which the rule for %s names, does not exist', m.path, a.key)
	FROM applied a JOIN mention m ON m.id = a.id WHERE NOT m.found
	UNION ALL
	SELECT DISTINCT a.unit, a.relid, 4, true,
		format('variable %s, which the rule for %s names, has no value', v.name, a.key)
	FROM applied a JOIN unset v ON v.id = a.id WHERE a.is_on
	UNION ALL
	SELECT DISTINCT a.unit, a.relid, 4, true,
		format('the rule for %s is broken: %s', a.key, b.problem)
	FROM applied a JOIN broken b ON b.id = a.id WHERE b.problem IS NOT NULL
	UNION ALL
	SELECT t.unit, t.relid, 5, false, t.name || ' ' || t.fault
	FROM trigger_state t
	WHERE t.fault <> '' AND EXISTS (
		SELECT FROM applied a WHERE a.unit = t.unit AND a.relid = t.relid)
	UNION ALL
	SELECT u.relation, u.relation, 6, true, t.name || ' ' || t.fault
	FROM unit u CROSS JOIN @extschema@.inval_trigger_state t
	WHERE t.relid IS NULL AND t.fault <> ''
	UNION ALL
	-- What DETACH CONCURRENTLY has left half done, for both sides
	SELECT DISTINCT u.relation, u.relation, 7, true,
		format('partition %s is being detached: run ALTER TABLE %s DETACH PARTITION %s FINALIZE',
			i.inhrelid::regclass, i.inhparent::regclass, i.inhrelid::regclass)
	FROM unit u JOIN kinship k ON k.ancestor = u.relation
		JOIN pg_inherits i ON k.relid IN (i.inhparent, i.inhrelid)
	WHERE i.inhdetachpending),
-- One line for each problem of a unit.  Where it has other members than itself,
-- those that have the problem are named: three of them, and how many more.
hole AS (
	SELECT f.unit, f.rank, f.problem || CASE
		WHEN bool_and(f.relid = f.unit) OR f.general AND bool_or(f.relid = f.unit) THEN ''
		ELSE ' on ' || array_to_string((array_agg(f.relid::regclass::text
			ORDER BY f.relid::regclass::text COLLATE "C"))[1:3], ', ')
			|| CASE WHEN count(*) > 3 THEN format(' and %s more', count(*) - 3) ELSE '' END
		END AS problem
	FROM fault f GROUP BY f.unit, f.rank, f.general, f.problem),
-- What is said of each unit, made for all of them at once: asked for one unit at
-- a time, each of the steps above would be run again for each of thousands.
holes AS MATERIALIZED (
	SELECT h.unit, string_agg(h.problem, '; ' ORDER BY h.rank, h.problem) AS problems
	FROM hole h GROUP BY h.unit),
fed AS MATERIALIZED (
	SELECT a.unit, string_agg(DISTINCT a.key || coalesce(' ' || a.field, ''), ', ') AS keys
	FROM applied a WHERE a.is_on AND a.feeds GROUP BY a.unit)
SELECT u.relation::regclass,
	CASE WHEN t.unit IS NULL THEN 'untracked'
		WHEN h.problems IS NULL THEN 'tracked' ELSE 'hole' END,
	CASE WHEN t.unit IS NULL THEN u.path ELSE coalesce(h.problems, k.keys) END
FROM unit u LEFT JOIN touched t ON t.unit = u.relation
	LEFT JOIN holes h ON h.unit = u.relation
	LEFT JOIN fed k ON k.unit = u.relation
ORDER BY u.relation::regclass::text COLLATE "C";
END;

-- Of a guarded column only the tables that have it are in question, as for the
-- guard: what leads there may well be tracked for other keys.
CREATE FUNCTION @extschema@.inval_hole_rows(OUT relation regclass, OUT problem text)
RETURNS SETOF record
LANGUAGE sql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET jit = off
BEGIN ATOMIC
WITH RECURSIVE
tracked (relid) AS (
	SELECT r.relation::oid FROM @extschema@.inval_rule_rows() r
	UNION
	SELECT i.inhrelid FROM tracked t JOIN pg_inherits i ON i.inhparent = t.relid)
SELECT s.relid::regclass, s.name || ' ' || s.fault
FROM @extschema@.inval_trigger_state s
WHERE s.fault <> '' AND (s.relid IS NULL OR s.relid IN (SELECT t.relid FROM tracked t))
UNION ALL
SELECT c.relation, CASE c.verdict WHEN 'untracked'
	THEN format('untracked, and a guard watches its column %s', g.column_name)
	ELSE c.detail END
FROM @extschema@.inval_guard_rows() g
	CROSS JOIN LATERAL @extschema@.inval_coverage(g.column_name) c
	JOIN pg_class t ON t.oid = c.relation
	JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE c.verdict <> 'tracked'
	AND EXISTS (
		SELECT FROM pg_attribute a
		WHERE a.attrelid = t.oid AND a.attname = g.column_name AND a.attnum > 0)
	AND NOT EXISTS (
		SELECT FROM unnest(g.exempt) e (pattern)
			CROSS JOIN replace(replace(replace(replace(
				e.pattern, E'\\', E'\\\\'), '%', E'\\%'), '_', E'\\_'), '*', '%') l (pattern)
		WHERE t.relname LIKE l.pattern OR n.nspname LIKE l.pattern
			OR strpos(e.pattern, '.') > 0 AND n.nspname || '.' || t.relname LIKE l.pattern);
END;

SELECT pg_catalog.set_config('search_path', '@extschema@, pg_temp', true);
COMMENT ON FUNCTION inval_coverage(text) IS
	'The tables that have a column or reach it through foreign keys: tracked, untracked, or a hole and which one';

REVOKE ALL ON FUNCTION inval_hole_rows() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION inval_hole_rows() TO pg_monitor;
COMMENT ON FUNCTION inval_hole_rows() IS 'Rows of inval_holes';

CREATE VIEW inval_holes AS SELECT * FROM @extschema@.inval_hole_rows();
REVOKE ALL ON inval_holes FROM PUBLIC;
GRANT SELECT ON inval_holes TO pg_monitor;
COMMENT ON VIEW inval_holes IS
	'Where a change can be missed: triggers of tracked tables that are not as inval made them, and tables with a guarded column that are not tracked, or not well';
COMMENT ON COLUMN inval_holes.relation IS 'The table; NULL for what concerns all';
COMMENT ON COLUMN inval_holes.problem IS 'What is wrong';

------------------------------------------------------------------------------
-- Outbox
--
-- Materialized views, because that is the one relation kind that is durable,
-- takes rows from C and cannot be published: a publication FOR ALL TABLES
-- neither lists it nor carries it, so a subscriber without inval is not
-- disturbed.  Their query refuses to run once the extension is there, so that
-- REFRESH MATERIALIZED VIEW cannot wipe them.
--
-- 0 to 2 take what is written at commit, by locks held for moments.  3 to 5
-- take what is written earlier or kept longer (sets larger than memory,
-- prepared transactions), whose locks may last.  6 to 8 take what is written at
-- commit for targets that are away.  docs/architecture.md has why.
------------------------------------------------------------------------------

-- Like bytea, but never compressed or moved out of line: packs are sized to the
-- page by inval itself, and a table without a column of another kind has no
-- TOAST table.
CREATE TYPE inval_pack;
CREATE FUNCTION inval_pack_in(cstring) RETURNS inval_pack
AS 'byteain' LANGUAGE internal IMMUTABLE STRICT;
REVOKE ALL ON FUNCTION inval_pack_in(cstring) FROM PUBLIC;
COMMENT ON FUNCTION inval_pack_in(cstring) IS 'Input of inval_pack';
CREATE FUNCTION inval_pack_out(inval_pack) RETURNS cstring
AS 'byteaout' LANGUAGE internal IMMUTABLE STRICT;
REVOKE ALL ON FUNCTION inval_pack_out(inval_pack) FROM PUBLIC;
COMMENT ON FUNCTION inval_pack_out(inval_pack) IS 'Output of inval_pack';
CREATE TYPE inval_pack (INPUT = inval_pack_in, OUTPUT = inval_pack_out, STORAGE = plain);
REVOKE ALL ON TYPE inval_pack FROM PUBLIC;
COMMENT ON TYPE inval_pack IS 'Queued invalidations, as bytes';

CREATE FUNCTION inval_outbox_source(
	OUT xid xid8, OUT first bigint, OUT target integer, OUT lane "char",
	OUT entries integer, OUT queued_at timestamptz, OUT pack inval_pack,
	OUT origin inval_pack)
RETURNS SETOF record
AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 1;
REVOKE ALL ON FUNCTION inval_outbox_source() FROM PUBLIC;
COMMENT ON FUNCTION inval_outbox_source() IS
	'Gives the outbox its columns, and refuses to refresh it where inval is not loaded';

DO $$
BEGIN
	FOR i IN 0 .. 8 LOOP
		EXECUTE pg_catalog.format(
			'CREATE MATERIALIZED VIEW @extschema@.inval_outbox_%s USING heap '
			'WITH (autovacuum_enabled = %s, fillfactor = 100) '
			'AS SELECT * FROM @extschema@.inval_outbox_source()',
			i, CASE WHEN i < 3 THEN 'off' ELSE 'on' END);
		EXECUTE pg_catalog.format(
			'REVOKE ALL ON @extschema@.inval_outbox_%s FROM PUBLIC', i);
		EXECUTE pg_catalog.format(
			'COMMENT ON MATERIALIZED VIEW @extschema@.inval_outbox_%s IS '
			'''Queued invalidations, %s; read it as inval_queue''', i,
			CASE WHEN i < 3 THEN 'written at commit'
			WHEN i < 6 THEN 'written before commit or by prepared transactions'
			ELSE 'for targets that are away' END);
	END LOOP;
END
$$;

-- Keys are made of rows.  Statistics are for pg_monitor, keys are not.
CREATE FUNCTION inval_key_right() RETURNS void
AS 'MODULE_PATHNAME' LANGUAGE C STABLE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION inval_key_right() FROM PUBLIC;
COMMENT ON FUNCTION inval_key_right() IS
	'EXECUTE on it is the right to see keys that others have queued; does nothing';

CREATE FUNCTION inval_sees_keys() RETURNS boolean
AS 'MODULE_PATHNAME' LANGUAGE C STABLE PARALLEL UNSAFE;
COMMENT ON FUNCTION inval_sees_keys() IS
	'Whether the caller has the right to see keys that others have queued';

CREATE FUNCTION inval_queue_rows(
	OUT id bigint, OUT queued_at timestamptz, OUT xid xid8, OUT rule integer,
	OUT target text, OUT action text, OUT key text, OUT field text,
	OUT attempts integer, OUT next_attempt timestamptz, OUT last_error text)
RETURNS SETOF record
AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION inval_queue_rows() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION inval_queue_rows() TO pg_monitor;
COMMENT ON FUNCTION inval_queue_rows() IS 'Rows of inval_queue';

CREATE VIEW inval_queue AS SELECT * FROM @extschema@.inval_queue_rows();
REVOKE ALL ON inval_queue FROM PUBLIC;
GRANT SELECT ON inval_queue TO pg_monitor;
COMMENT ON VIEW inval_queue IS
	'Invalidations that are committed and that their target has not confirmed';
COMMENT ON COLUMN inval_queue.id IS 'Identifies the invalidation while it is queued';
COMMENT ON COLUMN inval_queue.queued_at IS 'When it was queued, at the end of its transaction';
COMMENT ON COLUMN inval_queue.xid IS 'The transaction that queued it';
COMMENT ON COLUMN inval_queue.rule IS 'The rule it comes from, NULL if queued by inval_touch';
COMMENT ON COLUMN inval_queue.target IS 'Where it must be delivered';
COMMENT ON COLUMN inval_queue.action IS 'What is done to the key';
COMMENT ON COLUMN inval_queue.key IS 'The key; NULL for who may not see keys';
COMMENT ON COLUMN inval_queue.field IS 'The hash field, NULL for the whole key, and for who may not see keys';
COMMENT ON COLUMN inval_queue.attempts IS 'How often delivery failed: that of this entry, or of anything while its target is down';
COMMENT ON COLUMN inval_queue.next_attempt IS 'When it is tried again, NULL if at the next turn of the worker';
COMMENT ON COLUMN inval_queue.last_error IS 'Why the last try failed';

CREATE FUNCTION inval_touch(
	key text, action text DEFAULT 'delete', delivery text DEFAULT 'commit',
	field text DEFAULT NULL, target text DEFAULT 'default')
RETURNS void
AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION inval_touch(text, text, text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION inval_touch(text, text, text, text, text) IS
	'Queues one invalidation by hand, delivered if this transaction commits';

-- What inval_purge has done: a materialized view for the same reasons, with a
-- row for each purge, and a second one when it was finished in the background.
CREATE FUNCTION inval_purge_source(
	OUT id bigint, OUT started_at timestamptz, OUT session_role text, OUT role text,
	OUT target text, OUT pattern text, OUT reason text, OUT removed bigint,
	OUT finished_at timestamptz)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'inval_outbox_source' LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 1;
REVOKE ALL ON FUNCTION inval_purge_source() FROM PUBLIC;
COMMENT ON FUNCTION inval_purge_source() IS
	'Gives the record of purges its columns, and refuses to refresh it where inval is not loaded';

CREATE MATERIALIZED VIEW inval_purge_record USING heap
	AS SELECT * FROM @extschema@.inval_purge_source();
REVOKE ALL ON inval_purge_record FROM PUBLIC;
COMMENT ON MATERIALIZED VIEW inval_purge_record IS
	'What inval_purge has done; read it as inval_purge_log';

------------------------------------------------------------------------------
-- Operating
------------------------------------------------------------------------------

CREATE FUNCTION inval_drain(timeout interval DEFAULT '1 minute') RETURNS bigint
AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION inval_drain(interval) FROM PUBLIC;
COMMENT ON FUNCTION inval_drain(interval) IS
	'Makes the look-ups that are left, and delivers what is queued, in this session. Returns how many invalidations were confirmed';

CREATE FUNCTION inval_add_target(name text, url text, max_rate integer DEFAULT NULL,
	region text DEFAULT NULL, namespace text DEFAULT NULL) RETURNS void
AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION inval_add_target(text, text, integer, text, text) FROM PUBLIC;
COMMENT ON FUNCTION inval_add_target(text, text, integer, text, text) IS
	'Makes a target that rules can name, or changes it: its URL, keys per second, region, and the prefix of all its keys';

CREATE FUNCTION inval_drop_target(name text) RETURNS boolean
AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION inval_drop_target(text) FROM PUBLIC;
COMMENT ON FUNCTION inval_drop_target(text) IS
	'Drops a target that no rule names, and what is queued for it. Returns whether there was one';

CREATE FUNCTION inval_pause(target text DEFAULT 'default') RETURNS void
AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION inval_pause(text) FROM PUBLIC;
COMMENT ON FUNCTION inval_pause(text) IS
	'Stops sending to a target at once; queueing goes on';

CREATE FUNCTION inval_resume(target text DEFAULT 'default') RETURNS void
AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION inval_resume(text) FROM PUBLIC;
COMMENT ON FUNCTION inval_resume(text) IS 'Resumes sending to a paused target';

-- What is held back costs room in the outbox, which is everybody's: owning the
-- table is not enough.
CREATE FUNCTION inval_pause(rule integer) RETURNS boolean
AS 'MODULE_PATHNAME', 'inval_pause_rule' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION inval_pause(integer) FROM PUBLIC;
COMMENT ON FUNCTION inval_pause(integer) IS
	'Holds back what a rule owes, from the commit on; queueing goes on. Returns whether it was not paused before';

CREATE FUNCTION inval_resume(rule integer) RETURNS boolean
AS 'MODULE_PATHNAME', 'inval_resume_rule' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION inval_resume(integer) FROM PUBLIC;
COMMENT ON FUNCTION inval_resume(integer) IS
	'Resumes a paused rule: what was held back is delivered. Returns whether it was paused';

CREATE FUNCTION inval_pause(relation regclass) RETURNS integer
AS 'MODULE_PATHNAME', 'inval_pause_relation' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION inval_pause(regclass) FROM PUBLIC;
COMMENT ON FUNCTION inval_pause(regclass) IS
	'Pauses the rules of a table, but for strict ones. Returns how many were not paused before';

CREATE FUNCTION inval_resume(relation regclass) RETURNS integer
AS 'MODULE_PATHNAME', 'inval_resume_relation' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION inval_resume(regclass) FROM PUBLIC;
COMMENT ON FUNCTION inval_resume(regclass) IS
	'Resumes the paused rules of a table. Returns how many there were';

CREATE FUNCTION inval_pause_delivery(delivery text) RETURNS integer
AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION inval_pause_delivery(text) FROM PUBLIC;
COMMENT ON FUNCTION inval_pause_delivery(text) IS
	'Pauses all rules that are delivered so now: commit or background. Returns how many were not paused before';

CREATE FUNCTION inval_resume_delivery(delivery text) RETURNS integer
AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION inval_resume_delivery(text) FROM PUBLIC;
COMMENT ON FUNCTION inval_resume_delivery(text) IS
	'Resumes all paused rules that are delivered so. Returns how many there were';

CREATE FUNCTION inval_purge(pattern text, reason text, target text DEFAULT 'default')
RETURNS bigint
AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION inval_purge(text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION inval_purge(text, text, text) IS
	'Removes the keys that a glob pattern of Redis matches, at once, and notes it in inval_purge_log. Returns how many were removed';

CREATE VIEW inval_purge_log AS
	SELECT DISTINCT ON (p.id) p.id, p.started_at AS "when", p.session_role AS who, p.role,
		p.target, CASE WHEN @extschema@.inval_sees_keys() THEN p.pattern END AS pattern,
		p.reason, p.removed AS count,
		CASE WHEN p.finished_at IS NULL THEN 'queued' ELSE 'done' END AS state,
		p.finished_at
	FROM @extschema@.inval_purge_record p
	ORDER BY p.id, p.finished_at NULLS LAST;
REVOKE ALL ON inval_purge_log FROM PUBLIC;
GRANT SELECT ON inval_purge_log TO pg_monitor;
COMMENT ON VIEW inval_purge_log IS 'What inval_purge has done, and for whom';
COMMENT ON COLUMN inval_purge_log.id IS 'Identifies the purge; that of its entry in inval_queue, if it was queued';
COMMENT ON COLUMN inval_purge_log."when" IS 'When it began';
COMMENT ON COLUMN inval_purge_log.who IS 'The role that had logged in';
COMMENT ON COLUMN inval_purge_log.role IS 'The role whose rights counted';
COMMENT ON COLUMN inval_purge_log.target IS 'The target';
COMMENT ON COLUMN inval_purge_log.pattern IS 'The glob pattern; NULL for who may not see keys';
COMMENT ON COLUMN inval_purge_log.reason IS 'Why, as the caller said';
COMMENT ON COLUMN inval_purge_log.count IS 'Keys that were removed, so far';
COMMENT ON COLUMN inval_purge_log.state IS 'done, or queued: it goes on in the background';
COMMENT ON COLUMN inval_purge_log.finished_at IS 'When it was done';

------------------------------------------------------------------------------
-- Seeing
------------------------------------------------------------------------------

CREATE FUNCTION inval_pending_rows(
	OUT rule integer, OUT target text, OUT action text, OUT key text, OUT field text)
RETURNS SETOF record
AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 100;
COMMENT ON FUNCTION inval_pending_rows() IS 'Rows of inval_pending, some of them more than once';

-- One that several rules owe is sent once.
CREATE FUNCTION inval_pending(
	OUT rule integer, OUT target text, OUT action text, OUT key text, OUT field text)
RETURNS SETOF record
LANGUAGE sql VOLATILE PARALLEL UNSAFE ROWS 100
BEGIN ATOMIC
SELECT DISTINCT ON (p.target COLLATE pg_catalog."C", p.action, p.key COLLATE pg_catalog."C",
		p.field COLLATE pg_catalog."C", CASE WHEN p.key IS NULL THEN p.rule END)
	p.rule, p.target, p.action, p.key, p.field
FROM @extschema@.inval_pending_rows() p
ORDER BY p.target COLLATE pg_catalog."C", p.action, p.key COLLATE pg_catalog."C",
	p.field COLLATE pg_catalog."C" NULLS FIRST, CASE WHEN p.key IS NULL THEN p.rule END, p.rule;
END;
COMMENT ON FUNCTION inval_pending() IS
	'What this transaction would invalidate if it committed now, in order; the key is NULL where the caller may not see it';

-- Who may call it reads any value of the cache.
CREATE FUNCTION inval_peek(VARIADIC keys text[], OUT key text, OUT value bytea, OUT ttl interval)
RETURNS SETOF record
AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE ROWS 10;
REVOKE ALL ON FUNCTION inval_peek(text[]) FROM PUBLIC;
COMMENT ON FUNCTION inval_peek(text[]) IS
	'What the target default holds at these keys now: the value of a string, NULL for none, and how long it will live, NULL for ever';

-- Who may call it can find out, by rules of their own, what the cache holds.
CREATE FUNCTION inval_audit(
	rule integer, sample integer DEFAULT 100, repair boolean DEFAULT false,
	OUT key text, OUT target text, OUT verdict text, OUT detail text)
RETURNS SETOF record
AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;
REVOKE ALL ON FUNCTION inval_audit(integer, integer, boolean) FROM PUBLIC;
COMMENT ON FUNCTION inval_audit(integer, integer, boolean) IS
	'Compares what the targets hold at the keys of so many rows, chosen at random, with what the rule''s query gives: fresh, missing, stale, unknown or skipped; queues the removal of stale keys if it is to repair';

CREATE FUNCTION inval_orphans(
	rule integer, remove boolean DEFAULT false, max_keys integer DEFAULT 1000,
	OUT key text, OUT target text, OUT reason text, OUT idle interval, OUT ttl interval)
RETURNS SETOF record
AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;
REVOKE ALL ON FUNCTION inval_orphans(integer, boolean, integer) FROM PUBLIC;
COMMENT ON FUNCTION inval_orphans(integer, boolean, integer) IS
	'Finds keys that look like a rule''s and that no row feeds any more, up to max_keys; queues their removal in the background if they are to be removed';

CREATE FUNCTION inval_shadow_rows(
	OUT rule integer, OUT target text, OUT action text, OUT key text, OUT field text,
	OUT at timestamptz, OUT xid xid8)
RETURNS SETOF record
AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION inval_shadow_rows() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION inval_shadow_rows() TO pg_monitor;
COMMENT ON FUNCTION inval_shadow_rows() IS 'Rows of inval_shadow';

CREATE VIEW inval_shadow AS SELECT * FROM @extschema@.inval_shadow_rows();
REVOKE ALL ON inval_shadow FROM PUBLIC;
GRANT SELECT ON inval_shadow TO pg_monitor;
COMMENT ON VIEW inval_shadow IS
	'What rules in state shadow would have sent, the last inval.shadow_keys of them; the newest first';
COMMENT ON COLUMN inval_shadow.rule IS 'The rule';
COMMENT ON COLUMN inval_shadow.target IS 'Where it would have been sent';
COMMENT ON COLUMN inval_shadow.action IS 'What would have been done to the key';
COMMENT ON COLUMN inval_shadow.key IS 'The key, NULL for who may not see keys; what is longer than 1000 bytes, with its field, is cut off';
COMMENT ON COLUMN inval_shadow.field IS 'The hash field, NULL for the whole key, and for who may not see keys';
COMMENT ON COLUMN inval_shadow.at IS 'When it was committed';
COMMENT ON COLUMN inval_shadow.xid IS 'The transaction';

CREATE FUNCTION inval_history_rows(
	OUT at timestamptz, OUT rule integer, OUT action text, OUT key text, OUT field text,
	OUT target text, OUT xid xid8, OUT "user" text, OUT application text,
	OUT command text, OUT outcome text, OUT lag interval)
RETURNS SETOF record
AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION inval_history_rows() FROM PUBLIC;
COMMENT ON FUNCTION inval_history_rows() IS 'Rows of inval_history';

-- It shows keys, and who works with them: whoever may read it is granted that.
CREATE VIEW inval_history AS SELECT * FROM @extschema@.inval_history_rows();
REVOKE ALL ON inval_history FROM PUBLIC;
COMMENT ON VIEW inval_history IS
	'What became of the last inval.history_keys invalidations; the newest first';
COMMENT ON COLUMN inval_history.at IS 'When it was confirmed or refused';
COMMENT ON COLUMN inval_history.rule IS 'The rule it comes from, NULL if queued by inval_touch';
COMMENT ON COLUMN inval_history.action IS 'What was done to the key';
COMMENT ON COLUMN inval_history.key IS 'The key; what is longer than 1000 bytes, with its field, is cut off';
COMMENT ON COLUMN inval_history.field IS 'The hash field, NULL for the whole key';
COMMENT ON COLUMN inval_history.target IS 'Where';
COMMENT ON COLUMN inval_history.xid IS 'The transaction that queued it';
COMMENT ON COLUMN inval_history."user" IS 'Whose session that was';
COMMENT ON COLUMN inval_history.application IS 'Its application_name, or what the server calls the process';
COMMENT ON COLUMN inval_history.command IS 'What kinds of commands the transaction had run on tracked tables until it was written down';
COMMENT ON COLUMN inval_history.outcome IS 'commit: confirmed before COMMIT returned; worker: later; again: confirmed once more; refused: by the target, at the first try';
COMMENT ON COLUMN inval_history.lag IS 'From the commit to then';

CREATE FUNCTION inval_stats_rows(
	OUT rule integer, OUT target text,
	OUT rows_seen bigint, OUT keys_queued bigint, OUT keys_coalesced bigint,
	OUT keys_removed bigint, OUT delivered_at_commit bigint,
	OUT delivered_by_worker bigint, OUT failed_tries bigint, OUT skipped bigint,
	OUT refilled bigint, OUT refill_failed bigint,
	OUT audited bigint, OUT audit_fresh bigint, OUT audit_missing bigint,
	OUT audit_stale bigint, OUT audit_unknown bigint, OUT audit_failed bigint,
	OUT orphans bigint, OUT orphans_idle_s bigint,
	OUT lag_p50_ms double precision, OUT lag_p95_ms double precision,
	OUT lag_p99_ms double precision, OUT lag_max_ms double precision,
	OUT last_delivery timestamptz)
RETURNS SETOF record
AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION inval_stats_rows() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION inval_stats_rows() TO pg_monitor;
COMMENT ON FUNCTION inval_stats_rows() IS 'Rows of inval_stats';

CREATE VIEW inval_stats AS
	SELECT s.rule, r.relation, s.target, s.rows_seen, s.keys_queued,
		s.keys_coalesced, s.delivered_at_commit, s.delivered_by_worker,
		s.failed_tries, s.skipped, s.lag_p50_ms, s.lag_p95_ms, s.lag_p99_ms,
		s.lag_max_ms, s.last_delivery, s.refilled, s.refill_failed, s.keys_removed,
		s.audited, s.audit_fresh, s.audit_missing, s.audit_stale, s.audit_unknown,
		s.audit_failed, s.orphans,
		pg_catalog.make_interval(secs => s.orphans_idle_s) AS orphans_idle
	FROM @extschema@.inval_stats_rows() s
		LEFT JOIN @extschema@.inval_rule r ON r.id OPERATOR(pg_catalog.=) s.rule;
REVOKE ALL ON inval_stats FROM PUBLIC;
GRANT SELECT ON inval_stats TO pg_monitor;
COMMENT ON VIEW inval_stats IS
	'What each rule did to each target since the server started or inval_stats_reset ran; committed work only';
COMMENT ON COLUMN inval_stats.rule IS 'The rule; NULL for inval_touch; -1 for all rules that found no place for counters of their own';
COMMENT ON COLUMN inval_stats.relation IS 'The tracked table';
COMMENT ON COLUMN inval_stats.target IS 'The target';
COMMENT ON COLUMN inval_stats.rows_seen IS 'Changed rows that the rule looked at';
COMMENT ON COLUMN inval_stats.keys_queued IS 'Invalidations queued (counted only, for a rule in state shadow)';
COMMENT ON COLUMN inval_stats.keys_coalesced IS 'Keys that the same transaction had queued already';
COMMENT ON COLUMN inval_stats.delivered_at_commit IS 'Invalidations confirmed before COMMIT returned';
COMMENT ON COLUMN inval_stats.delivered_by_worker IS 'Invalidations confirmed to the worker or to inval_drain';
COMMENT ON COLUMN inval_stats.failed_tries IS 'Deliveries that were tried and not confirmed';
COMMENT ON COLUMN inval_stats.skipped IS 'Rows that feed no key because a column is NULL, and those that were skipped with a WARNING';
COMMENT ON COLUMN inval_stats.lag_p50_ms IS 'Median time from commit to confirmation, in milliseconds';
COMMENT ON COLUMN inval_stats.lag_p95_ms IS '95th percentile of the same';
COMMENT ON COLUMN inval_stats.lag_p99_ms IS '99th percentile of the same';
COMMENT ON COLUMN inval_stats.lag_max_ms IS 'Longest of the same';
COMMENT ON COLUMN inval_stats.last_delivery IS 'When an invalidation was last confirmed';
COMMENT ON COLUMN inval_stats.refilled IS 'Values that were put back at keys';
COMMENT ON COLUMN inval_stats.refill_failed IS 'Keys that stay empty although the rule has a query for their value';
COMMENT ON COLUMN inval_stats.keys_removed IS 'Keys and fields that were there when they were removed, leases of readers among them; the rest of what was delivered nobody had cached';

COMMENT ON COLUMN inval_stats.audited IS 'Keys that audits have compared with what the rule''s query gives';
COMMENT ON COLUMN inval_stats.audit_fresh IS 'Of these, keys that hold what they should, or nothing where nothing should be';
COMMENT ON COLUMN inval_stats.audit_missing IS 'Of these, keys that hold nothing, so that readers ask the database';
COMMENT ON COLUMN inval_stats.audit_stale IS 'Of these, keys that hold something else';
COMMENT ON COLUMN inval_stats.audit_unknown IS 'Of these, keys whose value is in another format, so that nothing can be said of it';
COMMENT ON COLUMN inval_stats.audit_failed IS 'Audits by the worker that an error has ended, as one of the rule''s query';
COMMENT ON COLUMN inval_stats.orphans IS 'Keys that no row feeds, whose removal inval_orphans has queued';
COMMENT ON COLUMN inval_stats.orphans_idle IS 'How long nobody had asked for these keys, all together, as far as the target could tell';

CREATE FUNCTION inval_stats_reset() RETURNS void
AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION inval_stats_reset() FROM PUBLIC;
COMMENT ON FUNCTION inval_stats_reset() IS 'Sets the figures of inval_stats of this database to zero';

CREATE FUNCTION inval_slo(
	within interval DEFAULT '1 second', OUT target text, OUT deliveries bigint,
	OUT on_time bigint, OUT overdue bigint, OUT share double precision,
	OUT audited bigint, OUT fresh bigint, OUT fresh_share double precision)
RETURNS SETOF record
AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE ROWS 10;
REVOKE ALL ON FUNCTION inval_slo(interval) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION inval_slo(interval) TO pg_monitor;
COMMENT ON FUNCTION inval_slo(interval) IS
	'Of each target: how many invalidations were delivered since the statistics began, how many of these within that time after the commit, how many are owed for longer by now, and which share of all that was on time; and of the values that audits have met how many were fresh';

CREATE FUNCTION inval_target_status_rows(
	OUT target text, OUT state text, OUT address text,
	OUT round_trip_ms double precision, OUT queue_depth bigint,
	OUT oldest_age interval, OUT keys_per_second double precision,
	OUT worker_pid integer, OUT attempts integer, OUT next_attempt timestamptz,
	OUT last_error text, OUT region text, OUT namespace text,
	OUT max_rate integer, OUT progress text, OUT collapsed_at timestamptz,
	OUT collapsed_keys bigint, OUT fences_lost bigint, OUT server_hits bigint,
	OUT server_misses bigint, OUT server_evicted_keys bigint,
	OUT server_used_memory bigint, OUT sessions integer, OUT turned_away bigint)
RETURNS SETOF record
AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION inval_target_status_rows() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION inval_target_status_rows() TO pg_monitor;
COMMENT ON FUNCTION inval_target_status_rows() IS 'Rows of inval_target_status';

CREATE VIEW inval_target_status AS
	SELECT s.*,
		(SELECT pg_catalog.array_agg(r.id ORDER BY r.id)
		 FROM @extschema@.inval_rule_rows() r
		 WHERE s.target OPERATOR(pg_catalog.=) ANY (r.targets)
			AND @extschema@.inval_rule_is_paused(r.id)) AS paused_rules
	FROM @extschema@.inval_target_status_rows() s;
REVOKE ALL ON inval_target_status FROM PUBLIC;
GRANT SELECT ON inval_target_status TO pg_monitor;
COMMENT ON VIEW inval_target_status IS 'How each target is doing';
COMMENT ON COLUMN inval_target_status.target IS 'The target';
COMMENT ON COLUMN inval_target_status.state IS 'up, down or paused';
COMMENT ON COLUMN inval_target_status.address IS 'Where it is reached, without credentials; with Sentinel, the master in use';
COMMENT ON COLUMN inval_target_status.round_trip_ms IS 'Time of the last confirmed delivery, in milliseconds';
COMMENT ON COLUMN inval_target_status.queue_depth IS 'Invalidations that it has not confirmed';
COMMENT ON COLUMN inval_target_status.oldest_age IS 'Age of the oldest of them';
COMMENT ON COLUMN inval_target_status.keys_per_second IS 'Confirmed in the last full second that had any';
COMMENT ON COLUMN inval_target_status.worker_pid IS 'Process that delivers for this database, NULL if none runs';
COMMENT ON COLUMN inval_target_status.attempts IS 'Failed tries since it was last up';
COMMENT ON COLUMN inval_target_status.next_attempt IS 'When it is tried again';
COMMENT ON COLUMN inval_target_status.last_error IS 'Why the last try failed, if nothing has succeeded since, or what the server lacks';
COMMENT ON COLUMN inval_target_status.region IS 'Where it is, as inval_add_target was told';
COMMENT ON COLUMN inval_target_status.namespace IS 'What its keys start with; nothing else is ever sent to it';
COMMENT ON COLUMN inval_target_status.max_rate IS 'Keys per second that it may be sent at most';
COMMENT ON COLUMN inval_target_status.progress IS 'How far the removal of all keys with a prefix, or a purge, is; NULL if none runs; the share is an estimate';
COMMENT ON COLUMN inval_target_status.collapsed_at IS 'When its backlog was last replaced by the removal of its namespace, since the server started';
COMMENT ON COLUMN inval_target_status.collapsed_keys IS 'How many invalidations were replaced then';
COMMENT ON COLUMN inval_target_status.paused_rules IS 'Rules that are paused by themselves, so that what they owe to it is held back; NULL if none is';
COMMENT ON COLUMN inval_target_status.fences_lost IS 'Fences of strict rules that were gone before they were ended, since the server started: readers may have been given old values';
COMMENT ON COLUMN inval_target_status.server_hits IS 'What its servers say of themselves, together: reads that found a key; like the next ones NULL while it is down or will not tell';
COMMENT ON COLUMN inval_target_status.server_misses IS 'Reads that found none';
COMMENT ON COLUMN inval_target_status.server_evicted_keys IS 'Keys that had to go for want of memory';
COMMENT ON COLUMN inval_target_status.server_used_memory IS 'Bytes in use';
COMMENT ON COLUMN inval_target_status.sessions IS 'Sessions of this database that have connections to it, or are about to';
COMMENT ON COLUMN inval_target_status.turned_away IS 'Commits that have left their keys to the worker because inval.max_connections sessions had connections, since the server started';

CREATE FUNCTION inval_lag_rows(
	OUT rule integer, OUT target text, OUT le double precision, OUT count bigint)
RETURNS SETOF record
AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION inval_lag_rows() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION inval_lag_rows() TO pg_monitor;
COMMENT ON FUNCTION inval_lag_rows() IS 'Rows of inval_lag_buckets';

CREATE VIEW inval_lag_buckets AS SELECT * FROM @extschema@.inval_lag_rows();
REVOKE ALL ON inval_lag_buckets FROM PUBLIC;
GRANT SELECT ON inval_lag_buckets TO pg_monitor;
COMMENT ON VIEW inval_lag_buckets IS
	'How many invalidations of each rule and target took how long from commit to confirmation';
COMMENT ON COLUMN inval_lag_buckets.rule IS 'The rule, as in inval_stats';
COMMENT ON COLUMN inval_lag_buckets.target IS 'The target';
COMMENT ON COLUMN inval_lag_buckets.le IS 'Upper edge of the bucket, in seconds';
COMMENT ON COLUMN inval_lag_buckets.count IS 'Invalidations that took no longer';

CREATE FUNCTION inval_metric_label(name text, value text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL UNSAFE
RETURN pg_catalog.concat($1, '="', pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(
	$2, E'\\', E'\\\\'), '"', E'\\"'), pg_catalog.chr(10), E'\\n'), '"');
REVOKE ALL ON FUNCTION inval_metric_label(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION inval_metric_label(text, text) TO pg_monitor;
COMMENT ON FUNCTION inval_metric_label(text, text) IS 'A label as OpenMetrics writes it; for inval_metrics';

SELECT pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

-- monitoring/queries.yaml has the same metrics.  What a database has too many of to
-- be a series of its own is left out: lags are those of a target, not of each rule,
-- from 64 microseconds to a minute, and no label has a key.
CREATE FUNCTION @extschema@.inval_metrics() RETURNS text
LANGUAGE sql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET jit = off
SET extra_float_digits = 1
BEGIN ATOMIC
WITH
-- A standby counts and sends nothing: what is wrong elsewhere is said there.
here AS MATERIALIZED (
	SELECT @extschema@.inval_metric_label('datname', current_database()) AS labels
	WHERE NOT pg_is_in_recovery()),
rule AS MATERIALIZED (
	SELECT r.id, r.relation, r.broken IS NOT NULL AS broken, concat_ws(',', h.labels,
		@extschema@.inval_metric_label('rule', r.id::text),
		@extschema@.inval_metric_label('relation', r.relation::text)) AS labels,
		@extschema@.inval_metric_label('state', r.state) AS state
	FROM here h CROSS JOIN @extschema@.inval_rule r),
stats AS MATERIALIZED (
	SELECT s.*, concat_ws(',', coalesce(r.labels, concat_ws(',', h.labels,
			@extschema@.inval_metric_label('rule', CASE WHEN s.rule = -1 THEN 'others'
				WHEN s.rule IS NULL THEN 'touch' ELSE s.rule::text END))),
		@extschema@.inval_metric_label('target', s.target)) AS labels
	FROM here h CROSS JOIN @extschema@.inval_stats_rows() s LEFT JOIN rule r ON r.id = s.rule),
status AS MATERIALIZED (
	SELECT t.*, concat_ws(',', h.labels,
		@extschema@.inval_metric_label('target', t.target)) AS labels
	FROM here h CROSS JOIN @extschema@.inval_target_status_rows() t),
lag AS MATERIALIZED (
	SELECT l.le, sum(l.count) AS count, concat_ws(',', h.labels,
		@extschema@.inval_metric_label('target', l.target)) AS labels
	FROM here h CROSS JOIN @extschema@.inval_lag_rows() l
	WHERE l.le BETWEEN 6e-5 AND 70 OR l.le = 'Infinity'
	GROUP BY h.labels, l.target, l.le),
sample (name, type, suffix, labels, place, value, help) AS (
	SELECT m.name, m.type, '', s.labels, 0, m.value, m.help
	FROM stats s CROSS JOIN LATERAL (VALUES
		('rule_rows_seen', 'counter', s.rows_seen::double precision, 'Changed rows that the rule looked at'),
		('rule_keys_queued', 'counter', s.keys_queued, 'Invalidations queued'),
		('rule_keys_coalesced', 'counter', s.keys_coalesced, 'Keys that the same transaction had queued already'),
		('rule_delivered_at_commit', 'counter', s.delivered_at_commit, 'Invalidations confirmed before COMMIT returned'),
		('rule_delivered_by_worker', 'counter', s.delivered_by_worker, 'Invalidations confirmed to the worker or to inval_drain'),
		('rule_failed_tries', 'counter', s.failed_tries, 'Deliveries that were tried and not confirmed'),
		('rule_skipped', 'counter', s.skipped, 'Rows that feed no key because a column is NULL, and those that were skipped with a WARNING'),
		('rule_refilled', 'counter', s.refilled, 'Values that were put back at keys'),
		('rule_refill_failed', 'counter', s.refill_failed, 'Keys that stay empty although the rule has a query for their value'),
		('rule_keys_removed', 'counter', s.keys_removed, 'Keys and fields that were there when they were removed'),
		('rule_audited', 'counter', s.audited, 'Keys that audits have compared'),
		('rule_audit_fresh', 'counter', s.audit_fresh, 'Of these, keys that hold what they should'),
		('rule_audit_missing', 'counter', s.audit_missing, 'Of these, keys that hold nothing'),
		('rule_audit_stale', 'counter', s.audit_stale, 'Of these, keys that hold something else'),
		('rule_audit_unknown', 'counter', s.audit_unknown, 'Of these, keys whose value is in another format'),
		('rule_audit_failed', 'counter', s.audit_failed, 'Audits that an error of the rule has ended'),
		('rule_orphans', 'counter', s.orphans, 'Keys that no row feeds, whose removal was queued'),
		('rule_lag_p50_seconds', 'gauge', s.lag_p50_ms / 1000, 'Median time from commit to confirmation, since the counters began'),
		('rule_lag_p95_seconds', 'gauge', s.lag_p95_ms / 1000, '95th percentile of the same'),
		('rule_lag_p99_seconds', 'gauge', s.lag_p99_ms / 1000, '99th percentile of the same'),
		('rule_lag_max_seconds', 'gauge', s.lag_max_ms / 1000, 'Longest of the same'),
		('rule_last_delivery_timestamp_seconds', 'gauge', extract(epoch FROM s.last_delivery)::double precision, 'When an invalidation was last confirmed')
		) m (name, type, value, help)
	UNION ALL
	SELECT m.name, m.type, '', t.labels, 0, m.value, m.help
	FROM status t CROSS JOIN LATERAL (VALUES
		('target_up', 'gauge', (t.state = 'up')::integer::double precision, 'Whether the target answers and is not paused'),
		('target_down', 'gauge', (t.state = 'down')::integer, 'Whether the target does not answer'),
		('target_paused', 'gauge', (t.state = 'paused')::integer, 'Whether sending was stopped by inval_pause'),
		('target_worker', 'gauge', (t.worker_pid IS NOT NULL)::integer, 'Whether a process delivers to the target for this database'),
		('target_queue_depth', 'gauge', t.queue_depth, 'Invalidations that it has not confirmed'),
		('target_oldest_age_seconds', 'gauge', greatest(0, coalesce(extract(epoch FROM t.oldest_age), 0))::double precision, 'Age of the oldest of them, 0 if there is none'),
		('target_round_trip_seconds', 'gauge', t.round_trip_ms / 1000, 'Time of the last confirmed delivery'),
		('target_keys_per_second', 'gauge', t.keys_per_second, 'Confirmed in the last full second that had any'),
		('target_attempts', 'gauge', t.attempts, 'Failed tries since it was last up'),
		('target_max_rate', 'gauge', coalesce(t.max_rate, 0), 'Keys per second that it may be sent at most, 0 if there is no limit'),
		('target_collapsed_timestamp_seconds', 'gauge', coalesce(extract(epoch FROM t.collapsed_at), 0)::double precision, 'When its backlog was last replaced by the removal of its namespace, 0 if never'),
		('target_collapsed_keys', 'gauge', coalesce(t.collapsed_keys, 0), 'How many invalidations were replaced then'),
		('target_fences_lost', 'counter', t.fences_lost, 'Fences of strict rules that were gone before they were ended'),
		('target_server_hits', 'counter', t.server_hits, 'Reads that found a key, as its servers say since they started'),
		('target_server_misses', 'counter', t.server_misses, 'Reads that found none'),
		('target_server_evicted_keys', 'counter', t.server_evicted_keys, 'Keys that had to go for want of memory'),
		('target_server_used_memory_bytes', 'gauge', t.server_used_memory, 'Memory that its servers use'),
		('target_sessions', 'gauge', t.sessions, 'Sessions that have connections to it'),
		('target_turned_away', 'counter', t.turned_away, 'Commits that inval.max_connections kept from connecting to it')
		) m (name, type, value, help)
	UNION ALL
	SELECT 'target_lag_seconds', 'histogram', '_bucket', l.labels || ',' || @extschema@.inval_metric_label('le',
			CASE WHEN l.le = 'Infinity' THEN '+Inf' ELSE l.le::text END),
		row_number() OVER (ORDER BY l.labels COLLATE "C", l.le), l.count, 'Time from commit to confirmation'
	FROM lag l
	UNION ALL
	SELECT 'tracking_broken', 'gauge', '', r.labels || ',' || r.state, 0, r.broken::integer,
		'Whether the rule cannot be applied, so that its keys are not removed'
	FROM rule r
	UNION ALL
	SELECT 'coverage_holes', 'gauge', '', h.labels, 0, (SELECT count(*) FROM @extschema@.inval_hole_rows()),
		'Places where a change can be missed, as inval_holes shows them'
	FROM here h
	UNION ALL
	SELECT 'info', 'gauge', '', h.labels || ',' || @extschema@.inval_metric_label('version', e.extversion), 0, 1,
		'The version of the extension'
	FROM here h CROSS JOIN pg_extension e WHERE e.extname = 'inval'),
family AS (
	SELECT s.name, format(E'# TYPE inval_%s %s\n# HELP inval_%1$s %3$s\n', s.name, s.type, min(s.help)) ||
		string_agg(format(E'inval_%s%s{%s} %s\n', s.name,
			CASE s.type WHEN 'counter' THEN '_total' ELSE s.suffix END, s.labels, s.value), ''
			ORDER BY s.place, s.labels COLLATE "C") AS lines
	FROM sample s WHERE s.value IS NOT NULL GROUP BY s.name, s.type)
SELECT coalesce(string_agg(f.lines, '' ORDER BY f.name COLLATE "C"), '') || '# EOF' FROM family f;
END;

SELECT pg_catalog.set_config('search_path', '@extschema@, pg_temp', true);
REVOKE ALL ON FUNCTION inval_metrics() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION inval_metrics() TO pg_monitor;
COMMENT ON FUNCTION inval_metrics() IS
	'Counters, targets, lags, broken rules and holes as OpenMetrics text';

CREATE FUNCTION inval_progress_rows(
	OUT pid integer, OUT operation text, OUT target text, OUT detail text,
	OUT done bigint, OUT total bigint, OUT rate double precision, OUT started_at timestamptz)
RETURNS SETOF record
AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 10;
REVOKE ALL ON FUNCTION inval_progress_rows() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION inval_progress_rows() TO pg_monitor;
COMMENT ON FUNCTION inval_progress_rows() IS 'Rows of inval_progress';

CREATE VIEW inval_progress AS SELECT * FROM @extschema@.inval_progress_rows();
REVOKE ALL ON inval_progress FROM PUBLIC;
GRANT SELECT ON inval_progress TO pg_monitor;
COMMENT ON VIEW inval_progress IS 'Work in this database that takes long, and how far it is';
COMMENT ON COLUMN inval_progress.pid IS 'Process that does it: a session or a worker';
COMMENT ON COLUMN inval_progress.operation IS 'What: drain, deliver, prefix, purge, collapse, read rows, audit or orphans';
COMMENT ON COLUMN inval_progress.target IS 'For which target, NULL if for none';
COMMENT ON COLUMN inval_progress.detail IS 'More of it: which table is read, how far a search is';
COMMENT ON COLUMN inval_progress.done IS 'Invalidations delivered, keys removed, or rows read so far';
COMMENT ON COLUMN inval_progress.total IS 'How many there are, if that is known; of rows, an estimate';
COMMENT ON COLUMN inval_progress.rate IS 'How many per second, since it began';
COMMENT ON COLUMN inval_progress.started_at IS 'When it began';

------------------------------------------------------------------------------
-- The worker starts once this transaction commits; without
-- shared_preload_libraries this warns.
------------------------------------------------------------------------------

CREATE FUNCTION inval_start_worker() RETURNS void
AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION inval_start_worker() FROM PUBLIC;
COMMENT ON FUNCTION inval_start_worker() IS
	'Asks for a worker in this database if it has none';

SELECT @extschema@.inval_start_worker();
