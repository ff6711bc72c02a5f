=pod

=head1 NAME

Inval::Oracle - what inval should have queued, found out without it

=head1 DESCRIPTION

The SQL side of the differential test (Inval::Differential).  It lives in the schema
C<oracle> of the tested database, knows nothing of how inval works, and looks at
the tables of the schema C<app> only:

=over

=item the state

C<oracle.look()> copies all rows of all tables, and which relation contains which,
as one more generation.  Rows are jsonb, so that a row is the same in a partition
with another order of columns.

=item what must be queued

Rows that are in one of the generations before and after a transaction and not in
the other; keys of those that went as things were before, keys of those that came as
they are now.  A path over foreign keys and a C<via> query are evaluated in that same
state.  inval looks them up when the row changes.  If the transaction changes the
parent after that, the new key is owed by a rule on the parent: so there is one, with
the same key.  As a key is removed once, whoever owes it, such rules form a family
and are looked at together.

=item what may be queued

A change that was undone by a later one of the same transaction is not in that
difference, yet inval is right to queue it.  Row triggers (C<oracle.witness()>) note
each changed row in C<oracle.event>; being rows themselves, the notes roll back with what
they tell of.  What comes and goes by DDL is found in generations taken around it.
What is neither owed nor explained by an event is a failure.

=back

C<oracle.check()> does all that for one transaction.

=cut

package Inval::Oracle;

use strict;
use warnings;

use Exporter 'import';

our @EXPORT = qw(
  oracle_sql
  oracle_keys_sql
  quote
);

sub quote
{
	my ($text) = @_;

	return 'NULL' unless defined $text;
	$text =~ s/'/''/g;
	return "'$text'";
}

=pod

=head2 oracle_sql()

The SQL that creates the schema C<oracle>, but for C<oracle.keys()>.

=cut

