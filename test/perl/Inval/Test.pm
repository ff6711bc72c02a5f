=pod

=head1 NAME

Inval::Test - what the TAP tests of inval share

=head1 DESCRIPTION

Servers that have inval, waiting for conditions instead of sleeping, and the
questions that most tests ask.  Inval::Redis has the Redis server, Inval::Proxy one
that misbehaves.

=cut

package Inval::Test;

use strict;
use warnings;

use Carp;
use Exporter 'import';
use File::Basename qw(dirname);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use Inval::Proxy;
use Inval::Redis;

our @EXPORT = qw(
  new_node
  set_redis_url
  reload
  poll_until
  poll_query
  wait_queue_empty
  wait_target_state
  wait_keys_gone
  queue_length
  error_of
  times_logged
  counts_text
  worker_pid
  backend_in_commit
  start_commit
  abandon
  no_crash
  password_hidden
);

# A test that is interrupted ends like one that dies: servers are stopped.
$SIG{INT} = $SIG{TERM} = sub { die "ended by a signal\n" };

=pod

=head2 new_node($name, %options)

A running PostgreSQL server.  Options: C<url> for C<inval.redis_url>; C<preload>
(default true); C<conf> further lines of postgresql.conf; C<init> parameters of
the framework's own C<init> (with C<extra> among them the server has an identifier of
its own); C<extension> (default true) to create the extension
in database postgres; C<install_path> of an L<Inval::Installation>.

=cut

sub new_node
{
	my ($name, %options) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name,
		$options{install_path} ? (install_path => $options{install_path}) : ());
	my $preload = !defined $options{preload} || $options{preload};

	{
		local $ENV{PATH} = dirname(__FILE__) . "/../../shell:$ENV{PATH}";

		$node->init(%{ $options{init} || {} });
	}
	$node->append_conf('postgresql.conf',
		join "\n",
		$preload ? "shared_preload_libraries = 'inval'" : '',
		defined $options{url} ? "inval.redis_url = '$options{url}'" : '',
		'max_prepared_transactions = 10',
		# The framework's default suits tests that never crash a server.
		'restart_after_crash = on',
		# No statement in the log: the tests look for what inval writes there.
		"log_statement = 'none'",
		$options{conf} || '');
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION inval')
	  if !defined $options{extension} || $options{extension};
	return $node;
}

=pod

=head2 set_redis_url($node, $url)

Changes C<inval.redis_url> for the whole server and reloads it.

=head2 reload($node)

Reloads the configuration, and waits until new sessions have it.

=cut

sub set_redis_url
{
	my ($node, $url) = @_;

	$node->adjust_conf('postgresql.conf', 'inval.redis_url', "'$url'");
	reload($node);
	return;
}

sub reload
{
	my ($node) = @_;
	my $before = $node->safe_psql('postgres', 'SELECT pg_conf_load_time()');

	$node->reload;
	poll_query($node, 'postgres', "SELECT pg_conf_load_time() > '$before'")
	  or croak 'the server does not reload its configuration';
	return;
}

=pod

=head2 poll_until($condition, $what)

Calls the condition until it returns true; false, with a diagnostic, if it does
not within the time that all tests allow (PG_TEST_TIMEOUT_DEFAULT, at least a
minute).  A condition that dies counts as false: servers come and go.

=cut

sub poll_until
{
	my ($condition, $what) = @_;
	my $limit = $PostgreSQL::Test::Utils::timeout_default;
	my $pause = 0.02;
	my $deadline;

	$limit = 60 if $limit < 60;
	$deadline = time + $limit;
	while (time < $deadline)
	{
		return 1 if eval { $condition->() };
		select undef, undef, undef, $pause;
		$pause *= 2 if $pause < 0.3;
	}
	diag("gave up waiting: $what" . ($@ ? ": $@" : ''));
	return 0;
}

=pod

=head2 poll_query($node, $db, $query, $expected)

Waits until the query gives the expected text (default C<t>).  The server may
be down or starting meanwhile.

=cut

sub poll_query
{
	my ($node, $db, $query, $expected) = @_;
	my ($output, $error) = ('', '');
	my $there;

	$expected = 't' unless defined $expected;
	$there = poll_until(
		sub {
			my $status =
			  $node->psql($db, $query, stdout => \$output, stderr => \$error);

			return $status == 0 && $output eq $expected;
		},
		$query);
	diag("expected \"$expected\", last \"$output\" $error") unless $there;
	return $there;
}

sub queue_length
{
	my ($node, $db) = @_;

	return $node->safe_psql($db, 'SELECT count(*) FROM inval_queue');
}

sub wait_queue_empty
{
	my ($node, $db) = @_;
	my $empty =
	  poll_query($node, $db, 'SELECT count(*) = 0 FROM inval_queue');

	diag($node->safe_psql($db, 'SELECT * FROM inval_queue LIMIT 5')) unless $empty;
	return $empty;
}

sub wait_target_state
{
	my ($node, $db, $state, $target) = @_;

	$target = 'default' unless defined $target;
	return poll_query($node, $db,
		"SELECT state FROM inval_target_status WHERE target = '$target'", $state);
}

