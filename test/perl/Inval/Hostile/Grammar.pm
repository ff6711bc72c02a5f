=pod

=head1 NAME

Inval::Hostile::Grammar - random SQL of a role that means harm

=head1 DESCRIPTION

C<hostile_script($role, $length)> gives a session's SQL: that many statements, made
without knowing whether they will succeed, of the names and parts that
Inval::Hostile::Words gives.

Each function that a role makes first calls C<spy()>, which tells the server's log
if it runs with somebody else's rights.  No script contains the word that marks
what the role must not see.

What a statement is of is said to psql, so that what succeeded can be counted.

=cut

package Inval::Hostile::Grammar;

use strict;
use warnings;

use Exporter 'import';

use Inval::Hostile::Words;
use Inval::Random;

our @EXPORT = qw(
  hostile_script
);

# How often each kind is drawn.
my %kind = (
	track => 14, untrack => 3, preview => 4, inval_call => 6, rule_view => 3,
	create_table => 6, alter_table => 10, drop => 6, create_function => 7, create_operator => 2,
	create_type => 4, create_view => 3, partition => 5, inherit => 3, trigger => 4,
	row_security => 3, grant => 3, owner => 2,
	write => 18, transaction => 8, savepoint => 5, prepared => 2, prepared_statement => 2,
	setting => 6, caught => 5, cursor => 2, temp => 3, lock => 3, listen => 2,
	outbox => 5, extension_object => 5, read_others => 4, matview => 3, foreign_key => 2, big => 1);

sub hostile_script
{
	(my $of, my $length) = @_;
	my $script;

	$role = $of;
	$script = "\\set VERBOSITY verbose\nSET statement_timeout = '2s';\nSET lock_timeout = '1s';\n"
	  . restock() . 'SET search_path = ' . search_path() . ";\n";
	$script .= "\\set ON_ERROR_ROLLBACK on\n" if chance(0.6);
	foreach (1 .. $length)
	{
		my $kind = pick_weighted(%kind);
		my $statement = __PACKAGE__->can("make_$kind")->();

		# Whatever a statement has changed, the next ones are to end.
		$script .= "$statement;\n\\echo \@$kind :ERROR\n";
		$script .= "SET statement_timeout = '2s';\n\\echo \@reset :ERROR\n" if chance(0.05);
	}
	return "${script}ROLLBACK;\n";
}

# ---------------------------------------------------------------------------
# inval's own functions
# ---------------------------------------------------------------------------

sub make_track
{
	my @options = literal(relation());

	# Most calls are to succeed.
	if (chance(0.3))
	{
		push @options, "key => 'yard:{id}:{" . pick(qw(a b id)) . "}'";
	}
	elsif (chance(0.3))
	{
		push @options, "key => 'yard:{x}', via => "
		  . literal('SELECT ' . pick(function() . '({id})', function() . '({a})', 'b', 'id', "$role.f0(id)")
			  . ' AS x FROM ' . pick(plain_table(), plain_table(), 'own.team', 'own.scratch', 'own.scratch')
			  . pick('', ' WHERE id = {id}'));
	}
	else
	{
		push @options, chance(0.15) ? "columns => '" . pick('id', 'a, b', 'nosuch', '"', 'id, id') . "'"
		  : 'key => ' . literal(template());
		push @options, 'via => ' . literal(query()) if chance(0.6);
	}
	push @options, 'field => ' . literal(template()) if chance(0.1);
	push @options, "action => '" . pick(qw(delete delete version members prefix expire none nosuch)) . "'"
	  if chance(0.1);
	push @options, "delivery => '" . pick(qw(commit background background strict nosuch)) . "'" if chance(0.3);
	push @options, "changes => '{" . pick('a', 'a,b', 'nosuch', 'NULL', '') . "}'" if chance(0.1);
	push @options, "repeat_after => '" . pick('1s', '10ms', '1h', '-1s', '1 year', 'infinity') . "'" if chance(0.05);
	push @options, pick('fence => true', "refill => 'SELECT 1'", "publish => 'x'", "stream => '{id}'", "ttl => '1s'")
	  if chance(0.03);
	push @options, 'audit => ' . literal(pick("SELECT 'x'", 'SELECT a::text FROM own.team WHERE id = {id}',
		"SELECT $role.f0({id})::text", 'SELECT nosuch')) if chance(0.05);
	push @options, 'targets => '
	  . (chance(0.8) ? "'{yard}'" : pick("'{default}'", "'{yard,yard}'", "'{}'", "'{nosuch}'", 'NULL', "'{yard,default}'"));
	push @options, "state => '" . pick(qw(on shadow off nosuch)) . "'" if chance(0.15);
	return 'SELECT public.inval_track(' . join(', ', @options) . ')';
}

