--
-- The queue and the other views: their columns, and what the queue can hold.
--
-- Names and types are promised; more columns may come.
SELECT attrelid::regclass AS view, string_agg(format('%s %s', attname, format_type(atttypid, atttypmod)),
	E'\n' ORDER BY attnum) AS columns
FROM pg_attribute
WHERE attrelid IN ('inval_queue'::regclass, 'inval_stats'::regclass,
				   'inval_target_status'::regclass, 'inval_rule'::regclass) AND attnum > 0
GROUP BY attrelid ORDER BY 1;
-- So are the functions' arguments, their names and their defaults.
SELECT proname || E'(\n  ' || replace(pg_get_function_arguments(oid), ', ', E',\n  ') || E')\nRETURNS ' ||
	pg_get_function_result(oid) AS function
FROM pg_proc
WHERE proname IN ('inval_track', 'inval_untrack', 'inval_untrack_rule', 'inval_preview',
				  'inval_touch', 'inval_drain', 'inval_pause', 'inval_resume', 'inval_stats_reset',
				  'inval_pending', 'inval_peek', 'inval_pause_delivery', 'inval_resume_delivery')
ORDER BY proname, pg_get_function_arguments(oid) COLLATE "C";

-- The outbox is no place for hands, and is not lost by them.
SELECT inval_touch('precious');
REFRESH MATERIALIZED VIEW inval_outbox_0;
REFRESH MATERIALIZED VIEW inval_outbox_0 WITH NO DATA;
INSERT INTO inval_outbox_0 DEFAULT VALUES;
DELETE FROM inval_outbox_0;
TRUNCATE inval_outbox_0;
DROP MATERIALIZED VIEW inval_outbox_0;
VACUUM (FULL, ANALYZE) inval_outbox_0, inval_outbox_1, inval_outbox_2;
ALTER MATERIALIZED VIEW inval_outbox_0 SET (fillfactor = 100);
SELECT * FROM queued();
-- Nothing of it is published.
SET client_min_messages = error;	-- wal_level may be too low to use it
CREATE PUBLICATION everything FOR ALL TABLES;
RESET client_min_messages;
SELECT tablename FROM pg_publication_tables WHERE tablename LIKE 'inval\_outbox%';
DROP PUBLICATION everything;

