=pod

=head1 NAME

Inval::Differential - random schemas and transactions against an oracle

=head1 DESCRIPTION

Each schema gets a database of its own, with random tables and rules
(Inval::Random::Schema, Inval::Random::Rules), and random transactions run in it
(Inval::Random::Statements).  Sending is paused, so what they owe stays in
inval_queue.  After each of them the oracle (Inval::Oracle) compares that with what
a query over the tables before and after says.

=cut

package Inval::Differential;

use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Utils;
use Test::More;

use Inval::Oracle;
use Inval::Random;
use Inval::Random::Schema;
use Inval::Random::Statements;
use Inval::Test;

our @EXPORT = qw(
  %feature
  differential_node
  differential_run
  differential_report
);

# Everything that can be switched on and off.
our %feature = (
	# Tables
	arrays => 'array columns',
	before_triggers => 'BEFORE triggers that change key columns or drop the row',
	composite_fk => 'foreign keys of two columns, and to partitioned tables',
	deferrable => 'foreign keys that are checked at the commit',
	deferred_triggers => 'constraint triggers that write at the commit',
	domains => 'domains',
	enums => 'enums',
	foreign_keys => 'foreign keys with CASCADE, SET NULL, NO ACTION',
	generated => 'generated stored columns',
	identity => 'identity columns',
	inheritance => 'inheritance children and grandchildren',
	matviews => 'a rule on a materialized view; REFRESH',
	partitions => 'list, range and hash partitions, two levels, DEFAULT, other orders of columns',
	row_security => 'policies, and statements of a user whom they concern',
	self_references => 'foreign keys of a table to itself',
	views => 'changes through views, with rules and without',
	writing_triggers => 'triggers that write other tables',
	# Rules
	changes => 'changes lists',
	elements => '{col[]}',
	fields => 'fields of hashes',
	filters => 'filters',
	part_rules => 'rules on one partition, level or child',
	paths => '{col.other}',
	variables => '{$name}',
	via => 'via queries',
	# Statements
	copy => 'COPY FROM STDIN',
	cursor => 'WHERE CURRENT OF',
	delete => 'DELETE',
	delete_using => 'DELETE … USING',
	disable_triggers => 'ALTER TABLE … DISABLE and ENABLE TRIGGER USER and ALL',
	do_block => 'PL/pgSQL with exception handlers',
	failure => 'statements that always fail',
	inherit_ddl => 'INHERIT, NO INHERIT',
	insert => 'INSERT of several rows, of copies of rows',
	merge => 'MERGE',
	on_conflict => 'INSERT … ON CONFLICT DO UPDATE',
	partition_ddl => 'ATTACH, DETACH, DROP and creation of partitions',
	prepared => 'PREPARE TRANSACTION, COMMIT PREPARED, ROLLBACK PREPARED',
	prepared_statement => 'prepared statements',
	replica_role => 'session_replication_role',
	rewrite => 'ALTER TABLE that copies the table',
	rollback => 'ROLLBACK',
	savepoints => 'SAVEPOINT, ROLLBACK TO, RELEASE, nested',
	select => 'SELECT, FOR UPDATE, FOR SHARE',
	set_constraints => 'SET CONSTRAINTS',
	settings => 'settings that values look different under',
	truncate => 'TRUNCATE of tables and partitions, CASCADE, ONLY',
	update => 'UPDATE, of keys and partition keys too, and of nothing',
	update_from => 'UPDATE … FROM',
	writable_cte => 'writable CTEs');

# Without these there is nothing to test.
my @always = qw(insert update delete select);

# What random statements run into: how the SQLSTATE and the message start.
my @usual_errors = (
	'21000',    # ON CONFLICT or MERGE meets a row twice
	'22012',    # division by zero, on purpose
	'23502', '23503', '23505', '23514',
	'24000', '26000', '34000',    # a cursor on no row, what was not prepared, or is gone
	'25P01', '25P02',
	'27000',    # a BEFORE trigger has changed the row meanwhile
	'3B001',    # no such savepoint
	'42704: prepared transaction',    # it failed before
	'55006',    # DDL on a table with pending trigger events
	'P0001: on purpose');