sub make_untrack
{
	return pick(
		'SELECT public.inval_untrack(' . literal(relation()) . ')',
		'SELECT public.inval_untrack_rule(' . between(1, 60) . ')',
		'SELECT public.inval_untrack_rule(max(id)) FROM public.inval_rule',
		'SELECT public.inval_untrack_rule(id) FROM public.inval_rule ORDER BY random()',
		'SELECT public.inval_untrack(' . literal(table()) . ', ' . literal(template()) . ')');
}

sub make_preview
{
	return 'SELECT * FROM public.inval_preview(' . literal(relation()) . pick('', ', 3', ', 0', ', -1', ', 1000000') . ')';
}

# What is for others, and what is for nobody.
sub make_inval_call
{
	my $call = pick(
		"inval_touch('o:team:1')", "inval_touch('sentinel:1', target => 'yard')", 'inval_drain()',
		"inval_add_target('mine', 'redis://127.0.0.1:1')", "inval_add_target('yard', 'redis://127.0.0.1:1')",
		"inval_drop_target('yard')", 'inval_pause()', "inval_pause('yard')", 'inval_resume()',
		"inval_set_var('release', 'x')", "inval_guard('error', 'id')", "inval_guard('track', 'a')",
		'inval_stats_reset()', 'inval_start_worker()', "inval_coverage('" . column() . "')",
		"inval_coverage(NULL)", "inval_coverage_paths('id')", "inval_rule_problem('own.team', 1)",
		'inval_rule_problem(' . literal(relation()) . ', ' . between(0, 50) . ')',
		'inval_template_columns(' . literal(relation()) . "::regclass, " . literal(template()) . ')',
		'inval_template_variables(' . literal(template()) . ')', 'inval_queue_rows()', 'inval_guard_rows()',
		'inval_var_rows()', 'inval_rule_rows()', 'inval_stats_rows()', 'inval_target_status_rows()',
		'inval_audit(' . between(1, 50) . ')', 'inval_orphans(' . between(1, 50) . ', true)',
		'inval_outbox_source()', "inval_store_validator('{}', 0)", 'inval_capture_row()', 'inval_on_drop()');

	return "SELECT * FROM public.$call";
}

sub make_rule_view
{
	return pick(
		"UPDATE public.inval_rule SET state = 'off'", 'DELETE FROM public.inval_rule',
		"INSERT INTO public.inval_rule (relation, key) VALUES ('own.team', 'sentinel:{id}')",
		"INSERT INTO public.inval_rule (relation, key) VALUES (" . literal(table()) . ", 'sentinel:{id}')",
		"SELECT * FROM public.inval_rule WHERE $role.f0(id) > 0", 'SELECT * FROM public.inval_queue',
		'SELECT * FROM public.inval_stats', 'SELECT * FROM public.inval_target_status',
		'SELECT * FROM public.inval_guards', 'SELECT * FROM public.inval_var');
}

# ---------------------------------------------------------------------------
# Tables
# ---------------------------------------------------------------------------

sub make_create_table
{
	my $name = table();

	return pick(
		"CREATE TABLE $name (id int PRIMARY KEY, a int, b text, c text[])",
		"CREATE TABLE $name (id int, a " . column_type() . ', b ' . column_type() . ', c text[])',
		"CREATE TABLE $name (id int DEFAULT $role.f0(1), a int REFERENCES " . plain_table() . ' ON DELETE CASCADE, b text)',
		"CREATE TABLE $name (id int, a int GENERATED ALWAYS AS (id + 1) STORED, b text CHECK ($role.f0(id) > 0))",
		"CREATE UNLOGGED TABLE $name (id int, a int, b text)",
		"CREATE TABLE $name AS SELECT i AS id, i AS a, 'x'::text AS b, ARRAY['y'] AS c FROM generate_series(1, 20) i",
		"CREATE TABLE $name (LIKE " . relation() . ' INCLUDING ALL)',
		"CREATE TABLE $name OF " . type(),
		"CREATE TABLE $name (id int, a int, b text) PARTITION BY " . pick('RANGE', 'LIST', 'HASH') . ' (id)',
		"CREATE TABLE $role.t0 (id int, a int, b text)", "CREATE TABLE $role.inval_rule (id int)",
		"CREATE TABLE $name (id int, a int REFERENCES own.team, b text)",
		"CREATE INDEX ON $name ($role.f0(id))", "ALTER TABLE $name ADD PRIMARY KEY (id)");
}

