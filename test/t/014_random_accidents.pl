# Accidents at random moments under load: backends, workers, the server and Redis
# are killed, stopped and frozen while clients commit.  Whatever the moment, a
# row that is changed in the end has lost its key, and a row that is not has kept
# it.
#
# INVAL_SEED chooses the same accidents again (not the same moments),
# INVAL_ROUNDS makes it longer.

use strict;
use warnings;

use Inval::Test;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = defined $ENV{INVAL_SEED} ? $ENV{INVAL_SEED} : int(rand 2**31);
my $rounds = $ENV{INVAL_ROUNDS} || 5;
my $rows = 50_000;
# What Redis has confirmed must survive its own death here.
my $redis = Inval::Redis->new(
	config => { appendonly => 'yes', appendfsync => 'always' });
my $node = new_node('accidents', url => $redis->unix_url);
my @tables = ('at_commit', 'in_background', 'rolled_back');
my $frozen = 0;
my @happened;

diag("INVAL_SEED=$seed") if defined $ENV{INVAL_SEED};
note("INVAL_SEED=$seed");
srand $seed;

foreach my $table (@tables)
{
	my $delivery = $table eq 'in_background' ? 'background' : 'commit';

	$node->safe_psql('postgres', qq{
		CREATE TABLE $table (id int PRIMARY KEY, n int DEFAULT 0)
			WITH (fillfactor = 50);
		INSERT INTO $table SELECT generate_series(1, $rows);
		SELECT inval_track('$table', 'id', delivery => '$delivery')});
	$redis->fill("$table:", 1, $rows);
}
$node->safe_psql('postgres', "CREATE SEQUENCE next_id CACHE 1; CHECKPOINT");
append_to_file($node->basedir . '/load.sql', q{
SELECT nextval('next_id') AS id \gset
UPDATE at_commit SET n = n + 1 WHERE id = :id;
UPDATE in_background SET n = n + 1 WHERE id = :id;
BEGIN;
UPDATE rolled_back SET n = n + 1 WHERE id = :id;
UPDATE at_commit SET n = n + 1 WHERE id = :id + 1;
ROLLBACK;
BEGIN;
SAVEPOINT a;
UPDATE rolled_back SET n = n + 1 WHERE id = :id;
ROLLBACK TO a;
UPDATE in_background SET n = n + 1 WHERE id = :id;
COMMIT;
});

sub random_backend
{
	my ($type) = @_;

	return eval {
		$node->safe_psql('postgres', qq{
			SELECT pid FROM pg_stat_activity
			WHERE backend_type = '$type' AND pid <> pg_backend_pid()
			ORDER BY random() LIMIT 1});
	};
}

my %accident = (
	'kill -9 of a backend' => sub {
		my $pid = random_backend('client backend');

		kill 'KILL', $pid if $pid;
	},
	'a backend is terminated' => sub {
		my $pid = random_backend('client backend');

		kill 'TERM', $pid if $pid;
	},
	'kill -9 of the worker' => sub {
		my $pid = random_backend('inval worker');

		kill 'KILL', $pid if $pid;
	},
	'the worker is terminated' => sub {
		my $pid = random_backend('inval worker');

		kill 'TERM', $pid if $pid;
	},
	'immediate shutdown' => sub {
		$node->stop('immediate');
		$node->start;
	},
	'fast restart' => sub {
		$node->restart;
	},
	'Redis freezes' => sub {
		$redis->freeze;
		$frozen = 1;
	},
	'kill -9 of Redis' => sub {
		$redis->kill9;
		$redis->start;
		$frozen = 0;
	},
	'CLIENT KILL' => sub {
		eval { $redis->cmd('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes') }
		  unless $frozen;
	});

sub start_load
{
	my ($out, $err) = ('', '');

	return IPC::Run::start(
		[ 'pgbench', '-n', '-c', 4, '-T', 3600, '-f', $node->basedir . '/load.sql',
			$node->connstr('postgres') ],
		'>', \$out, '2>', \$err);
}

foreach my $round (1 .. $rounds)
{
	my $load = start_load();

	foreach (1 .. 4)
	{
		my $name = (sort keys %accident)[ int(rand keys %accident) ];

		# Not a wait for anything: the moment is to be a random one.
		select undef, undef, undef, 0.05 + rand 0.3;
		push @happened, $name;
		$accident{$name}->();
		if ($frozen && rand() < 0.5)
		{
			select undef, undef, undef, rand 0.3;
			$redis->thaw;
			$frozen = 0;
		}
		# Clients do not survive every accident: start others.
		ok(poll_query($node, 'postgres', 'SELECT true'), "round $round: $name");
		$load->pump_nb if $load->pumpable;
		if (!$load->pumpable)
		{
			eval { $load->finish };
			$load = start_load();
		}
	}
	$redis->thaw;
	$frozen = 0;
	eval { $load->kill_kill };
	ok(poll_query($node, 'postgres', q{
			SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'pgbench'}),
		"round $round: the clients are gone");
	ok(wait_queue_empty($node, 'postgres'), "round $round: the queue drains");
}
note("accidents: @happened");

my $changed = 0;
foreach my $table (@tables)
{
	my %n = map { split /\|/ } split /\n/,
	  $node->safe_psql('postgres', "SELECT id, n FROM $table");
	my %there = map { $_ => 1 } $redis->existing(map { "$table:$_" } 1 .. $rows);
	my @stale = grep { $n{$_} && $there{"$table:$_"} } 1 .. $rows;
	my @lost = grep { !$n{$_} && !$there{"$table:$_"} } 1 .. $rows;

	$changed += grep { $_ } values %n;
	is("@stale", '', "$table: no changed row has kept its key");
	is("@lost", '', "$table: no unchanged row has lost its key");
}
note("$changed rows were changed");
cmp_ok($changed, '>', 100, 'there was something to lose');
no_crash($node, 'nothing crashed but what was killed', kill9 => 1);
diag("INVAL_SEED=$seed, accidents: @happened")
  unless PostgreSQL::Test::Utils::all_tests_passing();

done_testing();