# Those that only statements of a feature run into.
my %feature_errors = (
	partition_ddl => [ '2BP01', '42P01', '42P07', '42P17', '42809' ],
	partitions => ['0A000: moving row to another partition during a BEFORE'],
	inherit_ddl => [ '42P01', '42P07' ],
	# Not added, if that had failed.
	rewrite => ['42703: column "added"'],
	row_security => [ '42501', '0A000: COPY FROM not supported with row-level security' ],
	# The second is PostgreSQL's own REFRESH CONCURRENTLY with quote_all_identifiers.
	matviews => [ '0A000: cannot PREPARE a transaction that has operated on temporary',
		'42601: syntax error at or near "_2"' ],
	views => ['55000: cannot']);

=pod

=head2 differential_node($name)

A server for such runs.

=cut

sub differential_node
{
	my ($name) = @_;
	my $node = new_node($name,
		# Nobody is there and nobody is asked: sending is paused.
		url => 'unix:///nowhere?db=0',
		extension => 0,
		conf => join "\n",
		'inval.workers = 0',
		'statement_timeout = 1min',
		'client_min_messages = warning',
		'jit = off',
		'autovacuum = off');

	$node->safe_psql('postgres',
		'CREATE ROLE differential_user; CREATE DATABASE differential');
	$node->safe_psql('differential', 'CREATE EXTENSION inval;' . oracle_sql());
	return $node;
}

=pod

=head2 differential_run($node, %options)

Runs schemas and returns what came of it: C<totals>, C<kinds> (statements made), C<errors>
(by SQLSTATE), C<complaints>.  Options: C<seed>; C<schemas>; C<transactions> of each; C<only>, the
number of one schema that is run alone; C<features>, names of those in use (default
all); C<sabotage>, SQL that runs before the transactions and makes a hole to be found.

=cut

sub differential_run
{
	my ($node, %options) = @_;
	my $run = { totals => {}, kinds => {}, errors => {}, complaints => [] };
	my @features = $options{features} ? @{ $options{features} } : keys %feature;

	foreach (@features)
	{
		die "no feature $_; there are: @{[ sort keys %feature ]}\n" unless $feature{$_};
	}
	foreach my $number (1 .. $options{schemas})
	{
		next if $options{only} && $number != $options{only};
		# So that one schema can be repeated alone.
		srand(($options{seed} * 1009 + $number) % 2**31);
		run_schema($node, $run, $number, \@features, %options);
	}
	return $run;
}

sub run_schema
{
	my ($node, $run, $number, $features, %options) = @_;
	my %has = map { $_ => 1 } @$features, @always;
	my $database = "differential_$number";
	# Witnesses could change what they look at: not in all schemas.
	my $explain = chance(0.85) || $options{sabotage};
	my $schema = random_schema(%has);
	my $setup = join ";\n", @{ $schema->{sql} },
	  $explain ? 'SELECT oracle.watch()' : (), 'SELECT inval_pause()',
	  $options{sabotage} || (), 'SELECT oracle.look()',
	  'UPDATE oracle.watermark SET xid = pg_current_xact_id()', '';
	my @texts = ('');
	my @script = ('\set VERBOSITY verbose');
	my ($out, $err) = ('', '');

	$node->safe_psql('postgres', "CREATE DATABASE $database TEMPLATE differential");
	my $status = run_psql($node, $database, $setup, \$out, \$err, 1);
	if ($status ne '0')
	{
		complain($run, $number, 0, "cannot set up: $status: $err", $setup);
		drop($node, $database);
		return;
	}
	foreach my $transaction (1 .. $options{transactions})
	{
		my $text = random_transaction($schema, $transaction, sub { $run->{kinds}{ $_[0] }++ });

		push @texts, $text;
		push @script, "\\warn transaction $transaction", $text,
		  '\set ON_ERROR_ROLLBACK off',
		  "SELECT '! $transaction ' || oracle.check(:failed, :commit_failed, "
		  . ($explain ? 'true' : 'false') . ');';
		push @script, 'VACUUM oracle.state, oracle.tree, oracle.event, oracle.queued,'
		  . ' oracle.expected, oracle.total;'
		  if $transaction % 20 == 0;
	}
	push @script, "SELECT 'total', name, n FROM oracle.total;", '';
	$status = run_psql($node, $database, join("\n", @script), \$out, \$err, 0);
	read_output($run, $number, $setup, \@texts, $out);
	my $last = read_errors($run, $number, $setup, \@texts, $err, \%has);
	complain($run, $number, $last, "psql ended: $status", $setup, $texts[$last])
	  if $status ne '0';
	keep_scripts($number, $setup, join("\n", @script))
	  if grep { $_->{schema} == $number } @{ $run->{complaints} };
	$run->{totals}{schemas}++;
	$run->{totals}{transactions} += $options{transactions};
	drop($node, $database);
	return;
}