sub make_alter_table
{
	my ($table, $column) = (table(), column());

	return "ALTER TABLE $table " . pick(
		"ADD COLUMN $column " . column_type(), "DROP COLUMN $column", "DROP COLUMN $column CASCADE",
		"ALTER COLUMN $column TYPE " . column_type() . " USING NULL", "ALTER COLUMN $column TYPE text",
		"ALTER COLUMN $column TYPE bigint USING $role.f0(1)", "ALTER COLUMN $column TYPE text USING 'u'",
		"RENAME COLUMN $column TO " . column(), 'RENAME TO ' . pick('t', 'q') . between(0, 4), 'SET LOGGED',
		'SET UNLOGGED', 'DISABLE TRIGGER ALL', 'DISABLE TRIGGER USER', 'ENABLE REPLICA TRIGGER "00_inval_row"',
		'DISABLE TRIGGER "00_inval_row"', 'ENABLE ALWAYS TRIGGER ALL', "ALTER COLUMN $column SET DEFAULT $role.f0(1)",
		"ALTER COLUMN $column DROP NOT NULL", 'SET SCHEMA own', 'SET SCHEMA public', 'SET SCHEMA pg_temp',
		'CLUSTER ON ' . own('t0_pkey'), 'REPLICA IDENTITY FULL', 'SET (fillfactor = 10)', 'SET ACCESS METHOD heap',
		'RENAME CONSTRAINT a TO b', 'SET TABLESPACE pg_default', 'NOT OF', 'OF ' . type(),
		"ADD CONSTRAINT c CHECK ($role.f0(1) > 0)", 'ADD FOREIGN KEY (a) REFERENCES ' . plain_table());
}

sub make_drop
{
	return 'DROP ' . pick('TABLE ' . table(), 'TABLE ' . table(), 'TABLE ' . relation(), 'FUNCTION ' . function(),
		'VIEW ' . own('v' . between(0, 2)), 'TYPE ' . type(), 'DOMAIN ' . type(), "OPERATOR $role.= (int, int)",
		'MATERIALIZED VIEW ' . own('m' . between(0, 2)), "TRIGGER \"00_inval_row\" ON " . relation(),
		"TRIGGER IF EXISTS \"00_inval_rule_" . between(1, 40) . '" ON ' . table(), 'SCHEMA own', "SCHEMA $role",
		'TABLE ' . table() . ', ' . table()) . pick('', '', ' CASCADE', ' CASCADE') if chance(0.95);
	return pick('DROP OWNED BY CURRENT_USER', 'DROP OWNED BY hostile_gang CASCADE', 'DROP OWNED BY owner');
}

sub make_partition
{
	my ($parent, $leaf) = (own('p' . between(0, 1)), own('q' . between(0, 3)));
	my $from = between(0, 9) * 10;
	my $bounds = "FOR VALUES FROM ($from) TO (" . ($from + 10) . ')';

	return pick(
		"CREATE TABLE $parent (id int, a int, b text) PARTITION BY RANGE (id)",
		"CREATE TABLE $leaf PARTITION OF $parent $bounds", "CREATE TABLE $leaf PARTITION OF $parent DEFAULT",
		"CREATE TABLE $leaf PARTITION OF own.part $bounds", "CREATE TABLE $leaf PARTITION OF $parent $bounds PARTITION BY LIST (a)",
		"ALTER TABLE $parent ATTACH PARTITION $leaf $bounds", "ALTER TABLE own.part ATTACH PARTITION $leaf $bounds",
		"ALTER TABLE $parent DETACH PARTITION $leaf", "ALTER TABLE $parent DETACH PARTITION $leaf CONCURRENTLY",
		"ALTER TABLE $parent DETACH PARTITION $leaf FINALIZE", "ALTER TABLE own.part DETACH PARTITION own.part_1",
		"CREATE TABLE $leaf (id int, a int, b text)", "ALTER TABLE $parent ATTACH PARTITION own.part_1 $bounds",
		"DROP TABLE $leaf");
}

sub make_inherit
{
	return pick(
		'CREATE TABLE ' . table() . ' () INHERITS (' . relation() . ')',
		'CREATE TABLE ' . table() . ' (e int) INHERITS (' . table() . ', ' . table() . ')',
		'ALTER TABLE ' . table() . ' INHERIT ' . relation(), 'ALTER TABLE ' . table() . ' NO INHERIT ' . table());
}

sub make_foreign_key
{
	return 'ALTER TABLE ' . table() . ' ADD FOREIGN KEY (' . column() . ') REFERENCES ' . relation()
	  . pick('', ' (id)') . pick('', ' ON DELETE CASCADE ON UPDATE CASCADE', ' DEFERRABLE INITIALLY DEFERRED', ' NOT VALID');
}

sub make_matview
{
	my $name = own('m' . between(0, 2));

	return pick("CREATE MATERIALIZED VIEW $name AS SELECT $role.f0(id) AS id, 1 AS a, 'b'::text AS b FROM " . relation(),
		"CREATE MATERIALIZED VIEW $name AS SELECT id, a, b FROM " . plain_table() . pick('', ' WITH NO DATA'),
		"REFRESH MATERIALIZED VIEW $name", 'REFRESH MATERIALIZED VIEW own.summary',
		"CREATE UNIQUE INDEX ON $name (id)", "REFRESH MATERIALIZED VIEW CONCURRENTLY $name");
}

sub make_temp
{
	return pick('CREATE TEMP TABLE ' . pick(qw(t0 team task pg_class inval_rule)) . ' (id int, a int, b text)',
		'CREATE TEMP TABLE x AS SELECT 1 AS id, 2 AS a', "SELECT public.inval_track('pg_temp.t0', 'id', targets => '{yard}')",
		'CREATE FUNCTION pg_temp.f(int) RETURNS int LANGUAGE sql AS $$ SELECT 1 $$', 'DISCARD TEMP',
		"CREATE TEMP VIEW team AS SELECT * FROM own.team", 'DISCARD ALL');
}

