--
-- fence: leases of readers are voided together with the key.
--
CREATE TABLE fenced (id int PRIMARY KEY, name text, fence boolean);
SELECT inval_track('fenced', 'id', fence => true) AS rule \gset
SELECT key, action, delivery, fence FROM inval_rule WHERE id = :rule;
-- It is no part of what makes a rule, and is updated.
SELECT inval_track('fenced', 'id', fence => true) = :rule AS same;
SELECT inval_track('fenced', 'id') = :rule AS same;
SELECT fence FROM inval_rule WHERE id = :rule;
UPDATE inval_rule SET fence = true WHERE id = :rule;
SELECT fence FROM inval_rule WHERE id = :rule;
-- It stands where a dump of the schema finds it.
SELECT pg_get_triggerdef(oid) ~ '''fence'', ''true''' AS dumped
FROM pg_trigger WHERE tgrelid = 'fenced'::regclass AND tgname LIKE '00\_inval\_rule\_%';
-- A materialized view has it, too.
CREATE MATERIALIZED VIEW fenced_view AS SELECT 1 AS id;
SELECT inval_track('fenced_view', 'id', fence => true) AS view_rule \gset
SELECT fence FROM inval_rule WHERE id = :view_rule;
-- Fields of hashes have no leases.
SELECT inval_track('fenced', key => 'names', field => '{id}', fence => true);
SELECT inval_track('fenced', key => 'names', field => '{id}') AS field_rule \gset
UPDATE inval_rule SET fence = true WHERE id = :field_rule;
SELECT inval_track('fenced', 'id', fence => NULL);
-- In the queue nothing is different.
INSERT INTO fenced VALUES (1);
SELECT * FROM queued();
-- A key that rules with and without a fence give is queued once.
SELECT inval_track('fenced', key => 'fenced:{name}') AS other \gset
BEGIN;
INSERT INTO fenced VALUES (2, '2');
COMMIT;
SELECT * FROM queued();
SELECT inval_untrack('fenced'), inval_untrack('fenced_view');
DROP MATERIALIZED VIEW fenced_view;
DROP TABLE fenced;
