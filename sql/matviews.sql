--
-- Materialized views: REFRESH invalidates what its rows feed, if they differ.
--
ALTER SEQUENCE inval_rule_id_seq RESTART 100;	-- for messages that have a rule's number
CREATE TABLE sale (id integer PRIMARY KEY, team_id integer, amount numeric, note text);
INSERT INTO sale VALUES (1, 1, 10, 'a'), (2, 1, 20, 'b'), (3, 2, 5, 'c'), (4, NULL, 1, 'd');
CREATE MATERIALIZED VIEW total AS
	SELECT team_id, sum(amount) AS amount, count(*) AS sales FROM sale GROUP BY team_id;
CREATE UNIQUE INDEX ON total (team_id);
SELECT inval_track('total', 'team_id') AS rule \gset
SELECT inval_track('total', 'team_id') = :rule AS same;
SELECT inval_track('total', key => 't:{team_id}', field => '{sales}', delivery => 'background') IS NOT NULL AS tracked;
SELECT relation, key, field, delivery FROM rules ORDER BY key;
SELECT * FROM triggers_of('total');
SELECT key, field FROM inval_preview('total') ORDER BY key, field;

-- Only rows that differ
REFRESH MATERIALIZED VIEW total;
SELECT * FROM queued();
UPDATE sale SET amount = 11 WHERE id = 1;
SELECT * FROM queued();
REFRESH MATERIALIZED VIEW total;
SELECT * FROM queued();
INSERT INTO sale VALUES (5, 3, 1, 'e'), (6, 2, 0, 'f');
DELETE FROM sale WHERE team_id = 1;
REFRESH MATERIALIZED VIEW CONCURRENTLY total;
SELECT * FROM queued();
REFRESH MATERIALIZED VIEW CONCURRENTLY total;
SELECT * FROM queued();
-- What is equal and reads differently differs.
UPDATE sale SET amount = 1.00 WHERE id = 5;
REFRESH MATERIALIZED VIEW total;
SELECT * FROM queued();
-- A row without a key
UPDATE sale SET amount = 2 WHERE id = 4;
REFRESH MATERIALIZED VIEW total;
SELECT * FROM queued();
-- WITH NO DATA, and back
REFRESH MATERIALIZED VIEW total WITH NO DATA;
SELECT * FROM queued();
REFRESH MATERIALIZED VIEW total WITH NO DATA;
SELECT * FROM queued();
SELECT * FROM inval_preview('total');
REFRESH MATERIALIZED VIEW CONCURRENTLY total;
REFRESH MATERIALIZED VIEW total;
SELECT * FROM queued();

-- Rolled back, several times in a transaction, in a function, prepared
BEGIN;
UPDATE sale SET amount = amount + 1;
REFRESH MATERIALIZED VIEW total;
ROLLBACK;
SELECT * FROM queued();
BEGIN;
UPDATE sale SET amount = amount + 1 WHERE team_id = 2;
SAVEPOINT a;
UPDATE sale SET amount = amount + 1 WHERE team_id = 3;
REFRESH MATERIALIZED VIEW total;
ROLLBACK TO a;
REFRESH MATERIALIZED VIEW total;
UPDATE sale SET amount = amount - 1 WHERE team_id = 2;
REFRESH MATERIALIZED VIEW total;
COMMIT;
SELECT * FROM queued();
CREATE FUNCTION refresh() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	UPDATE sale SET amount = amount * 2 WHERE team_id = 3;
	REFRESH MATERIALIZED VIEW total;
	BEGIN
		UPDATE sale SET amount = amount * 2;
		REFRESH MATERIALIZED VIEW total;
		PERFORM 1 / 0;
	EXCEPTION WHEN division_by_zero THEN
		NULL;
	END;