# ---------------------------------------------------------------------------
# Code
# ---------------------------------------------------------------------------

sub action
{
	return pick(
		'PERFORM 1', 'PERFORM 1', 'PERFORM pg_sleep(0.2)', "RAISE 'no' USING errcode = '" . pick(qw(57014 40001 40P01 53200 P0001 XX000 55P03 42501 0A000)) . "'",
		'PERFORM 1 / 0', "PERFORM set_config('search_path', '$role', false)", "PERFORM set_config('statement_timeout', '1', false)",
		"PERFORM set_config('role', 'owner', false)", "EXECUTE 'SET SESSION AUTHORIZATION owner'", "EXECUTE 'RESET ROLE'",
		"PERFORM public.inval_track('" . plain_table() . "', key => 'yard:{id}', targets => '{yard}')",
		"PERFORM public.inval_untrack('" . plain_table() . "')", "PERFORM public.inval_preview('" . relation() . "')",
		"PERFORM public.inval_coverage('id')", 'INSERT INTO ' . table() . ' VALUES (1, 1)', 'DELETE FROM ' . plain_table(),
		"EXECUTE 'DROP TABLE " . table() . " CASCADE'", "EXECUTE 'CREATE TABLE " . table() . " (id int, a int, b text)'",
		"EXECUTE 'ALTER TABLE " . plain_table() . " ALTER a TYPE text'", "INSERT INTO $role.note (text) VALUES (current_user)",
		"EXECUTE 'ALTER ROLE $role SUPERUSER'", "EXECUTE 'GRANT owner TO $role'", "PERFORM pg_advisory_lock(1, (random() * 20)::int)",
		'PERFORM word FROM own.nobody', 'PERFORM secret FROM own.team', "PERFORM pg_notify('h', current_user)",
		'PERFORM lo_creat(-1)', "EXECUTE 'COMMIT'", 'PERFORM ' . function() . '(1)', "PERFORM pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'owner'",
		'PERFORM pg_cancel_backend(pg_backend_pid())', "PERFORM own.definer()", 'FOR i IN 1 .. 20 LOOP BEGIN PERFORM 1 / 0; EXCEPTION WHEN OTHERS THEN NULL; END; END LOOP');
}

sub make_create_function
{
	my $name = function();
	my $body = action() . '; ' . (chance(0.4) ? action() . '; ' : '');

	$body = "BEGIN $body EXCEPTION WHEN OTHERS THEN " . pick('NULL', "RAISE WARNING '%', sqlerrm", action()) . '; END; ' if chance(0.5);
	return pick(
		(map {
			"CREATE OR REPLACE FUNCTION $name(a int) RETURNS int "
			  . pick('', '', 'STABLE ', 'IMMUTABLE ', 'SECURITY DEFINER ', 'STRICT ', "SET search_path = $role ", 'PARALLEL SAFE ', 'COST 0.0001 ')
			  . "LANGUAGE plpgsql AS \$\$ BEGIN PERFORM $role.spy('$name'); ${body}RETURN "
			  . pick('a', 'a', 'NULL', '1', 'a + 1') . "; END \$\$" } 1 .. 6),
		"CREATE OR REPLACE FUNCTION $name(a text) RETURNS text LANGUAGE plpgsql AS \$\$ BEGIN PERFORM $role.spy('$name'); ${body}RETURN a; END \$\$",
		"CREATE OR REPLACE FUNCTION $name(a int) RETURNS SETOF int LANGUAGE sql AS \$\$ SELECT $role.spy('$name'); SELECT 1 UNION SELECT 2 \$\$",
		"CREATE OR REPLACE FUNCTION $name(a int) RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT a + 1; END",
		(map {
			"CREATE OR REPLACE FUNCTION $role.$_ RETURNS text LANGUAGE plpgsql AS \$\$ BEGIN PERFORM $role.spy('shadow'); RETURN 'x'; END \$\$" }
			pick('lower(text)', 'format(text, text)', 'quote_ident(text)', 'md5(text)', 'now()', 'current_setting(text)', 'version()')),
		"CREATE OR REPLACE FUNCTION $role.inval_track(regclass, text) RETURNS int LANGUAGE plpgsql AS \$\$ BEGIN PERFORM $role.spy('track'); RETURN 0; END \$\$",
		"CREATE OR REPLACE FUNCTION $role.int4eq(int, int) RETURNS boolean LANGUAGE plpgsql AS \$\$ BEGIN PERFORM $role.spy('int4eq'); RETURN true; END \$\$",
		"ALTER FUNCTION $name(int) " . pick('RENAME TO f3', 'SET SCHEMA own', 'SECURITY DEFINER', 'OWNER TO hostile_gang', "SET role = 'owner'", 'DEPENDS ON EXTENSION inval'));
}

