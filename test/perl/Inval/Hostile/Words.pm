=pod

=head1 NAME

Inval::Hostile::Words - what a role that means harm has, and names of it

=head1 DESCRIPTION

C<hostile_seed($role)> gives what each role begins with, C<restock()> what each of its
sessions finds.  The others give a name, or a small part of a statement, at random, for
the role C<$role>, which who uses them sets.  Names come from a small pool in the role's
own schema, so that they mostly exist, and mostly as something else than before.

=cut

package Inval::Hostile::Words;

use strict;
use warnings;

use Exporter 'import';

use Inval::Random;

our @EXPORT = qw(
  $role
  hostile_seed
  restock
  column
  column_type
  function
  literal
  other
  own
  plain_table
  query
  relation
  search_path
  table
  template
  type
  value
);

our $role;

# What can be asked about in the owner's schema: some of it may be read, some not.
my @others = qw(own.team own.task own.tag own.article_tag own.scratch own.secret own.part own.summary
  own.nobody public.inval_outbox_0 public.inval_rule public.inval_queue public.inval_var);

# What a session finds, if it has gone meanwhile.
sub restock
{
	my $tables = join '', map { "CREATE TABLE IF NOT EXISTS $role.t$_ (id int PRIMARY KEY, a int, b text, c text[]);\n" } 0 .. 3;

	return qq{SET client_min_messages = error;
		$tables
		CREATE TABLE IF NOT EXISTS $role.p0 (id int, a int, b text) PARTITION BY RANGE (id);
		CREATE TABLE IF NOT EXISTS $role.q0 PARTITION OF $role.p0 FOR VALUES FROM (0) TO (10);
		CREATE MATERIALIZED VIEW IF NOT EXISTS $role.m0 AS SELECT id, a, b FROM $role.t0;
		CREATE FUNCTION $role.f0(a int) RETURNS int LANGUAGE plpgsql AS
			\$\$ BEGIN PERFORM $role.spy('f0'); RETURN a; END \$\$;
		INSERT INTO $role.t0 SELECT i, i, 'text' || i, ARRAY['x', 'y'] FROM generate_series(1, 5) i ON CONFLICT DO NOTHING;
		RESET client_min_messages;
	};
}

# What a role begins with: a spy, and one of each that others can be made of.
sub hostile_seed
{
	my ($of) = @_;

	return qq{
		CREATE FUNCTION $of.spy(what text) RETURNS void LANGUAGE plpgsql AS \$\$
		BEGIN
			IF pg_catalog.left(current_user, 7) OPERATOR(pg_catalog.<>) 'hostile' THEN
				RAISE LOG 'hostile code runs as % (session %): %', current_user, session_user, what;
			ELSIF pg_catalog.left(session_user, 7) OPERATOR(pg_catalog.<>) 'hostile' THEN
				RAISE LOG 'hostile code runs as itself in a session of %: %', session_user, what;
			END IF;
		END \$\$;
		@{[ shadows($of) ]}
		CREATE TABLE $of.note (at timestamptz DEFAULT clock_timestamp(), text text);
		CREATE FUNCTION $of.f0(a int) RETURNS int LANGUAGE plpgsql AS \$\$
			BEGIN PERFORM $of.spy('f0'); RETURN a; END \$\$;
		CREATE TABLE $of.t0 (id int PRIMARY KEY, a int, b text, c text[]);
		CREATE TABLE $of.t1 (id int PRIMARY KEY, a int REFERENCES $of.t0, b text);
		CREATE TABLE $of.p0 (id int, a int, b text) PARTITION BY RANGE (id);
		INSERT INTO $of.t0 SELECT i, i, 'text' || i, ARRAY['x', 'y'] FROM generate_series(1, 5) i;
		INSERT INTO $of.t1 SELECT i, i, 'text' || i FROM generate_series(1, 5) i};
}

# Operators and functions that are found in place of the server's, where the search
# path is wrong.
sub shadows
{
	my ($of) = @_;
	my $body = "LANGUAGE plpgsql AS \$\$ BEGIN PERFORM $of.spy('shadow'); RETURN true; END \$\$";

	return join '', map {
		my $type = $_;

		"CREATE FUNCTION $of.same($type, $type) RETURNS boolean $body;\n"
		  . join '', map { "CREATE OPERATOR $of.$_ (LEFTARG = $type, RIGHTARG = $type, FUNCTION = $of.same);\n" } '=', '<>'
	} qw(int text oid name "char");
}

# ---------------------------------------------------------------------------
# Names and small parts
# ---------------------------------------------------------------------------