END
$$;
SELECT refresh();
SELECT * FROM queued();
DROP FUNCTION refresh();
BEGIN;
UPDATE sale SET amount = 77 WHERE id = 5;
REFRESH MATERIALIZED VIEW total;
PREPARE TRANSACTION 'inval matview';
COMMIT PREPARED 'inval matview';
SELECT * FROM queued();
-- One that fails
UPDATE sale SET amount = 'NaN' WHERE id = 5;
BEGIN;
SAVEPOINT a;
ALTER TABLE sale ADD CHECK (amount < 0) NOT VALID;
REFRESH MATERIALIZED VIEW nothing;
ROLLBACK TO a;
REFRESH MATERIALIZED VIEW total;
COMMIT;
SELECT * FROM queued();
SET session_replication_role = replica;
UPDATE sale SET amount = 3 WHERE id = 5;
REFRESH MATERIALIZED VIEW total;
RESET session_replication_role;
SELECT * FROM queued();

-- "off" and "shadow"
SELECT inval_track('total', 'team_id', state => 'off') = :rule AS same;
SELECT inval_untrack('total', 't:{team_id}');
UPDATE sale SET amount = 4 WHERE id = 5;
REFRESH MATERIALIZED VIEW total;
SELECT * FROM queued();
SELECT inval_track('total', 'team_id', state => 'shadow') = :rule AS same;
SELECT inval_stats_reset();
UPDATE sale SET amount = 5 WHERE id = 5;
REFRESH MATERIALIZED VIEW total;
SELECT * FROM queued();
SELECT relation, rows_seen > 0 AS seen, keys_queued FROM inval_stats WHERE rule = :rule;
SELECT inval_track('total', 'team_id') = :rule AS same;
-- As a row
UPDATE inval_rule SET key = 'total of {team_id}' WHERE id = :rule RETURNING relation, key;
UPDATE sale SET amount = 6 WHERE id = 5;
REFRESH MATERIALIZED VIEW total;
SELECT * FROM queued();

-- Names
ALTER MATERIALIZED VIEW total RENAME TO "The Total";
ALTER MATERIALIZED VIEW "The Total" RENAME COLUMN team_id TO "Team";
CREATE SCHEMA "Rep.orts";
ALTER MATERIALIZED VIEW "The Total" SET SCHEMA "Rep.orts";
ALTER SCHEMA "Rep.orts" RENAME TO reports;
ALTER TABLE sale RENAME TO sales;
ALTER TABLE sales RENAME team_id TO squad_id;
SELECT relation, key FROM rules;
SELECT srvtype, srvoptions FROM pg_foreign_server WHERE srvname = format('inval_rule_%s', :rule);
UPDATE sales SET amount = 7 WHERE id = 5;
REFRESH MATERIALIZED VIEW reports."The Total";
SELECT * FROM queued();
-- Not written by who does not own it
CREATE ROLE regress_inval_view;
GRANT USAGE ON SCHEMA reports TO regress_inval_view;
GRANT SELECT ON reports."The Total" TO regress_inval_view;
SET ROLE regress_inval_view;
SELECT inval_track('reports."The Total"', 'sales');
SELECT inval_untrack('reports."The Total"');
-- The server's words for that differ between versions.
\set VERBOSITY sqlstate
REFRESH MATERIALIZED VIEW reports."The Total";
\set VERBOSITY default
RESET ROLE;
-- The owner, who is no superuser, without rights on anything of ours
ALTER SCHEMA reports OWNER TO regress_inval_view;
ALTER MATERIALIZED VIEW reports."The Total" OWNER TO regress_inval_view;
GRANT SELECT, UPDATE ON sales TO regress_inval_view;
SET ROLE regress_inval_view;
SELECT inval_track('reports."The Total"', key => 'sales:{sales}') IS NOT NULL AS tracked;
UPDATE sales SET amount = 8 WHERE id = 5;
REFRESH MATERIALIZED VIEW reports."The Total";
ALTER MATERIALIZED VIEW reports."The Total" RENAME COLUMN sales TO count;
SELECT inval_untrack('reports."The Total"', 'sales:{count}');
RESET ROLE;
SELECT * FROM queued();
ALTER SERVER inval_rule_1 OPTIONS (SET key 'x');
CREATE SERVER inval_rule_999 TYPE 'rule' FOREIGN DATA WRAPPER inval OPTIONS (id '999', key 'x', relation 'reports."The Total"', nonsense 'y');