sub make_create_operator
{
	my $of = pick('int', 'text', 'oid', 'name', 'bigint');
	my $op = pick('=', '=', '<>', '~~', '||', '+', '<');

	return pick(
		"CREATE FUNCTION $role.op($of, $of) RETURNS boolean LANGUAGE plpgsql AS \$\$ BEGIN PERFORM $role.spy('op'); RETURN true; END \$\$",
		"CREATE OPERATOR $role.$op (LEFTARG = $of, RIGHTARG = $of, FUNCTION = $role.op)",
		"CREATE OPERATOR $role.$op (LEFTARG = $of, RIGHTARG = $of, FUNCTION = $role.op)",
		"CREATE AGGREGATE $role.max(int) (SFUNC = $role.f0, STYPE = int)",
		"CREATE CAST (int AS " . type() . ") WITH FUNCTION $role.f0(int) AS IMPLICIT",
		"CREATE CAST (" . type() . " AS text) WITH INOUT AS IMPLICIT", "DROP OPERATOR $role.$op ($of, $of) CASCADE");
}

sub make_create_type
{
	my $name = type();

	return pick(
		"CREATE TYPE $name AS (x int, y int)", "CREATE TYPE $name AS (x int, y text)", "CREATE TYPE $name AS ENUM ('a', 'b', '1')",
		"CREATE DOMAIN $name AS int CHECK ($role.f0(VALUE) > 0)", "CREATE DOMAIN $name AS text CHECK (VALUE <> 'z')",
		"CREATE TYPE $name AS RANGE (SUBTYPE = int4)", "CREATE DOMAIN $name AS text[]",
		"ALTER TYPE $name ADD ATTRIBUTE z int CASCADE", "ALTER TYPE $name ALTER ATTRIBUTE x TYPE text CASCADE",
		"ALTER TYPE $name DROP ATTRIBUTE x CASCADE", "ALTER TYPE $name ADD VALUE 'c'", "ALTER TYPE $name RENAME TO d1",
		"ALTER TYPE $name RENAME ATTRIBUTE x TO w CASCADE", "ALTER DOMAIN $name ADD CHECK ($role.f0(1) > 0)",
		"ALTER TYPE $name OWNER TO hostile_gang", "ALTER TYPE $name RENAME VALUE 'a' TO 'z'", "ALTER TYPE $name SET SCHEMA own");
}

sub make_create_view
{
	my $name = own('v' . between(0, 2));

	return pick(
		"CREATE OR REPLACE VIEW $name AS SELECT $role.f0(id) AS id, b FROM " . plain_table(),
		"CREATE OR REPLACE VIEW $name " . pick('', 'WITH (security_barrier)', 'WITH (security_invoker)') . ' AS SELECT id, name FROM own.team',
		"CREATE OR REPLACE VIEW $name AS SELECT id, b FROM " . plain_table() . " WHERE $role.f0(id) = 1",
		"CREATE OR REPLACE VIEW $name AS SELECT id, word FROM own.nobody", "CREATE OR REPLACE VIEW $role.inval_rule AS SELECT $role.f0(1) AS id",
		"CREATE RULE r AS ON INSERT TO " . table() . " DO ALSO SELECT $role.f0(1)",
		"CREATE RULE \"_RETURN\" AS ON SELECT TO " . table() . " DO INSTEAD SELECT 1 AS id",
		"ALTER VIEW $name OWNER TO hostile_gang");
}

sub make_trigger
{
	return pick(
		"CREATE OR REPLACE FUNCTION $role.trg() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN PERFORM $role.spy('trg'); "
		  . pick('', '', 'BEGIN ') . action() . "; RETURN NEW; END \$\$",
		(map { "CREATE TRIGGER \"" . pick('00_a', '00_inval_row', '00_inval_truncate', '00_inval_rule_1', 'zz') . '" '
			  . pick('BEFORE', 'AFTER') . pick(' INSERT OR UPDATE OR DELETE', ' UPDATE', ' INSERT') . ' ON ' . relation()
			  . " FOR EACH ROW EXECUTE FUNCTION " . pick("$role.trg()", "$role.trg()", 'public.inval_capture_row()', 'public.inval_rule_carrier()', 'public.inval_rule_write()') } 1 .. 3),
		'CREATE TRIGGER x BEFORE TRUNCATE ON ' . relation() . " EXECUTE FUNCTION " . pick("$role.trg()", 'public.inval_capture_truncate()', "public.inval_rule_carrier('key', 'x', 'targets', '{default}')"),
		'CREATE CONSTRAINT TRIGGER y AFTER INSERT OR UPDATE ON ' . table() . " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION $role.trg()",
		'ALTER TRIGGER "00_inval_row" ON ' . table() . ' RENAME TO x', 'ALTER TRIGGER x ON ' . table() . ' RENAME TO "00_inval_row"',
		'ALTER TRIGGER "00_inval_row" ON ' . table() . pick('', ' NO') . ' DEPENDS ON EXTENSION inval',
		"CREATE EVENT TRIGGER e ON sql_drop EXECUTE FUNCTION public.inval_on_drop()");
}

