--
-- What is done to keys beside removing them, and what is told of them: the actions
-- version, members, expire and none, and the options publish and stream.
--
CREATE TABLE word (id integer PRIMARY KEY, topic text, room text, tags text[]);
CREATE TABLE letter (id integer PRIMARY KEY, word_id integer REFERENCES word, n integer);
SELECT setval('inval_rule_id_seq', 4999);
-- What is queued and was not shown yet: what is told lies in the outbox beside the key.
CREATE TABLE shown (xid xid8, pack bytea);
CREATE FUNCTION told() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	outbox text;
BEGIN
	PERFORM looked();
	FOR outbox IN SELECT relname FROM pg_class WHERE relname ~ '^inval_outbox_\d$' ORDER BY 1 LOOP
		RETURN QUERY EXECUTE format($q$
			WITH fresh AS (
				SELECT xid, pack::text::bytea AS pack FROM %I o WHERE target IS DISTINCT FROM -1
					AND NOT EXISTS (SELECT FROM shown s WHERE s.xid = o.xid AND s.pack = o.pack::text::bytea)),
			noted AS (INSERT INTO shown SELECT * FROM fresh)
			SELECT regexp_replace(encode(pack, 'escape'), '(\\\d\d\d|[^\x20-\x7e])+', ' ', 'g') FROM fresh$q$, outbox);
	END LOOP;
END
$$;
CREATE FUNCTION asked() RETURNS TABLE (target text, rule integer, action text, key text) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
	PERFORM looked();
	RETURN QUERY WITH fresh AS (
		SELECT q.* FROM inval_queue q WHERE NOT EXISTS (SELECT FROM seen s WHERE s.id = q.id)),
	noted AS (INSERT INTO seen SELECT id FROM fresh)
	SELECT f.target, f.rule, f.action, f.key FROM fresh f ORDER BY f.target, f.rule, f.action, f.key COLLATE "C";
END
$$;
CREATE FUNCTION forget() RETURNS void LANGUAGE sql AS $$
	SELECT count(*) FROM asked();
	SELECT count(*) FROM told();
$$;
SELECT forget();
-- Every option is shown, dumped and changed like any.
SELECT inval_track('word', key => 'v:{id}', action => 'version', publish => 'c:{topic}', stream => 's:{room}') AS version \gset
SELECT inval_track('word', key => 'e:{id}', action => 'expire', ttl => '1.5 min', fence => true) AS expire \gset
SELECT inval_track('word', key => 'm:{id}', action => 'members', delivery => 'background') AS members \gset
SELECT inval_track('word', key => 'n:{id}', action => 'none', publish => '{topic}') AS nothing \gset
SELECT key, action, delivery, ttl, publish, stream, fence FROM inval_rule WHERE relation = 'word'::regclass ORDER BY id;
SELECT inval_track('word', key => 'e:{id}', action => 'expire', ttl => '90 s', fence => true) = :expire AS same;
SELECT inval_track('word', key => 'e:{id}', action => 'delete') = :expire AS same;
SELECT inval_untrack('word', 'e:{id}');
SET IntervalStyle = iso_8601;
SELECT inval_track('word', key => 'e:{id}', action => 'expire', ttl => '1 day 1 second') AS expire \gset
UPDATE inval_rule SET stream = 't:{id}' WHERE id = :expire;
RESET IntervalStyle;
SELECT string_agg(convert_from(tgargs, 'UTF8'), '') ~ '86401000 ms' AS "in ms" FROM (
	SELECT replace(encode(tgargs, 'escape'), '\000', ' ')::bytea AS tgargs FROM pg_trigger
	WHERE tgrelid = 'word'::regclass AND tgname LIKE '00\_inval\_rule\_%') a;