-- Dropped with its rules; its rows are no longer there
BEGIN;
DROP MATERIALIZED VIEW reports."The Total";
SELECT count(*) FROM inval_rule;
ROLLBACK;
SELECT relation, key FROM rules;
SELECT * FROM queued();
DROP TABLE sales;
SET client_min_messages = warning;
DROP TABLE sales CASCADE;
RESET client_min_messages;
SELECT * FROM queued();
SELECT count(*) FROM inval_rule;
SELECT srvname FROM pg_foreign_server WHERE srvname LIKE 'inval_rule%';
DROP SCHEMA reports;
DROP ROLE regress_inval_view;

-- Arrays, variables, via, duplicates: several rows that feed one key
CREATE TABLE line (k integer, v text, tags text[]);
INSERT INTO line VALUES (1, 'x', '{p,q}'), (1, 'x', '{p,q}'), (1, 'y', '{q}'), (2, 'z', NULL);
CREATE MATERIALIZED VIEW lines AS SELECT * FROM line;
SELECT inval_set_var('sha', 'new', 'old');
SELECT inval_track('lines', 'k') IS NOT NULL AS plain,
	inval_track('lines', key => 'tag:{tags[]}') IS NOT NULL AS elements,
	inval_track('lines', key => '{$sha}:{k}') IS NOT NULL AS variable,
	inval_track('lines', key => 'via:{n}', via => 'SELECT generate_series(1, {k}) AS n') IS NOT NULL AS via;
REFRESH MATERIALIZED VIEW lines;
SELECT * FROM queued();
-- One of two equal rows less
DELETE FROM line WHERE ctid = (SELECT min(ctid) FROM line WHERE v = 'x');
REFRESH MATERIALIZED VIEW lines;
SELECT * FROM queued();
-- Values that change places
UPDATE line SET v = CASE v WHEN 'x' THEN 'y' ELSE 'x' END, tags = CASE v WHEN 'x' THEN '{q}' ELSE '{p,q}' END::text[] WHERE k = 1;
REFRESH MATERIALIZED VIEW lines;
SELECT * FROM queued();
UPDATE line SET k = 3 WHERE k = 2;
REFRESH MATERIALIZED VIEW lines;
SELECT * FROM queued();
DROP TABLE line CASCADE;
SELECT count(*) FROM queued();
SELECT inval_set_var('sha', VARIADIC '{}');

-- More keys than memory: all of them, whether they differ or not
CREATE TABLE large (id integer, v text);
INSERT INTO large SELECT i, 'v' FROM generate_series(1, 5000) i;
CREATE MATERIALIZED VIEW larges AS SELECT * FROM large;
SELECT inval_track('larges', 'id') IS NOT NULL AS tracked;
SET inval.pending_memory = '64kB';
UPDATE large SET v = 'w', id = id + 1000 WHERE id > 4500;
REFRESH MATERIALIZED VIEW larges;
SELECT count(*) > 5000 AS all, count(DISTINCT key), min(length(key)), max(length(key)) FROM queued();
RESET inval.pending_memory;
UPDATE large SET v = 'x' WHERE id <= 10;
REFRESH MATERIALIZED VIEW larges;
SELECT count(*) FROM queued();
-- Toasted values
TRUNCATE large;
INSERT INTO large VALUES (1, repeat('long', 10000)), (2, repeat('long', 10000));
REFRESH MATERIALIZED VIEW larges;
SELECT count(*) FROM queued();
SELECT inval_track('larges', key => '{v|md5}:{id}') IS NOT NULL AS tracked;
UPDATE large SET v = repeat('long', 9999) || 'lonG' WHERE id = 2;
REFRESH MATERIALIZED VIEW larges;
SELECT key = 'larges:2' OR key = md5(repeat('long', 10000)) || ':2' OR key = md5(repeat('long', 9999) || 'lonG') || ':2' AS right FROM queued();
REFRESH MATERIALIZED VIEW larges;
SELECT * FROM queued();
SELECT inval_untrack('larges');
UPDATE large SET v = 'x';
REFRESH MATERIALIZED VIEW larges;
SELECT * FROM queued();
DROP TABLE large CASCADE;
SELECT srvname FROM pg_foreign_server WHERE srvname LIKE 'inval_rule%';