# ---------------------------------------------------------------------------
# Rights
# ---------------------------------------------------------------------------

sub make_row_security
{
	my $table = table();

	return pick("ALTER TABLE $table ENABLE ROW LEVEL SECURITY", "ALTER TABLE $table FORCE ROW LEVEL SECURITY",
		"ALTER TABLE $table DISABLE ROW LEVEL SECURITY", "CREATE POLICY p ON $table USING ($role.f0(id) > 0)",
		"CREATE POLICY p ON own.task USING (true)", "DROP POLICY p ON $table", "ALTER TABLE own.nobody DISABLE ROW LEVEL SECURITY");
}

sub make_grant
{
	return pick('GRANT ALL ON ' . table() . ' TO ' . pick(qw(PUBLIC owner hostile_gang hostile1 hostile2)),
		'REVOKE ALL ON ' . table() . ' FROM ' . pick(qw(PUBLIC hostile1 hostile2)), "GRANT ALL ON SCHEMA $role TO PUBLIC",
		"REVOKE ALL ON FUNCTION " . function() . " FROM PUBLIC, $role", "GRANT SELECT ON own.team TO hostile_gang",
		'GRANT USAGE ON FOREIGN SERVER inval_target_yard TO hostile_gang', 'GRANT USAGE ON FOREIGN SERVER inval_target_default TO hostile1',
		"GRANT owner TO $role", 'GRANT ALL ON public.inval_outbox_1 TO PUBLIC', "REVOKE SELECT ON " . table() . " FROM $role",
		"ALTER DEFAULT PRIVILEGES IN SCHEMA $role GRANT ALL ON TABLES TO PUBLIC", 'GRANT EXECUTE ON FUNCTION public.inval_touch TO PUBLIC');
}

sub make_owner
{
	return pick('ALTER TABLE ' . table() . ' OWNER TO ' . pick('hostile_gang', $role, 'owner'),
		'ALTER TABLE ' . table() . " OWNER TO $role", 'ALTER TABLE own.team OWNER TO hostile_gang',
		'REASSIGN OWNED BY hostile_gang TO CURRENT_USER', 'REASSIGN OWNED BY owner TO CURRENT_USER',
		'ALTER SCHEMA own OWNER TO CURRENT_USER', 'SET ROLE hostile_gang', 'SET ROLE owner', 'RESET ROLE', 'RESET ROLE',
		'SET SESSION AUTHORIZATION owner', "ALTER ROLE $role SUPERUSER", "ALTER ROLE $role SET search_path = " . search_path());
}

# ---------------------------------------------------------------------------
# Rows and transactions
# ---------------------------------------------------------------------------

sub make_write
{
	my $table = chance(0.9) ? table() : other();

	return pick(
		"INSERT INTO $table (id, a, b) VALUES (" . between(1, 100) . ', ' . between(1, 5) . ', ' . value() . ')',
		"INSERT INTO $table (id, a, b) VALUES (" . between(1, 100) . ', ' . between(1, 5) . ", 'b')",
		"INSERT INTO $table (id, a, b) SELECT i, 1, 'b' FROM generate_series(" . between(1, 50) . ', ' . between(50, 90) . ') i ON CONFLICT DO NOTHING',
		"UPDATE $table SET " . column() . ' = ' . value(), "UPDATE $table SET a = id, b = b || 'x'", "UPDATE $table SET id = id + 100",
		"UPDATE $table SET a = " . between(1, 5) . ' WHERE id = ' . between(1, 9), "DELETE FROM $table WHERE id = " . between(1, 99),
		"DELETE FROM $table", "TRUNCATE $table" . pick('', ' CASCADE', ' RESTART IDENTITY'),
		"MERGE INTO $table t USING " . plain_table() . ' s ON t.id = s.id WHEN MATCHED THEN UPDATE SET b = s.b WHEN NOT MATCHED THEN INSERT (id) VALUES (s.id)',
		"COPY $table FROM PROGRAM 'true'", "COPY $table (id) TO STDOUT", "INSERT INTO $table DEFAULT VALUES RETURNING *");
}

sub make_transaction
{
	return pick('BEGIN', 'BEGIN', 'BEGIN', 'COMMIT', 'COMMIT', 'COMMIT', 'ROLLBACK', 'COMMIT AND CHAIN', 'ABORT',
		'BEGIN ISOLATION LEVEL SERIALIZABLE', 'BEGIN ISOLATION LEVEL REPEATABLE READ', 'BEGIN READ ONLY');
}

sub make_savepoint
{
	return pick('SAVEPOINT a', 'SAVEPOINT a', 'SAVEPOINT b', 'ROLLBACK TO a', 'ROLLBACK TO b', 'RELEASE a', 'RELEASE b',
		'SET CONSTRAINTS ALL ' . pick('IMMEDIATE', 'DEFERRED'));
}