SELECT ttl, stream FROM inval_rule WHERE id = :expire;
-- A dump is made of this.
SELECT regexp_replace(pg_get_triggerdef(oid), '^.*FUNCTION ', '') FROM pg_trigger
WHERE tgrelid = 'word'::regclass AND tgname LIKE '00\_inval\_rule\_%' ORDER BY tgname;
-- What does not go together is refused, however it is written.
UPDATE inval_rule SET ttl = NULL WHERE id = :expire;
UPDATE inval_rule SET action = 'version' WHERE id = :expire;
UPDATE inval_rule SET action = 'none', publish = NULL WHERE id = :nothing;
UPDATE inval_rule SET publish = '{nope}' WHERE id = :nothing;
UPDATE inval_rule SET field = 'f' WHERE id = :version;
SELECT * FROM outcome(
	$$inval_track('word', key => 'k', publish => '')$$,
	$$inval_track('word', key => 'k', stream => '')$$,
	$$inval_track('word', key => 'k', stream => 's{$nobody}')$$,
	$$inval_track('word', key => 'k', publish => repeat('c', 7500))$$,
	$$inval_track('word', key => 'k', publish => repeat('c', 8193))$$,
	$$inval_track('word', key => 'k', action => 'version', delivery => 'strict')$$,
	$$inval_touch('k', action => 'expire')$$,
	$$inval_touch('k', action => 'none')$$,
	$$inval_touch('k', field => 'f', action => 'version')$$);