sub own
{
	my ($name) = @_;

	# Mostly by its full name; what the search path finds is another matter.
	return chance(0.8) ? "$role.$name" : $name;
}

sub table { return own(pick('t', 't', 't', 't', 'p', 'q', 'm') . pick(0, 0, 0, 1, 1, 2, 3)); }
sub plain_table { return own('t' . between(0, 4)); }
sub function { return own('f' . between(0, 3)); }
sub type { return own('d' . between(0, 3)); }
sub column { return pick(qw(id a a b b c d e x)); }
sub other { return pick(@others); }
sub relation { return chance(0.8) ? table() : other(); }
sub literal { my ($text) = @_; $text =~ s/'/''/g; return "'$text'"; }

sub search_path
{
	return pick("$role, public", "$role, pg_catalog, public", "pg_temp, $role, pg_catalog, public",
		'public', "\"\$user\", public, own", "$role, own, public", "pg_catalog, $role, public");
}

sub column_type
{
	return pick(qw(int int text text bigint varchar uuid bytea timestamptz interval numeric jsonb
		int[] text[] date boolean), 'char(5)', 'numeric(4,1)', type(), type());
}

sub value
{
	return pick('1', '2', '3', between(1, 99), 'NULL', "'a'", "'b'", 'DEFAULT', "'{x,y,NULL}'",
		"repeat('long', 3000)", "'{{'", 'gen_random_uuid()', 'now()', 'current_user', 'session_user',
		function() . '(1)', "E'\\x01\\r\\nDEL o:team:1\\r\\n'");
}

# What an expression of a query may be, over what the role may read and what not.
sub expression
{
	my $id = pick('{id}', '{a}', '{id}', '{b}', '1', '{nosuch}');

	return pick(
		"$id", function() . "($id)", function() . "(${id}::int)", "${id}::" . type(), "lower(${id}::text)",
		"$id = 1", "$id OPERATOR($role.=) 1", "coalesce($id, 7)", "(SELECT max(id) FROM own.team)",
		'(SELECT secret FROM own.team LIMIT 1)', '(SELECT word FROM own.secret LIMIT 1)',
		'(SELECT word FROM own.nobody LIMIT 1)', "current_setting('inval.redis_url')", 'session_user',
		"repeat('k', 9000)", '1 / 0', 'pg_sleep(0.1)', 'pg_sleep(3)::text', 'NULL',
		"array_agg($id)", "(SELECT usename FROM pg_stat_activity LIMIT 1)", 'txid_current()',
		"set_config('search_path', '$role', false)", 'pg_advisory_lock(1)',
		"(SELECT string_agg(key, ',') FROM inval_queue)", "lo_creat(-1)", "pg_notify('h', current_user)");
}

sub query
{
	my $from = pick(table(), table(), table(), 'own.team', 'own.team', 'own.scratch', 'own.secret',
		'own.nobody', 'own.task', own('v' . between(0, 2)), 'own.hidden_view', 'public.inval_queue',
		function() . '({id})', 'generate_series(1, {id})', 'generate_series(1, 3)', 'pg_authid');
	my $where = pick('', '', ' WHERE id = {id}', ' WHERE {a} = id', ' WHERE b = {b}',
		' WHERE ' . expression() . ' IS NOT NULL', " WHERE $role.f0({id}) = 1");
	my $select = pick('SELECT', 'SELECT', 'SELECT', 'SELECT DISTINCT',
		'WITH w AS (SELECT 1) SELECT', 'WITH w AS (DELETE FROM ' . table() . ' RETURNING *) SELECT');

	return "$select " . expression() . ' AS x, ' . expression() . ' AS y'
	  . " FROM $from$where" . pick('', '', '', ' FOR UPDATE', ' LIMIT 2', ' ORDER BY 1', '; SELECT 1', ' --{id}');
}

sub template
{
	my $prefix = pick('yard:', 'yard:', 'yard:', 'k:', 'o:team:', 'sentinel:', '', '{$sha}:', '{@schema}:', '*');
	my $placeholder = sub {
		return pick('{id}', '{id}', '{a}', '{b}', '{x}', '{x}', '{y}', '{c[]}', '{c[]}{c[]}', '{a.b}', '{a.a.b}',
			'{a.secret}', '{id.id}', '{b|md5}', '{b|lower|sha256:4}', '{b|url|upper}', '{b|nosuch}',
			'{$release}', '{@table}', '{nosuch}', '{{', '}}', '{', '{a', '{"b"}', '{a.a.a.a.a.a.a.a.b}', '{ctid}',
			'{tableoid}', '{xmin}');
	};

	return $prefix . join(':', map { $placeholder->() } 1 .. between(1, 3));
}

1;