sub make_prepared
{
	return pick("PREPARE TRANSACTION '$role" . between(1, 2) . "'", "PREPARE TRANSACTION '$role" . between(1, 2) . "'",
		"COMMIT PREPARED '$role" . between(1, 2) . "'", "ROLLBACK PREPARED '$role" . between(1, 2) . "'");
}

sub make_prepared_statement
{
	return pick('PREPARE s AS SELECT public.inval_track($1::regclass, key => $2)', "EXECUTE s('$role.t0', 'yard:{id}')", 'DEALLOCATE ALL',
		'PREPARE w AS UPDATE ' . plain_table() . ' SET a = 2', 'EXECUTE w', 'PREPARE u AS SELECT * FROM own.nobody');
}

sub make_setting
{
	return 'SET ' . pick('', 'LOCAL ') . pick('search_path = ' . search_path(), 'search_path = ' . search_path(), "statement_timeout = '" . pick(qw(1ms 5ms 20ms 100ms)) . "'",
		"lock_timeout = '1ms'", "inval.pending_memory = '" . pick(qw(64kB 64kB 1GB)) . "'", "inval.redis_url = 'redis://127.0.0.1:1'",
		"inval.commit_timeout = 0", 'inval.look_again = off', "session_replication_role = replica", 'check_function_bodies = off', 'row_security = off',
		"DateStyle = 'SQL, DMY'", "TimeZone = 'Asia/Tokyo'", 'standard_conforming_strings = off', "bytea_output = escape", 'plan_cache_mode = force_custom_plan',
		"default_transaction_read_only = " . pick(qw(on off off)), "default_transaction_isolation = 'serializable'", 'enable_seqscan = off', 'work_mem = 64', 'quote_all_identifiers = on',
		"client_encoding = 'LATIN1'", 'transform_null_equals = on', "max_stack_depth = '100kB'", 'jit_above_cost = 0', "force_parallel_mode = on", 'event_triggers = off',
		'plpgsql.variable_conflict = use_column', 'array_nulls = off', "xmloption = document", 'synchronous_commit = off', 'inval.nonsense = 1', 'default_table_access_method = heap');
}

# Caught errors and cancelled commands: what is open when one comes must be closed.
sub make_caught
{
	my $inner = pick(action(), action(), "EXECUTE " . literal(pick(make_track(), make_write(), make_drop(), make_alter_table(), make_partition(), make_create_type())));
	my $setting = chance(0.3) ? "PERFORM set_config('statement_timeout', '" . pick(3, 10, 50) . "', true); " : '';

	return "DO \$do\$ BEGIN ${setting}FOR i IN 1 .. " . between(1, 3) . " LOOP BEGIN $inner; " . (chance(0.3) ? action() . '; ' : '')
	  . 'EXCEPTION WHEN ' . pick('OTHERS', 'OTHERS', 'query_canceled', 'query_canceled OR OTHERS', 'insufficient_privilege')
	  . " THEN RAISE NOTICE '%', sqlerrm; END; END LOOP; END \$do\$";
}

sub make_cursor
{
	return pick('DECLARE c CURSOR ' . pick('', 'WITH HOLD ') . 'FOR SELECT * FROM ' . relation(), "DECLARE c CURSOR WITH HOLD FOR SELECT $role.f0(id) FROM " . plain_table(),
		'FETCH 2 FROM c', 'FETCH ALL FROM c', 'CLOSE c', "DECLARE c CURSOR FOR SELECT * FROM public.inval_preview('$role.t0')", 'UPDATE ' . plain_table() . ' SET a = 1 WHERE CURRENT OF c');
}

sub make_lock
{
	return pick('LOCK TABLE ' . relation() . ' IN ' . pick('ACCESS SHARE', 'ROW SHARE', 'ROW EXCLUSIVE', 'SHARE', 'EXCLUSIVE', 'ACCESS EXCLUSIVE') . ' MODE NOWAIT',
		'LOCK TABLE ' . relation(), 'SELECT pg_advisory_lock(' . between(1, 5) . ')', 'SELECT pg_advisory_unlock_all()', 'SELECT pg_sleep(0.3)',
		'SELECT pg_advisory_xact_lock(1)', 'SELECT * FROM ' . relation() . ' FOR UPDATE');
}

sub make_listen
{
	return pick('LISTEN h', "NOTIFY h, 'x'", 'UNLISTEN *', "SELECT pg_notify('h', repeat('x', 7000))");
}

sub make_big
{
	return pick("INSERT INTO " . plain_table() . " (id, a, b) SELECT i, 1, repeat('x', 100) FROM generate_series(1000, 30000) i ON CONFLICT DO NOTHING",
		'UPDATE ' . plain_table() . " SET b = (SELECT string_agg(md5(i::text), '') FROM generate_series(1, 400) i)",
		"SELECT public.inval_track('$role.t0', key => 'yard:' || repeat('{id}', 500), targets => '{yard}')",
		"SELECT public.inval_track('$role.t0', key => 'yard:{" . join('.', ('a') x 300) . "}', targets => '{yard}')",
		"SELECT public.inval_track('$role.t0', key => repeat('k', 100000), targets => '{yard}')",
		'DELETE FROM ' . plain_table() . ' WHERE id > 900');
}

