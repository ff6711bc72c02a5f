--
-- Several arrays in one template: what the elements' combinations cost.
--
CREATE TABLE combined (id integer PRIMARY KEY, a integer[], b integer[]);
SELECT setval('inval_rule_id_seq', 3000);
SELECT inval_track('combined', key => 'c:{a[]}{a[]}{a[]}{a[]}:{b[]}') AS rule \gset
-- Before anything is combined it is known how many keys there will be, so that none
-- costs nothing and too many are refused at once.
SET statement_timeout = '10s';
INSERT INTO combined SELECT 1, array_agg(n), '{}' FROM generate_series(1, 300) n;
INSERT INTO combined SELECT 2, array_agg(n), '{NULL,NULL}' FROM generate_series(1, 300) n;
INSERT INTO combined SELECT 3, array_agg(n), NULL FROM generate_series(1, 300) n;
SELECT * FROM queued();
SELECT skipped FROM inval_stats WHERE rule = :rule;
INSERT INTO combined SELECT 4, array_agg(n), '{7}' FROM generate_series(1, 300) n;
-- Elements that are NULL feed no key and take no time.
INSERT INTO combined SELECT 5, array_fill(NULL::integer, ARRAY[1000]) || 1, array_fill(NULL::integer, ARRAY[1000]) || 2;
SELECT * FROM queued();
SELECT inval_untrack('combined');
-- A field multiplies, too.
SELECT inval_track('combined', key => 'c:{a[]}:{a[]}', field => '{b[]}:{b[]}') IS NOT NULL AS tracked;
INSERT INTO combined SELECT 6, array_agg(n), array_agg(n) FROM generate_series(1, 32) n;
INSERT INTO combined SELECT 7, array_agg(n), '{}' FROM generate_series(1, 32) n;
INSERT INTO combined VALUES (8, '{1,NULL,2}', '{3,4,NULL}');
SELECT * FROM queued();
RESET statement_timeout;
SELECT inval_untrack('combined');
-- So does a path to an array, and a template has its length.
CREATE TABLE combines (id integer REFERENCES combined);
SELECT inval_track('combines', key => 'p:{id.a[]}:{id.b[]}') IS NOT NULL AS tracked;
INSERT INTO combines VALUES (8), (1);
SELECT * FROM queued();
SELECT inval_untrack('combines');
SELECT * FROM outcome($$inval_track('combined', key => repeat('{a[]}', 1001))$$);
DROP TABLE combines, combined;
