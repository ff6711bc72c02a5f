--
-- A row that feeds very many keys, found when the transaction commits: they outgrow
-- inval.pending_memory, and all of them are queued, once each.
--
CREATE TABLE large (id integer PRIMARY KEY);
SELECT inval_track('large', key => 'large:{i}',
	via => 'SELECT i FROM generate_series({id}, {id} + 299999) i') AS rule \gset
SET inval.pending_memory = '64kB';
BEGIN;
INSERT INTO large VALUES (1);
SAVEPOINT a;
INSERT INTO large VALUES (1000000);
ROLLBACK TO a;
COMMIT;
RESET inval.pending_memory;
SELECT count(DISTINCT key), min(substr(key, 7)::integer), max(substr(key, 7)::integer) FROM queued();
SELECT keys_queued, skipped FROM inval_stats WHERE rule = :rule;
SELECT inval_untrack_rule(:rule);
DROP TABLE large;