# ---------------------------------------------------------------------------
# What is others'
# ---------------------------------------------------------------------------

sub make_outbox
{
	my $outbox = 'public.inval_outbox_' . between(0, 5);

	return pick("INSERT INTO $outbox (first) VALUES (1)", "DELETE FROM $outbox", "SELECT * FROM $outbox", "TRUNCATE $outbox", "LOCK TABLE $outbox",
		"REFRESH MATERIALIZED VIEW $outbox", "DROP MATERIALIZED VIEW $outbox", "ALTER MATERIALIZED VIEW $outbox OWNER TO CURRENT_USER", "ANALYZE $outbox",
		"VACUUM FULL $outbox", "CLUSTER $outbox", "CREATE INDEX ON $outbox (xid)", "COMMENT ON MATERIALIZED VIEW $outbox IS 'x'", "PREPARE o AS SELECT * FROM $outbox",
		"SELECT pg_relation_size('$outbox')", "CREATE VIEW $role.v0 AS SELECT * FROM $outbox", "REINDEX TABLE $outbox", "COPY $outbox TO STDOUT",
		"CREATE TABLE $role.t4 (LIKE $outbox)", "CREATE TABLE $role.t4 OF $outbox", "SELECT NULL::$outbox");
}

sub make_extension_object
{
	return pick('CREATE EXTENSION inval', 'DROP EXTENSION inval CASCADE', 'ALTER EXTENSION inval UPDATE', "ALTER EXTENSION inval SET SCHEMA $role",
		'ALTER EXTENSION inval ADD TABLE ' . table(), 'ALTER EXTENSION inval DROP VIEW public.inval_rule', 'CREATE EXTENSION IF NOT EXISTS inval CASCADE',
		"COMMENT ON EXTENSION inval IS 'x'", 'SECURITY LABEL ON TABLE ' . table() . " IS 'x'", "ALTER EVENT TRIGGER inval_on_drop DISABLE", 'DROP EVENT TRIGGER inval_on_drop',
		"ALTER SERVER inval_target_yard OPTIONS (ADD region 'x')", "ALTER SERVER inval_target_default OWNER TO $role", 'DROP SERVER inval_target_yard CASCADE',
		"CREATE SERVER inval_target_mine TYPE 'target' FOREIGN DATA WRAPPER inval", "CREATE USER MAPPING FOR CURRENT_USER SERVER inval_target_yard OPTIONS (url 'redis://127.0.0.1:1')",
		"CREATE USER MAPPING FOR PUBLIC SERVER inval_target_yard OPTIONS (url 'redis://127.0.0.1:1')", "CREATE FOREIGN TABLE $role.ft (id int, a int, b text) SERVER inval_target_yard",
		"IMPORT FOREIGN SCHEMA x FROM SERVER inval_target_yard INTO $role", 'DROP FUNCTION public.inval_capture_row() CASCADE', "ALTER FUNCTION public.inval_track OWNER TO $role",
		"CREATE OR REPLACE FUNCTION public.inval_untrack_rule(rule integer) RETURNS boolean LANGUAGE sql AS 'SELECT true'", 'SELECT * FROM pg_user_mappings', 'SELECT * FROM pg_user_mapping',
		"CREATE PUBLICATION p FOR TABLE " . table(), "SELECT srvoptions FROM pg_foreign_server", "LOAD 'inval'", 'CREATE STATISTICS ' . own('s1') . ' ON a, b FROM ' . table(), 'ANALYZE ' . table(), 'VACUUM ' . table(),
		'REINDEX SCHEMA ' . $role, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type LIKE 'inval%'", "SELECT query, backend_type FROM pg_stat_activity", "CLUSTER");
}

sub make_read_others
{
	return pick('SELECT * FROM own.nobody', 'SELECT secret FROM own.team', 'SELECT id, name FROM own.team LIMIT 2', 'SELECT * FROM own.secret', 'SELECT * FROM own.summary',
		'SELECT own.definer()', 'EXPLAIN ANALYZE SELECT * FROM own.nobody', 'INSERT INTO own.team VALUES (1)', 'UPDATE own.team SET name = NULL', 'DELETE FROM own.scratch', 'SELECT * FROM pg_stats',
		"SELECT * FROM public.inval_preview('own.task')", "SELECT public.inval_track('own.team', 'id')", "SELECT public.inval_untrack('own.team')", 'TRUNCATE own.scratch',
		'SELECT id FROM own.team t WHERE t.secret > \'\'', 'SELECT t FROM own.team t', 'TABLE own.hidden_view', 'SELECT * FROM own.scratch LIMIT 1');
}

1;