sub oracle_sql
{
	return <<'SQL';
CREATE SCHEMA oracle;
CREATE SCHEMA app;
CREATE UNLOGGED TABLE oracle.state (generation int, leaf text, r jsonb);
CREATE UNLOGGED TABLE oracle.tree (generation int, relation text, leaf text);
CREATE UNLOGGED TABLE oracle.event
	(op text, relations text[], old_row jsonb, new_row jsonb);
CREATE UNLOGGED TABLE oracle.expected (family int, key text);
CREATE UNLOGGED TABLE oracle.queued (family int, key text, xid xid8);
CREATE TABLE oracle.watermark AS SELECT '0'::xid8 AS xid;
-- relevant: the columns that a change must be in to be owed; NULL means all.
CREATE TABLE oracle.rule (number int PRIMARY KEY, id int UNIQUE, relation text,
	relevant text[], changes text[], family int, follows boolean);
CREATE UNLOGGED TABLE oracle.total (name text PRIMARY KEY, n bigint);

CREATE FUNCTION oracle.count(what text, more bigint) RETURNS void
LANGUAGE sql AS $$
	INSERT INTO oracle.total VALUES (what, more)
	ON CONFLICT (name) DO UPDATE SET n = oracle.total.n + more
$$;

-- The relation itself and all that contain its rows.
CREATE FUNCTION oracle.containers(relation oid) RETURNS text[]
LANGUAGE sql STABLE AS $$
	WITH RECURSIVE up(r) AS (
		SELECT relation
		UNION
		SELECT i.inhparent FROM up JOIN pg_inherits i ON i.inhrelid = up.r)
	SELECT array_agg(c.relname::text) FROM up JOIN pg_class c ON c.oid = up.r
$$;

CREATE FUNCTION oracle.look() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET TimeZone = 'UTC' SET search_path = pg_catalog
SET row_security = off SET DateStyle = 'ISO' SET extra_float_digits = 1 AS $$
DECLARE
	g int := (SELECT coalesce(max(generation), -1) + 1 FROM oracle.tree);
BEGIN
	INSERT INTO oracle.tree
		SELECT g, unnest(oracle.containers(oid)), relname FROM pg_class
		WHERE relnamespace = 'app'::regnamespace AND relkind IN ('r', 'm');
	EXECUTE 'INSERT INTO oracle.state ' || string_agg(
		format('SELECT %s, %L, to_jsonb(t) FROM ONLY app.%I t', g, leaf, leaf),
		' UNION ALL ' ORDER BY leaf)
		FROM (SELECT DISTINCT leaf FROM oracle.tree WHERE generation = g) AS leaves;
END $$;

CREATE FUNCTION oracle.witness() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET TimeZone = 'UTC' SET search_path = pg_catalog
SET row_security = off SET DateStyle = 'ISO' SET extra_float_digits = 1 AS $$
BEGIN
	IF TG_OP = 'TRUNCATE' THEN
		EXECUTE format('INSERT INTO oracle.event
			SELECT ''DELETE'', oracle.containers(%s), to_jsonb(t), NULL FROM ONLY app.%I t',
			TG_RELID, TG_TABLE_NAME);
	ELSE
		INSERT INTO oracle.event
			VALUES (TG_OP, oracle.containers(TG_RELID), to_jsonb(OLD), to_jsonb(NEW));
	END IF;
	RETURN NULL;
END $$;

-- Gives every table its witnesses, and back what DDL has taken from them.  They
-- fire right after inval's own triggers, before those of foreign keys.
CREATE FUNCTION oracle.watch() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
	leaf regclass;
BEGIN
	FOR leaf IN SELECT oid FROM pg_class c
		WHERE relnamespace = 'app'::regnamespace AND relkind = 'r' AND NOT EXISTS (
			SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND tgname = '00_witness')
	LOOP
		EXECUTE format('CREATE TRIGGER "00_witness" AFTER INSERT OR UPDATE OR DELETE
			ON %s FOR EACH ROW EXECUTE FUNCTION oracle.witness()', leaf);
		EXECUTE format('CREATE TRIGGER "00_witness_truncate" BEFORE TRUNCATE
			ON %s FOR EACH STATEMENT EXECUTE FUNCTION oracle.witness()', leaf);
	END LOOP;
	FOR leaf IN SELECT DISTINCT tgrelid FROM pg_trigger
		WHERE tgname LIKE '00_witness%' AND tgenabled <> 'A'
	LOOP
		EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER "00_witness",
			ENABLE ALWAYS TRIGGER "00_witness_truncate"', leaf);
	END LOOP;
END $$;

-- Notes all rows of a table as changed: around DDL that rewrites it.
CREATE FUNCTION oracle.rewritten(leaf text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET TimeZone = 'UTC' SET search_path = pg_catalog AS $$
BEGIN
	EXECUTE format('INSERT INTO oracle.event
		SELECT ''REWRITE'', oracle.containers(tableoid), to_jsonb(t), NULL FROM app.%I t',
		leaf);
END $$;

-- The rows of a relation in one state, or in any of several of this
-- transaction, those that only an event tells of included.
CREATE FUNCTION oracle.rows(of text, lo int, hi int) RETURNS SETOF jsonb
LANGUAGE sql STABLE AS $$
	SELECT s.r FROM oracle.tree t
		JOIN oracle.state s ON s.generation = t.generation AND s.leaf = t.leaf
		WHERE t.generation BETWEEN lo AND hi AND t.relation = of
	UNION ALL
	SELECT unnest(ARRAY[old_row, new_row]) FROM oracle.event
		WHERE lo < hi AND of = ANY (relations)
$$;

CREATE FUNCTION oracle.part(r jsonb, columns text[]) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE WHEN columns IS NULL THEN r
		ELSE (SELECT jsonb_object_agg(c, r -> c) FROM unnest(columns) c) END
$$;

-- As text, because jsonb takes 1.5 and 1.50 for the same.
CREATE FUNCTION oracle.seen_by_rules(g int) RETURNS TABLE (family int, rule int, r text)
LANGUAGE sql STABLE AS $$
	SELECT rule.family, rule.number, oracle.part(s.r, rule.relevant)::text
	FROM oracle.rule
	JOIN oracle.tree t ON t.relation = rule.relation AND t.generation = g
	JOIN oracle.state s ON s.leaf = t.leaf AND s.generation = g
$$;

-- What rules see in one generation and not in another.
CREATE FUNCTION oracle.only_in(g int, other int) RETURNS TABLE (family int, rule int, r jsonb)
LANGUAGE sql STABLE AS $$
	SELECT d.family, d.rule, d.r::jsonb FROM (
		SELECT * FROM oracle.seen_by_rules(g)
		EXCEPT ALL
		SELECT * FROM oracle.seen_by_rules(other)) AS d
$$;

-- Rows whose keys may be queued, and why.
CREATE FUNCTION oracle.touched(base int, newest int)
RETURNS TABLE (family int, rule int, r jsonb, reason text)
LANGUAGE sql STABLE AS $$
	SELECT rule.family, rule.number, unnest(ARRAY[old_row, new_row]),
		CASE WHEN op = 'REWRITE' THEN 'table rewritten'
			WHEN op = 'UPDATE' AND old_row::text = new_row::text THEN 'update without a change'
			ELSE 'changed and changed back' END
	FROM oracle.event JOIN oracle.rule ON rule.relation = ANY (relations)
	WHERE op <> 'UPDATE' OR changes IS NULL
		OR oracle.part(old_row, changes)::text <> oracle.part(new_row, changes)::text
	UNION ALL
	SELECT d.family, d.rule, d.r, 'came and went by DDL'
	FROM generate_series(base + 1, newest) g,
		LATERAL (SELECT * FROM oracle.only_in(g - 1, g)
			UNION ALL SELECT * FROM oracle.only_in(g, g - 1)) AS d
$$;

-- Takes from oracle.queued what a change of a row explains: with keys as they
-- were at the start or are at the end or, if it follows other tables, as they
-- were at any moment.
CREATE FUNCTION oracle.explain(base int, newest int, on_the_way boolean) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM oracle.queued) THEN
		RETURN;
	END IF;
	WITH touched AS (
		SELECT DISTINCT t.* FROM oracle.touched(base, newest) t
		JOIN oracle.rule r ON r.number = t.rule AND (r.follows OR NOT on_the_way)
		WHERE t.family IN (SELECT family FROM oracle.queued)),
	allowed AS (
		SELECT family, reason, oracle.keys(rule, r, base, base) AS key
			FROM touched WHERE NOT on_the_way
		UNION ALL
		SELECT family, reason, oracle.keys(rule, r, newest, newest)
			FROM touched WHERE NOT on_the_way
		UNION ALL
		SELECT family, 'path as it was on the way', oracle.keys(rule, r, base, newest)
			FROM touched WHERE on_the_way),
	explained AS (
		DELETE FROM oracle.queued q USING (
			SELECT family, key, min(reason) AS reason FROM allowed GROUP BY family, key) a
		WHERE q.family = a.family AND q.key = a.key
		RETURNING reason)
	INSERT INTO oracle.total AS t SELECT 'extra: ' || reason, count(*) FROM explained GROUP BY 1
		ON CONFLICT (name) DO UPDATE SET n = t.n + excluded.n;
END $$;

-- Before a command that takes away what a rule looks up, the keys of all rows
-- that it is about are queued, because nobody can ask for them afterwards.
CREATE FUNCTION oracle.explain_readers(base int, newest int) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
	-- Such commands are looked at one by one.
	IF newest < base + 2 OR NOT EXISTS (SELECT FROM oracle.queued) THEN
		RETURN;
	END IF;
	WITH seen AS (
		SELECT s.* FROM (
			SELECT *, base AS g FROM oracle.seen_by_rules(base)
			UNION ALL SELECT *, newest FROM oracle.seen_by_rules(newest)) s
		JOIN oracle.rule r ON r.number = s.rule AND r.follows
		WHERE s.family IN (SELECT family FROM oracle.queued)),
	allowed AS (
		SELECT DISTINCT family, oracle.keys(rule, r::jsonb, g, g) AS key FROM seen),
	explained AS (
		DELETE FROM oracle.queued q USING allowed a
		WHERE q.family = a.family AND q.key = a.key RETURNING 1)
	INSERT INTO oracle.total AS t SELECT 'extra: before a command', count(*) FROM explained
		HAVING count(*) > 0
		ON CONFLICT (name) DO UPDATE SET n = t.n + excluded.n;
END $$;

-- Compares; returns complaints.  Called after each transaction.
CREATE FUNCTION oracle.check(failed boolean, commit_failed boolean, explain boolean)
RETURNS SETOF text
LANGUAGE plpgsql
SET TimeZone = 'UTC' SET search_path = pg_catalog
SET DateStyle = 'ISO' SET extra_float_digits = 1 AS $$
DECLARE
	base int := min(generation) FROM oracle.tree;
	newest int;
	complaint text;
BEGIN
	PERFORM oracle.look();
	newest := max(generation) FROM oracle.tree;

	INSERT INTO oracle.queued
		SELECT DISTINCT coalesce(r.family, 0), q.key || coalesce(' field ' || q.field, ''), q.xid
		FROM public.inval_queue q LEFT JOIN oracle.rule r ON r.id = q.rule
		WHERE q.xid > (SELECT xid FROM oracle.watermark);
	INSERT INTO oracle.expected
		SELECT d.family, k FROM oracle.only_in(base, newest) d,
			oracle.keys(d.rule, d.r, base, base) k
		UNION
		SELECT d.family, k FROM oracle.only_in(newest, base) d,
			oracle.keys(d.rule, d.r, newest, newest) k;

	PERFORM oracle.count('committed', (NOT failed AND NOT commit_failed)::int);
	PERFORM oracle.count('rolled back', (failed OR commit_failed)::int);
	PERFORM oracle.count('committed with changes of tracked rows', 1)
		WHERE EXISTS (SELECT FROM oracle.expected);
	PERFORM oracle.count('row changes seen', count(*)) FROM oracle.event;
	PERFORM oracle.count('keys expected', count(*)) FROM oracle.expected;
	PERFORM oracle.count('keys queued', count(DISTINCT (family, key))) FROM oracle.queued;

	FOR complaint IN
		SELECT format('missing: family %s, key %s', family, key)
		FROM (SELECT * FROM oracle.expected EXCEPT SELECT family, key FROM oracle.queued) AS m
	LOOP
		PERFORM oracle.count('keys missing', 1);
		RETURN NEXT complaint;
	END LOOP;

	FOR complaint IN
		SELECT format('transactions %s in the queue at once', array_agg(DISTINCT xid))
		FROM oracle.queued HAVING count(DISTINCT xid) > 1
	LOOP
		RETURN NEXT complaint;
	END LOOP;

	DELETE FROM oracle.queued q USING oracle.expected e
		WHERE q.family = e.family AND q.key = e.key;
	IF NOT explain THEN
		-- Without witnesses there is nothing to explain it by.
		PERFORM oracle.count('extra: no witness', count(*)) FROM oracle.queued;
		DELETE FROM oracle.queued WHERE NOT failed AND NOT commit_failed;
	END IF;
	PERFORM oracle.explain(base, newest, false);
	PERFORM oracle.explain(base, newest, true);
	PERFORM oracle.explain_readers(base, newest);
	FOR complaint IN
		SELECT format('not explained: family %s, key %s', family, key) FROM oracle.queued
	LOOP
		PERFORM oracle.count('extra: not explained', 1);
		RETURN NEXT complaint;
	END LOOP;

	-- The end of this one is the start of the next.
	DELETE FROM oracle.state WHERE generation <> newest;
	DELETE FROM oracle.tree WHERE generation <> newest;
	DELETE FROM oracle.event;
	DELETE FROM oracle.expected;
	DELETE FROM oracle.queued;
	UPDATE oracle.watermark SET xid = pg_current_xact_id();
END $$;
SQL
}

=pod

=head2 oracle_keys_sql(%query)

C<oracle.keys(rule, r, lo, hi)>: the keys of a row under a rule, rules and whatever
they look up in the states C<lo> to C<hi>.  C<%query> has a SELECT for each rule
number, over C<r>, C<lo> and C<hi>.

=cut

sub oracle_keys_sql
{
	my (%query) = @_;
	my $cases = join '',
	  map { "WHEN $_ THEN RETURN QUERY $query{$_};\n" } sort { $a <=> $b } keys %query;

	return <<"SQL";
CREATE FUNCTION oracle.keys(rule int, r jsonb, lo int, hi int) RETURNS SETOF text
LANGUAGE plpgsql STABLE AS \$keys\$
BEGIN
CASE rule
$cases
END CASE;
END \$keys\$;
SQL
}

1;