# The exit status, or why there is none: a server that crashes is a complaint
# like any other.
sub run_psql
{
	my ($node, $database, $script, $out, $err, $on_error_stop) = @_;
	my $status = eval {
		$node->psql($database, $script,
			on_error_stop => $on_error_stop, stdout => $out, stderr => $err);
	};

	# What could not be written is of no interest.
	return defined $status ? $status : ($@ =~ /^([^,\n]*)/)[0];
}

sub drop
{
	my ($node, $database) = @_;

	# It may be recovering from a crash.
	poll_query($node, 'postgres', 'SELECT true');
	$node->safe_psql('postgres', "DROP DATABASE $database");
	return;
}

# For psql, in the directory of the logs.
sub keep_scripts
{
	my ($number, $setup, $script) = @_;
	my $directory = $PostgreSQL::Test::Utils::log_path;

	append_to_file("$directory/differential_${number}_setup.sql", $setup);
	append_to_file("$directory/differential_${number}_run.sql", $script);
	return;
}

sub read_output
{
	my ($run, $number, $setup, $texts, $out) = @_;

	foreach (split /\n/, $out)
	{
		$run->{totals}{$1} += $2 if /^total\|(.*)\|(\d+)$/;
		complain($run, $number, $1, $2, $setup, $texts->[$1]) if /^! (\d+) (.*)/;
	}
	return;
}

sub read_errors
{
	my ($run, $number, $setup, $texts, $err, $has) = @_;
	my @usual = (@usual_errors,
		map { @{ $feature_errors{$_} } } grep { $has->{$_} } sort keys %feature_errors);
	my $usual = join '|', map { quotemeta } @usual;
	my $transaction = 0;

	foreach (split /\n/, $err)
	{
		$transaction = $1 if /^transaction (\d+)$/;
		next unless /(ERROR|FATAL|PANIC|WARNING):  ((\w{5}): .*)/;
		my ($level, $message, $code) = ($1, $2, $3);

		$run->{errors}{ $level eq 'WARNING' ? "warning $code" : $code }++;
		complain($run, $number, $transaction, $message, $setup, $texts->[$transaction])
		  unless $message =~ /^(?:$usual)/;
	}
	return $transaction;
}

sub complain
{
	my ($run, $schema, $transaction, $what, $setup, $text) = @_;

	push @{ $run->{complaints} },
	  { schema => $schema, transaction => $transaction, what => $what,
		setup => $setup, text => $text };
	return;
}

=pod

=head2 differential_report($run, $show)

Calls C<$show> with the totals, and with the first complaints, the transaction
and the schema of the first one in full.

=cut

sub differential_report
{
	my ($run, $show) = @_;
	my @complaints = @{ $run->{complaints} };

	$run->{totals}{'keys missing'} ||= 0;
	$show->("totals: " . counts_text(%{ $run->{totals} }));
	$show->("statements: " . counts_text(%{ $run->{kinds} }));
	$show->("errors: " . counts_text(%{ $run->{errors} }));
	return unless @complaints;
	$show->(scalar(@complaints) . ' complaints');
	foreach (@complaints[ 0 .. ($#complaints < 9 ? $#complaints : 9) ])
	{
		$show->("schema $_->{schema} transaction $_->{transaction}: $_->{what}");
	}
	$show->("the first of these transactions:\n" . ($complaints[0]{text} || ''));
	$show->("its schema:\n$complaints[0]{setup}");
	return;
}

1;
