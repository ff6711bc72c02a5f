--
-- inval_metrics, inval_lag_buckets and inval_holes, as far as they need no Redis.
--
CREATE ROLE regress_inval_monitor IN ROLE pg_monitor;
CREATE ROLE regress_inval_stranger;
CREATE SCHEMA measured;
CREATE TABLE measured.team (id integer PRIMARY KEY, team_id integer);
SELECT inval_track('measured.team', 'team_id') IS NOT NULL AS tracked;
-- Names that have to be escaped
CREATE TABLE measured."a ""quoted"" \ and
broken {name}" (id integer, team_id integer);
SELECT inval_track('measured."a ""quoted"" \ and
broken {name}"', key => 'odd:{team_id}') AS odd \gset
INSERT INTO measured.team VALUES (1, 4242), (2, NULL);
INSERT INTO measured."a ""quoted"" \ and
broken {name}" VALUES (1, 4242);
-- The lines about a metric, without what depends on the order of tests
CREATE FUNCTION lines(pattern text) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT regexp_replace(l, 'rule="\d+"', 'rule="…"')
	FROM regexp_split_to_table(inval_metrics(), '\n') l WHERE l ~ pattern $$;
SELECT * FROM lines('rule_(keys_queued|skipped).*(TYPE|measured)');
SELECT * FROM lines('tracking_broken.*measured');
SELECT * FROM lines('^# (TYPE|HELP) inval_(target_lag_seconds|rule_rows_seen|coverage_holes)');
-- It does not depend on settings of the session, and is one whole.
SET search_path = measured, public;
SET extra_float_digits = -10;
SELECT * FROM public.lines('rule_keys_queued.*measured.team');
SELECT count(*) FROM public.lines('bucket.*default.*le="67.108864"');
RESET search_path;
RESET extra_float_digits;
SELECT right(inval_metrics(), 6) = E'\n# EOF' AS ends;
-- No family comes twice, and no sample.
SELECT l, count(*) FROM (
	SELECT regexp_replace(l, ' [^ ]*$', '') AS l FROM regexp_split_to_table(inval_metrics(), '\n') l) s
WHERE l <> '' GROUP BY l HAVING count(*) > 1;
-- No key is in it, only what rules and tables are called.
SELECT position('4242' IN inval_metrics());

-- Lags: each rule and target has the same edges; counts only grow along them.
SELECT count(*) > 0 AS any, bool_and(edges = 35) AS edges, bool_and(grows) AS grows FROM (
	SELECT count(*) AS edges, bool_and(b.count >= b.before) AS grows FROM (
		SELECT *, lag(count, 1, 0) OVER (PARTITION BY rule, target ORDER BY le) AS before
		FROM inval_lag_buckets) b
	GROUP BY b.rule, b.target) r;
SELECT min(le), max(le) FROM inval_lag_buckets;

-- Holes: triggers of what is tracked, partitions included
CREATE TABLE measured.part (id integer, team_id integer) PARTITION BY LIST (id);
CREATE TABLE measured.part_1 PARTITION OF measured.part FOR VALUES IN (1);
CREATE TABLE measured.part_2 PARTITION OF measured.part FOR VALUES IN (2);
CREATE TABLE measured.other (id integer, team_id integer);
SELECT inval_track('measured.part', 'team_id') IS NOT NULL AS tracked;
CREATE TEMPORARY TABLE before AS SELECT * FROM inval_holes;
CREATE TEMPORARY VIEW new_holes AS SELECT * FROM inval_holes EXCEPT SELECT * FROM before;
BEGIN;
UPDATE pg_trigger SET tgenabled = 'D' WHERE tgrelid = 'measured.part_2'::regclass AND tgname = '00_inval_row';
DELETE FROM pg_trigger WHERE tgrelid = 'measured.team'::regclass AND tgname = '00_inval_truncate';
SELECT * FROM new_holes ORDER BY relation::text;
ALTER EVENT TRIGGER inval_on_rewrite DISABLE;
SELECT * FROM new_holes WHERE relation IS NULL;
SELECT * FROM lines('^inval_coverage_holes');
ROLLBACK;
SELECT * FROM new_holes;
-- ... and tables that have a guarded column
CREATE TABLE measured.leads_there (id integer, team integer REFERENCES measured.team);
CREATE TABLE measured."backup_of_50%" (team_id integer);
SELECT inval_track('measured.leads_there', key => 'leads:{id}') IS NOT NULL AS tracked;
SELECT inval_guard('warn', 'team_id', exempt => '{"backup_*_50%",public}');
SELECT * FROM new_holes ORDER BY relation::text COLLATE "C";
SELECT inval_guard('warn', 'team_id', exempt => '{"measured.backup*_50%",measured.other,public}');
SELECT * FROM new_holes ORDER BY relation::text COLLATE "C";
UPDATE inval_rule SET state = 'shadow' WHERE id = :odd;
SELECT problem FROM new_holes;
UPDATE inval_rule SET state = 'on' WHERE id = :odd;
SELECT inval_guard('off', 'team_id');

-- Who may look
SET ROLE regress_inval_monitor;
SELECT length(inval_metrics()) > 1000 AS metrics;
SELECT count(*) >= 0 AS holes FROM inval_holes;
SELECT count(*) > 0 AS lags FROM inval_lag_buckets;
SET ROLE regress_inval_stranger;
SELECT inval_metrics();
SELECT * FROM inval_holes;
SELECT * FROM inval_lag_buckets;
RESET ROLE;

SET client_min_messages = error;
DROP VIEW new_holes;
DROP SCHEMA measured CASCADE;
DROP FUNCTION lines(text);
DROP ROLE regress_inval_monitor, regress_inval_stranger;
SELECT count(*) > 0 AS dropped FROM queued();