-- The same key under several actions is as many invalidations.
INSERT INTO word VALUES (1, 'a', 'r', '{x,y}');
SELECT rule, action, key FROM asked();
SELECT * FROM told() ORDER BY 1;
SELECT forget();
-- Without a channel, a stream or both the rest is done, and nothing if there is none.
INSERT INTO word VALUES (2, NULL, 'r'), (3, 'a', NULL), (4, '', '');
SELECT * FROM told() ORDER BY 1;
SELECT rule - :version AS rule, rows_seen, keys_queued, skipped FROM inval_stats WHERE rule BETWEEN :version AND :expire ORDER BY 1;
SELECT forget();
-- Once in a transaction, for each channel; not what was rolled back; shown before.
BEGIN;
UPDATE word SET topic = 'b' WHERE id = 1;
UPDATE word SET topic = 'b' WHERE id = 1;
SAVEPOINT s;
UPDATE word SET topic = 'c' WHERE id = 1;
ROLLBACK TO s;
SELECT rule - :version AS rule, action, key FROM inval_pending() ORDER BY 1, 2, 3;
COMMIT;
SELECT * FROM told() ORDER BY 1;
SELECT forget();
SELECT rule - :version AS rule, action, key FROM inval_preview('word', 1) ORDER BY 1;
-- Columns that are only told count as if the key were made of them.
SELECT inval_track('word', key => 'n:{id}', action => 'none', publish => '{topic}', changes => '{room}') = :nothing AS same;
UPDATE word SET tags = NULL WHERE id = 1;
UPDATE word SET topic = 'd' WHERE id = 1;
SELECT count(*) FROM asked() WHERE rule = :nothing;
SELECT forget();
-- They follow a renamed column, and keep one from being dropped.
ALTER TABLE word RENAME topic TO subject;
ALTER TABLE word RENAME room TO place;
SELECT publish, stream, changes FROM inval_rule WHERE id IN (:version, :nothing) ORDER BY id;
ALTER TABLE word DROP COLUMN place;
ALTER TABLE word DROP COLUMN subject;
SELECT inval_track('word', key => 'w:{id}', stream => 's:{place}') AS told \gset
SELECT inval_untrack_rule(:version), inval_untrack_rule(:nothing);
ALTER TABLE word DROP COLUMN place;
SELECT count(*) FROM inval_rule WHERE id = :told;
ALTER TABLE word DROP COLUMN place CASCADE;
SELECT count(*) FROM inval_rule WHERE id = :told;
SELECT inval_untrack('word');
SELECT forget();
-- Along a foreign key, by a query, for the elements of an array, for a variable.
SELECT inval_set_var('sha', 'one', 'two');
SELECT inval_track('letter', key => 'l:{id}', stream => 's:{word_id.subject}') AS told \gset
INSERT INTO letter VALUES (1, 1), (2, NULL), (3, 2);
SELECT * FROM told() ORDER BY 1;
SELECT forget();
SELECT inval_track('letter', key => 'l:{id}', publish => 'c:{word_id.tags[]}:{$sha}') = :told AS same;
UPDATE word SET tags = '{x,y}' WHERE id = 1;
UPDATE letter SET n = 1;
SELECT * FROM told() ORDER BY 1;
SELECT forget();
SELECT inval_track('word', key => 'l:{id}', publish => 'c:{n}', action => 'version', via => 'SELECT id, n FROM letter WHERE word_id = {id}') AS via \gset
UPDATE word SET tags = NULL WHERE id = 1;
SELECT * FROM told() ORDER BY 1;
SELECT forget();
-- A foreign key that leads nowhere, and what is too long to be told: said, and the
-- key is invalidated all the same.
SET session_replication_role = replica;
INSERT INTO letter VALUES (4, 99);
RESET session_replication_role;
SELECT inval_untrack('letter'), inval_untrack('word');
SELECT forget();
SELECT inval_track('word', key => 'k:{subject}', stream => 's:{subject}') AS long \gset
UPDATE word SET subject = repeat('x', 4000) WHERE id = 1;
SELECT length(key) FROM asked() WHERE length(key) > 1000;
SELECT length(t) FROM told() t WHERE t ~ 'xxx';
SELECT forget();
SELECT inval_track('word', key => 'k:{id}', action => 'none', stream => 's:{subject}') AS long \gset
SELECT inval_untrack('word', 'k:{subject}');
UPDATE word SET subject = repeat('x', 7500) WHERE id = 1;
SELECT key FROM asked();
SELECT inval_untrack('word');
-- A stream is a key of its target: literally outside is refused, else skipped.
SELECT inval_add_target('spaced', 'unix:///nonexistent/spaced.sock', namespace => 'ns:', region => 'here');
SELECT inval_pause('spaced');
SELECT region, namespace FROM inval_target_status WHERE target = 'spaced';
SELECT inval_track('word', key => 'ns:{id}', stream => 's', targets => '{spaced}');
SELECT inval_track('word', key => 'ns:{id}', publish => 'c', stream => 'ns:s', targets => '{spaced}') AS spaced \gset
SELECT inval_track('word', key => 'ns:{id}', action => 'none', stream => '{subject}', targets => '{spaced,default}') AS spaced \gset
SELECT forget();
UPDATE word SET subject = 'outside' WHERE id = 2;
UPDATE word SET subject = 'ns:inside' WHERE id = 3;
SELECT target, rule = :spaced AS told, action, key FROM asked();
SELECT target, skipped FROM inval_stats WHERE rule = :spaced ORDER BY 1;
SELECT forget();
-- In shadow nothing is queued; once more after a while what is told is told again.
SELECT inval_untrack('word');
SELECT inval_track('word', key => 'k:{id}', action => 'version', stream => 's', state => 'shadow') AS shadow \gset
UPDATE word SET tags = NULL WHERE id = 1;
SELECT * FROM told() ORDER BY 1;
SELECT keys_queued FROM inval_stats WHERE rule = :shadow;
SELECT inval_track('word', key => 'k:{id}', action => 'version', stream => 's', repeat_after => '1 hour') = :shadow AS same;
UPDATE word SET tags = NULL WHERE id = 1;
SELECT * FROM told() ORDER BY 1;
SELECT forget();
-- Rules of materialized views, which are foreign servers, have all of it, too.
CREATE MATERIALIZED VIEW word_view AS SELECT id, subject FROM word;
SELECT inval_track('word_view', key => 'mv:{id}', action => 'expire', ttl => '1 min', publish => 'c', stream => 's:{subject}') AS view \gset
SELECT action, ttl, publish, stream FROM inval_rule WHERE id = :view;
ALTER MATERIALIZED VIEW word_view RENAME subject TO topic;
SELECT action, ttl, publish, stream FROM inval_rule WHERE id = :view;
-- By hand
SELECT inval_touch('by:hand', action => 'version'), inval_touch('by:hand', action => 'members', delivery => 'background');
SELECT rule, action, key FROM asked();
SELECT forget();
SELECT inval_untrack('word_view'), inval_untrack('word');
DROP MATERIALIZED VIEW word_view;
DROP TABLE letter, word;
SELECT inval_drop_target('spaced');
DROP FUNCTION told, asked, forget;
DROP TABLE shown;