=pod

=head2 wait_keys_gone($redis, @keys)

Waits until none of the keys is in Redis.

=cut

sub wait_keys_gone
{
	my ($redis, @keys) = @_;
	my @left;
	my $gone = poll_until(sub { !(@left = $redis->existing(@keys)) },
		'keys to be removed');

	diag("still there: @left") unless $gone;
	return $gone;
}

=pod

=head2 worker_pid($node, $db, $target)

The process id of the database's worker for that target, waited for; dies if there is none.

=cut

sub worker_pid
{
	my ($node, $db, $target) = @_;
	my $pid;

	$target = 'default' unless defined $target;

	poll_until(
		sub {
			$pid = $node->safe_psql($db,
				"SELECT worker_pid FROM inval_target_status WHERE target = '$target'");
			return $pid =~ /^\d+$/ && $pid > 0;
		},
		"a worker in database $db") or croak "no worker in database $db";
	return $pid;
}

=pod

=head2 error_of($node, $statement)

What the server says to a statement, which may fail.

=cut

sub error_of
{
	my ($node, $statement) = @_;
	my ($status, $output, $error) = $node->psql('postgres', $statement);

	return $error;
}

=pod

=head2 times_logged($node, $pattern)

How many lines of the server's log match.

=cut

sub times_logged
{
	my ($node, $pattern) = @_;

	return scalar(grep { /$pattern/ } split /\n/, slurp_file($node->logfile));
}

=pod

=head2 counts_text(%count)

Counts by name, as a line.

=cut

sub counts_text
{
	my (%count) = @_;

	return join ', ', map { "$_ $count{$_}" } sort keys %count;
}

=pod

=head2 start_commit($session)

Sends COMMIT in a background psql without waiting for its end.

=head2 backend_in_commit($node, $pid, $visible)

Waits until that backend is inside COMMIT, past the commit record: its changes
are visible to others, for which C<$visible> is a query that then gives C<t>.
False if the backend has finished its COMMIT instead.

=head2 abandon($session)

Ends a background psql whose server process is gone or stuck.

=cut

sub start_commit
{
	my ($session) = @_;

	$session->query_until(qr/commit sent/, "\\echo commit sent\nCOMMIT;\n");
	return;
}

sub backend_in_commit
{
	my ($node, $pid, $visible) = @_;
	my $answer;

	poll_until(
		sub {
			$answer = $node->safe_psql('postgres', qq{
				SELECT CASE WHEN state <> 'active' THEN 'finished'
							WHEN ($visible) THEN 'inside' END
				FROM pg_stat_activity
				WHERE pid = $pid AND query ILIKE 'commit%'});
			return $answer;
		},
		'a commit under way');
	return $answer eq 'inside';
}

sub abandon
{
	my ($session) = @_;

	eval { $session->{run}->kill_kill };
	return;
}

=pod

=head2 no_crash($node, $name, %allowed)

Passes if the server's log tells of no crash.  C<< kill9 => 1 >> allows those
that a test caused with kill -9.

=cut

sub no_crash
{
	my ($node, $name, %allowed) = @_;
	my @crashes = grep { /PANIC|terminated by signal|TRAP:|stack smashing/ }
	  split /\n/, slurp_file($node->logfile);

	@crashes = grep { !/terminated by signal 9\b/ } @crashes if $allowed{kill9};
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is(join("\n", @crashes), '', $name);
	return;
}

=pod

=head2 password_hidden($node, $db, $password, $name)

Passes if the password is neither in the server's log nor in any view or table
that an ordinary user can read.

=cut

sub password_hidden
{
	my ($node, $db, $password, $name) = @_;
	my @lines = grep { /\Q$password\E/ } split /\n/, slurp_file($node->logfile);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is(join("\n", @lines), '', "$name: not in the log");

	# As an ordinary user: whatever can be read must not have it.
	$node->safe_psql($db, q{
		DO $$ BEGIN CREATE ROLE inval_nobody; EXCEPTION WHEN duplicate_object THEN END $$});
	my @relations = split /\n/, $node->safe_psql($db, q{
		SELECT c.oid::regclass::text
		FROM pg_depend d
		JOIN pg_class c ON c.oid = d.objid AND d.classid = 'pg_class'::regclass
		JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'inval'
		WHERE d.refclassid = 'pg_extension'::regclass AND c.relkind IN ('r', 'v', 'm', 'p')
		UNION ALL VALUES ('pg_settings'), ('pg_stat_activity'), ('pg_db_role_setting')});
	my @leaks;

	foreach my $relation (@relations)
	{
		foreach my $role ('inval_nobody', 'none')
		{
			# A superuser may read his own settings.
			next if $role eq 'none' && $relation !~ /^inval_/;
			my ($status, $output, $error) = $node->psql($db,
				"SET ROLE $role; SELECT t::text FROM $relation t");

			push @leaks, "$relation as $role" if "$output$error" =~ /\Q$password\E/;
		}
	}
	is("@leaks", '', "$name: not in what SQL shows");
	return;
}

1;