-- Keys of any bytes
CREATE TABLE thing (id integer PRIMARY KEY, name text);
SELECT inval_track('thing', key => '{name}', field => 'f{name}') IS NOT NULL AS tracked;
INSERT INTO thing VALUES
	(1, ' '), (2, E'\t'), (3, E'\r\n'), (4, '*?[a]\'), (5, '"'' ''"'), (6, E'\x01\x7f'),
	(7, 'ключ'), (8, '鍵'), (9, '🔑'), (10, '%s %n $1 {x} }'), (11, E'*1\r\n$4\r\nPING\r\n'),
	(12, '');
SELECT encode(convert_to(key, 'UTF8'), 'hex') AS key, 'f' || key = field AS field FROM queued();
-- In another client encoding they are the same keys.
SET client_encoding = 'LATIN1';
UPDATE thing SET id = id + 100 WHERE id = 9;
SELECT octet_length(key), md5(key) = md5(U&'\+01F511') AS same FROM queued();
RESET client_encoding;
TRUNCATE thing;
SELECT count(*) FROM queued();
SELECT inval_untrack('thing');

-- Long ones, up to 7,500 bytes; longer ones are skipped aloud, and counted.  (The
-- warning tells the number of the rule, so let that be the same always.)
SELECT setval('inval_rule_id_seq', 1000);
SELECT inval_track('thing', key => 'x{name}') AS rule \gset
INSERT INTO thing VALUES (1, repeat('a', 7000)), (5, repeat('é', 3749)), (6, repeat('f', 7499));
SELECT left(key, 2), length(key), octet_length(key),
	right(key, -1) = (SELECT name FROM thing t WHERE left(t.name, 1) = substr(key, 2, 1)) AS right
FROM queued();
-- Such that compression does not help
INSERT INTO thing SELECT 7, 'g' || string_agg(md5(n::text), '') FROM generate_series(1, 230) n;
SELECT left(key, 2), length(key), right(key, -1) = (SELECT name FROM thing WHERE id = 7) AS right
FROM queued();
SELECT inval_stats_reset();
INSERT INTO thing VALUES (8, repeat('h', 7500)), (9, 'short'), (10, repeat('é', 3750)), (11, NULL);
SELECT * FROM queued();
SELECT rows_seen, keys_queued, skipped FROM inval_stats WHERE rule = :rule;
DELETE FROM thing WHERE id IN (8, 10);
SELECT * FROM queued();
-- A key of bytes that are few and a field of many
SELECT inval_untrack('thing');
SELECT inval_track('thing', key => '{id}', field => '{name}') IS NOT NULL AS tracked;
INSERT INTO thing VALUES (20, repeat('i', 7498));
SELECT key, length(field) FROM queued();
INSERT INTO thing VALUES (21, repeat('j', 7499));
SELECT * FROM queued();
-- The warning names the rule; a filter makes such values keys.
SELECT inval_untrack('thing');
SELECT inval_track('thing', key => 'thing:{name|sha256:16}') IS NOT NULL AS tracked;
UPDATE thing SET id = id WHERE id >= 20;
SELECT * FROM queued();
-- By hand
SELECT inval_touch(repeat('k', 4000), field => repeat('l', 3500));
SELECT left(key, 1), length(key), left(field, 1), length(field) FROM queued();
-- Many long ones at once
SELECT count(inval_touch(repeat('m', 7000) || n)) FROM generate_series(1, 100) n;
SELECT count(*), count(DISTINCT key), min(length(key)) FROM queued();
SELECT inval_untrack('thing');
TRUNCATE thing;

-- As an apply worker of logical replication would
SELECT inval_track('thing', 'id') IS NOT NULL AS tracked;
SET session_replication_role = replica;
INSERT INTO thing VALUES (1), (2);
UPDATE thing SET id = 3 WHERE id = 2;
DELETE FROM thing WHERE id = 3;
TRUNCATE thing;
SELECT * FROM queued();
SET session_replication_role = local;
INSERT INTO thing VALUES (1);
SELECT * FROM queued();
RESET session_replication_role;

-- Two-phase commit: nothing until COMMIT PREPARED.
BEGIN;
INSERT INTO thing VALUES (10);
SELECT inval_touch('two-phase', delivery => 'background');
SAVEPOINT a;
INSERT INTO thing VALUES (11);
ROLLBACK TO a;
INSERT INTO thing VALUES (12);
PREPARE TRANSACTION 'inval one';
SELECT * FROM queued();
INSERT INTO thing VALUES (13);
SELECT * FROM queued();
BEGIN;
INSERT INTO thing VALUES (14);
PREPARE TRANSACTION 'inval two';
\c -
INSERT INTO thing VALUES (15);
SELECT * FROM queued();
ROLLBACK PREPARED 'inval two';
SELECT * FROM queued();
COMMIT PREPARED 'inval one';
SELECT * FROM queued();
-- One that fails to be prepared
BEGIN;
INSERT INTO thing VALUES (16);
CREATE TEMPORARY TABLE not_prepared ();
PREPARE TRANSACTION 'inval three';
SELECT * FROM queued();
-- One that owes nothing, and one that was spilled
BEGIN;
SELECT count(*) > 0 AS some FROM thing;
PREPARE TRANSACTION 'inval four';
COMMIT PREPARED 'inval four';
SET inval.pending_memory = '64kB';
BEGIN;
INSERT INTO thing SELECT generate_series(1001, 10000);
PREPARE TRANSACTION 'inval five';
RESET inval.pending_memory;
SELECT count(*) FROM queued();
COMMIT PREPARED 'inval five';
SELECT count(DISTINCT key) FROM queued();
-- Tracking itself can be prepared.
BEGIN;
SELECT inval_track('thing', 'name') IS NOT NULL AS tracked;
INSERT INTO thing VALUES (17, 'seventeen');
PREPARE TRANSACTION 'inval six';
COMMIT PREPARED 'inval six';
INSERT INTO thing VALUES (18, 'eighteen');
SELECT * FROM queued();

-- The queue shows what is committed now, even to a transaction with an older
-- snapshot, and what the own transaction owes only once it is committed.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM queued();
INSERT INTO thing VALUES (19);
SELECT count(*) FROM inval_queue WHERE key = 'thing:19';
COMMIT;
SELECT * FROM queued();

-- Nothing of all this has gone meanwhile.
SELECT count(*) AS lost FROM seen s
WHERE NOT EXISTS (SELECT FROM inval_queue q WHERE q.id = s.id);

SELECT inval_untrack('thing');
DROP TABLE thing;
