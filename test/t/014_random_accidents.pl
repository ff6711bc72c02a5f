# Accidents at random moments under load: backends, workers, the server and Redis
# are killed, stopped and frozen while clients commit, to one target and to two,
# one of which has a rate and is paused now and then, and to one whose master is
# replaced; and operators drain, drop and vacuum what they should not.  Whatever the moment, a row that is changed in
# the end has lost its key, and a row that is not has kept it.
#
# INVAL_SEED chooses the same accidents again (not the same moments),
# INVAL_ROUNDS makes it longer.

use strict;
use warnings;

use Inval::Sentinels;
use Inval::Test;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = defined $ENV{INVAL_SEED} ? $ENV{INVAL_SEED} : int(rand 2**31);
my $rounds = $ENV{INVAL_ROUNDS} || 3;
my $rows = 50_000;
# What Redis has confirmed must survive its own death here.
my $redis = Inval::Redis->new(
	config => { appendonly => 'yes', appendfsync => 'always' });
my $node = new_node('accidents', url => $redis->unix_url);
my $set = Inval::Sentinels->new;
my @tables = ('at_commit', 'in_background', 'rolled_back', 'twice', 'sized', 'watched');
# Few rows, with keys of every length there can be
my $sizes = $rows / 25;
my $frozen = 0;
my @happened;

diag("INVAL_SEED=$seed") if defined $ENV{INVAL_SEED};
note("INVAL_SEED=$seed");
srand $seed;

sub rows_of
{
	my ($table) = @_;

	return $table eq 'sized' ? $sizes : $rows;
}

sub key_of
{
	my ($table, $id) = @_;

	return "$table:$id" . ($table eq 'sized' ? ':' . 'x' x ($id * 37 % 7480) : '');
}

# The servers and databases that have a table's keys.  The second target is another
# database of the same Redis.
sub places_of
{
	my ($table) = @_;

	return [ $set->master, 0 ] if $table eq 'watched';
	return map { [ $redis, $_ ] } $table eq 'twice' ? (0, 1) : $table eq 'sized' ? (1) : (0);
}

ok(poll_until(sub { $set->is_well }, 'a master and its replica'), 'sentinels watch');
$node->safe_psql('postgres', "SELECT inval_add_target('watched', '" . $set->url . "')");
$node->safe_psql('postgres',
	"SELECT inval_add_target('second', '" . $redis->unix_url(1) . "', max_rate => 5000)");
foreach my $table (@tables)
{
	my $delivery = $table eq 'in_background' || $table eq 'sized' ? 'background' : 'commit';
	my $count = rows_of($table);
	my $key = $table eq 'sized' ? "sized:{id}:{name}" : "$table:{id}";
	my $targets = { twice => '{default,second}', sized => '{second}',
		watched => '{watched}' }->{$table} || '{default}';

	$node->safe_psql('postgres', qq{
		CREATE TABLE $table (id int PRIMARY KEY, n int DEFAULT 0, name text)
			WITH (fillfactor = 50);
		INSERT INTO $table SELECT i, 0, CASE '$table' WHEN 'sized' THEN repeat('x', i * 37 % 7480) END
			FROM generate_series(1, $count) i;
		SELECT inval_track('$table', key => '$key', delivery => '$delivery',
			targets => '$targets')});
	foreach my $place (places_of($table))
	{
		my ($server, $db) = @$place;

		$server->select_db($db);
		if ($table eq 'sized')
		{
			$server->cmd('SET', key_of($table, $_), 'x') foreach 1 .. $count;
		}
		else
		{
			$server->fill("$table:", 1, $count);
		}
	}
}
$redis->select_db(0);
is($set->master->cmd('WAIT', 1, 60_000), 1, 'the replica has all keys');
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
UPDATE twice SET n = n + 1 WHERE id = :id;
UPDATE sized SET n = n + 1 WHERE id = :id / 25;
UPDATE watched SET n = n + 1 WHERE id = :id;
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
	'a drain is cancelled' => sub {
		$node->psql('postgres',
			"SET statement_timeout = '200ms'; SELECT inval_drain('1 min')");
	},
	'a drain is rolled back' => sub {
		$node->psql('postgres', "BEGIN; SELECT inval_drain('300ms'); ROLLBACK");
	},
	'a drop is rolled back' => sub {
		$node->psql('postgres', q{
			SET lock_timeout = '1s';
			BEGIN;
			SELECT inval_untrack('twice'), inval_untrack('sized');
			SELECT inval_drop_target('second');
			SELECT inval_drain('200ms');
			ROLLBACK});
	},
	'VACUUM FULL of the outbox' => sub {
		my $table = 'inval_outbox_' . int(rand 9);

		$node->psql('postgres', "SET statement_timeout = '2s'; VACUUM FULL $table");
	},
	'a target is paused' => sub {
		$node->psql('postgres', "SELECT inval_pause('second')");
	},
	'a target is resumed' => sub {
		$node->psql('postgres', "SELECT inval_resume('second')");
	},
	'a failover' => sub {
		# Sentinels promote what was a master just before, although it knows less.
		eval { ($set->sentinels)[0]->cmd('SENTINEL', 'FAILOVER', 'keys') } if $set->is_well;
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
	$node->safe_psql('postgres', "SELECT inval_resume('second')");
	ok(wait_queue_empty($node, 'postgres'), "round $round: the queue drains");
}
note("accidents: @happened");

my $changed = 0;
foreach my $table (@tables)
{
	my %n = map { split /\|/ } split /\n/,
	  $node->safe_psql('postgres', "SELECT id, n FROM $table");
	my @ids = 1 .. rows_of($table);

	foreach my $place (places_of($table))
	{
		my ($server, $db) = @$place;
		my %there = map { $_ => 1 }
		  $server->select_db($db)->existing(map { key_of($table, $_) } @ids);
		my @stale = grep { $n{$_} && $there{ key_of($table, $_) } } @ids;
		my @lost = grep { !$n{$_} && !$there{ key_of($table, $_) } } @ids;

		is("@stale", '', "$table, $db: no changed row has kept its key");
		is("@lost", '', "$table, $db: no unchanged row has lost its key");
	}
	$changed += grep { $_ } values %n;
}
note("$changed rows were changed");
cmp_ok($changed, '>', 100, 'there was something to lose');
no_crash($node, 'nothing crashed but what was killed', kill9 => 1);
diag("INVAL_SEED=$seed, accidents: @happened")
  unless PostgreSQL::Test::Utils::all_tests_passing();

done_testing();
