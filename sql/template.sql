--
-- Key templates.  inval_preview renders them and queues nothing; what is
-- rendered is compared with what SQL makes of the same row.
--
CREATE SCHEMA place;
CREATE TABLE place.page (id integer PRIMARY KEY, slug text, team_id integer, "Odd Name" text);
INSERT INTO place.page VALUES
	(1, 'Ein Straßenfest/€?', 42, 'x'),
	(2, '', -7, 'y'),
	(3, NULL, 0, NULL),
	(4, 'a-b_c.d~e%20 +&=#', 2147483647, '{}'),
	(5, E'tab\tnew\nline\\"''', NULL, 'z');

-- What templates give.  Each is tracked, previewed and untracked again.
CREATE FUNCTION rendered(template text, expected text)
RETURNS TABLE (id integer, key text, as_in_sql boolean) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
	rule integer := inval_track('place.page', key => template || '{{{id}}}');
BEGIN
	-- The id behind tells the rows apart.
	RETURN QUERY EXECUTE format(
		'SELECT p.id, v.key, v.key IS NOT DISTINCT FROM (%s)
		 FROM place.page p LEFT JOIN
			(SELECT substring(key, ''\{(\d+)\}$'')::integer AS id,
				regexp_replace(key, ''\{\d+\}$'', '''') AS key
			 FROM inval_preview(''place.page'')) v ON v.id = p.id
		 ORDER BY p.id', expected);
	PERFORM inval_untrack_rule(rule);
END
$$;

-- A value that is NULL makes no key.
SELECT * FROM rendered('{team_id}', 'team_id::text');
SELECT * FROM rendered('{slug}', 'slug');
SELECT * FROM rendered('page:{team_id}:{slug}:', $$'page:' || team_id || ':' || slug || ':'$$);
SELECT * FROM rendered('{@schema}.{@table}', $$'place.page'$$);
SELECT * FROM rendered('{@schema|upper}.{@table|md5:6}', $$'PLACE.' || left(md5('page'), 6)$$);
SELECT * FROM rendered('{"Odd Name"}{Odd Name}', $$"Odd Name" || "Odd Name"$$);
-- Braces
SELECT * FROM rendered('{{', $$'{'$$) LIMIT 1;
SELECT * FROM rendered('}}', $$'}'$$) LIMIT 1;
SELECT * FROM rendered('{{}}{{{{}}}}', $$'{}{{}}'$$) LIMIT 1;
SELECT * FROM rendered('a{{{team_id}}}b', $$'a{' || team_id || '}b'$$);
SELECT * FROM rendered('plain', $$'plain'$$) LIMIT 1;
SELECT * FROM rendered('%s%d\n$1 ''', $$'%s%d\n$1 '''$$) LIMIT 1;
SELECT * FROM rendered('grüße:{id}', $$'grüße:' || p.id$$) LIMIT 1;
-- Filters, each by itself and one after the other
SELECT * FROM rendered('{slug|md5}', 'md5(slug)');
SELECT * FROM rendered('{slug|sha256}', $$encode(sha256(convert_to(slug, 'UTF8')), 'hex')$$);
SELECT * FROM rendered('{slug|sha256:16}', $$left(encode(sha256(convert_to(slug, 'UTF8')), 'hex'), 16)$$);
SELECT * FROM rendered('{slug|sha256:1000}', $$encode(sha256(convert_to(slug, 'UTF8')), 'hex')$$);
SELECT * FROM rendered('{slug|lower}', 'lower(slug)');
SELECT * FROM rendered('{slug|upper}', 'upper(slug)');
SELECT * FROM rendered('{slug|url}', $$(
	SELECT coalesce(string_agg(CASE WHEN chr(b) ~ '[A-Za-z0-9._~-]' THEN chr(b)
							   ELSE '%' || upper(lpad(to_hex(b), 2, '0')) END, '' ORDER BY n),
					CASE WHEN slug = '' THEN '' END)
	FROM convert_to(slug, 'UTF8') bytes, generate_series(0, length(bytes) - 1) n,
		get_byte(bytes, n) b)$$);
-- The number counts characters, not bytes.
SELECT * FROM rendered('{slug|lower:9}', 'left(lower(slug), 9)');
SELECT * FROM rendered('{slug|upper|md5|sha256:10|upper}',
	$$upper(left(encode(sha256(md5(upper(slug))::bytea), 'hex'), 10))$$);
SELECT * FROM rendered('{slug|md5:4}:{team_id|md5:4}',
	$$left(md5(slug), 4) || ':' || left(md5(team_id::text), 4)$$);
SELECT * FROM rendered('{team_id|md5}', 'md5(team_id::text)');

-- A key as long as it may be
SELECT key = repeat('x', 7497) || '{1}' AS rendered, length(key)
FROM (SELECT inval_track('place.page', key => repeat('x', 7497) || '{{{id}}}') AS rule) t,
	LATERAL (SELECT * FROM inval_preview('place.page') WHERE t.rule IS NOT NULL) p
ORDER BY 1 DESC LIMIT 1;
SELECT inval_untrack('place.page');

-- The field is a template of its own: a NULL in either makes neither.
SELECT inval_track('place.page', key => 'team:{team_id}', field => 'page:{slug|lower}')
	IS NOT NULL AS tracked;
SELECT action, key, field FROM inval_preview('place.page') ORDER BY key;
-- As many rows as asked for, of all the rules
SELECT inval_track('place.page', 'id') IS NOT NULL AS tracked;
SELECT count(*) FROM inval_preview('place.page', 1);
SELECT count(*) FROM inval_preview('place.page', 2);
SELECT count(*) FROM inval_preview('place.page', 1000000);
SELECT count(*) FROM inval_preview('place.page', 0);
-- Previews queue nothing, and ask for no more than the rows.
SELECT * FROM queued();

-- What the triggers queue is what inval_preview shows.
UPDATE place.page SET slug = slug;
SELECT key, field FROM queued()
EXCEPT SELECT key, field FROM inval_preview('place.page', 100);
SELECT inval_untrack('place.page');

DROP FUNCTION rendered(text, text);
DROP TABLE place.page;
DROP SCHEMA place;
