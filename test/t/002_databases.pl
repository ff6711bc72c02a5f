# inval in a cluster's daily life: several databases with Redis databases of
# their own, DROP and CREATE EXTENSION, workers that die and come back and that
# are in nobody's way, and a server that does not preload the library.

use strict;
use warnings;

use Inval::Test;
use PostgreSQL::Test::Utils;
use Test::More;

my $redis = Inval::Redis->new;
my $node = new_node('databases', url => $redis->unix_url(0), extension => 0);
my @databases = ('postgres', 'one', 'two');

sub create_team
{
	my ($where, $db, $delivery) = @_;

	$where->safe_psql($db, qq{
		CREATE TABLE IF NOT EXISTS team (id int, note text);
		TRUNCATE team;
		INSERT INTO team SELECT i, 'x' FROM generate_series(1, 10) i;
		SELECT inval_track('team', 'id', delivery => '$delivery')});
	return;
}

# Each database has the Redis database of its place in the list.
foreach my $number (0 .. $#databases)
{
	my $db = $databases[$number];

	$node->safe_psql('postgres', "CREATE DATABASE $db") if $number > 0;
	$node->safe_psql('postgres',
		"ALTER DATABASE $db SET inval.redis_url = '" . $redis->unix_url($number) . "'");
	$node->safe_psql($db, 'CREATE EXTENSION inval');
	create_team($node, $db, 'commit');
}

my %pid = map { $_ => worker_pid($node, $_) } @databases;
my %distinct = reverse %pid;
is(scalar(keys %distinct), 3, 'each database has a worker of its own');

foreach my $delivery ('commit', 'background')
{
	foreach my $number (0 .. $#databases)
	{
		my $db = $databases[$number];

		create_team($node, $db, $delivery);
		$redis->select_db($_)->cmd('SET', 'team:1', 'cached') foreach 0 .. 2;
		$node->safe_psql($db, "UPDATE team SET note = 'y' WHERE id = 1");
		ok(wait_keys_gone($redis->select_db($number), 'team:1'),
			"$db, $delivery: gone from its Redis database");
		is(join(' ', grep { $redis->select_db($_)->cmd('EXISTS', 'team:1') } 0 .. 2),
			join(' ', grep { $_ != $number } 0 .. 2),
			"$db, $delivery: and from no other");
		ok(wait_queue_empty($node, $db), "$db, $delivery: nothing queued");
	}
}

# A worker that dies comes back by itself.
foreach my $how ('terminated', 'killed')
{
	my $old = worker_pid($node, 'one');

	if ($how eq 'terminated')
	{
		$node->safe_psql('one', "SELECT pg_terminate_backend($old)");
	}
	else
	{
		kill 'KILL', $old;
	}
	ok(poll_query($node, 'one',
			"SELECT worker_pid <> $old FROM inval_target_status WHERE target = 'default'"),
		"a worker that was $how is replaced");
}
$redis->select_db(1)->cmd('SET', 'team:2', 'cached');
$node->safe_psql('one', "UPDATE team SET note = 'z' WHERE id = 2");
ok(wait_keys_gone($redis, 'team:2'), 'and the new one delivers');

# DROP EXTENSION ends the worker; CREATE EXTENSION starts one.
$node->safe_psql('two', 'DROP EXTENSION inval CASCADE');
ok(poll_query($node, 'postgres', q{
		SELECT count(*) = 0 FROM pg_stat_activity
		WHERE datname = 'two' AND pid <> pg_backend_pid()}),
	'no worker without the extension');
$node->safe_psql('two', "UPDATE team SET note = 'free'");
$node->safe_psql('two', 'CREATE EXTENSION inval');
create_team($node, 'two', 'background');
$redis->select_db(2)->cmd('SET', 'team:3', 'cached');
$node->safe_psql('two', "UPDATE team SET note = 'again' WHERE id = 3");
ok(wait_keys_gone($redis, 'team:3'), 'a second CREATE EXTENSION works like the first');
ok(wait_queue_empty($node, 'two'), 'nothing queued');

# A rolled-back DROP EXTENSION changes nothing.
$node->safe_psql('two', 'BEGIN; DROP EXTENSION inval CASCADE; ROLLBACK');
$redis->cmd('SET', 'team:4', 'cached');
$node->safe_psql('two', "UPDATE team SET note = 'still' WHERE id = 4");
ok(wait_keys_gone($redis, 'team:4'), 'a rolled-back DROP EXTENSION changes nothing');

# The worker is in nobody's way, and nobody without the right can end it.
my ($status, $output, $error);
my $kept = worker_pid($node, 'two');

$node->safe_psql('postgres', 'CREATE ROLE somebody LOGIN');
foreach my $command ('DROP DATABASE two', 'ALTER DATABASE two RENAME TO three',
	'CREATE DATABASE three TEMPLATE two')
{
	($status, $output, $error) =
	  $node->psql('postgres', $command, extra_params => [ '-U', 'somebody' ]);
	isnt($status, 0, "somebody cannot $command");
}
$redis->cmd('SET', 'team:4', 'cached');
$node->safe_psql('two', "UPDATE team SET note = 'more' WHERE id = 4");
ok(wait_keys_gone($redis, 'team:4'), 'which leaves the worker at work');
is(worker_pid($node, 'two'), $kept, 'the same one');

($status, $output, $error) =
  $node->psql('postgres', 'CREATE DATABASE copy TEMPLATE two');
is("$status$error", '0', 'a database with inval can be a template');
($status, $output, $error) =
  $node->psql('postgres', 'ALTER DATABASE two RENAME TO renamed');
is("$status$error", '0', 'it can be renamed');
create_team($node, 'renamed', 'background');
$node->safe_psql('postgres',
	"ALTER DATABASE copy SET inval.redis_url = '" . $redis->unix_url(3) . "'");
$redis->select_db(2)->cmd('SET', 'team:5', 'cached');
$node->safe_psql('renamed', "UPDATE team SET note = 'new name' WHERE id = 5");
ok(wait_keys_gone($redis, 'team:5'), 'and delivers under its new name');
ok(worker_pid($node, 'copy'), 'the copy has a worker too');
foreach my $db ('copy', 'renamed', 'one')
{
	($status, $output, $error) = $node->psql('postgres', "DROP DATABASE $db");
	is("$status$error", '0', "database $db can be dropped");
}
no_crash($node, 'no server process crashed', kill9 => 1);
$node->stop;

# Without shared_preload_libraries
$redis->select_db(0)->cmd('FLUSHALL');
my $plain = new_node('plain', preload => 0, url => $redis->unix_url, extension => 0);

($status, $output, $error) = $plain->psql('postgres', 'CREATE EXTENSION inval');
is($status, 0, 'not preloaded: CREATE EXTENSION works');
like($error, qr/WARNING:.*/, 'not preloaded: and warns');
create_team($plain, 'postgres', 'commit');
$redis->cmd('SET', 'team:1', 'cached');
$plain->safe_psql('postgres', "UPDATE team SET note = 'y' WHERE id = 1");
is($redis->cmd('EXISTS', 'team:1'), 0, 'not preloaded: gone at commit');
is(queue_length($plain, 'postgres'), 0, 'not preloaded: nothing queued');

# This empties the outbox, which still has what was confirmed at commit.
$plain->safe_psql('postgres', 'SELECT inval_drain()');
$redis->kill9;
$plain->safe_psql('postgres', "UPDATE team SET note = 'z' WHERE id = $_") foreach 2 .. 4;
is(queue_length($plain, 'postgres'), 3, 'not preloaded: Redis down, the queue keeps');
$plain->restart;
is(queue_length($plain, 'postgres'), 3, 'not preloaded: also through a restart');
$redis->start;
$redis->pipeline(map { [ 'SET', "team:$_", 'cached' ] } 1 .. 5);
is($plain->safe_psql('postgres', 'SELECT inval_drain()'), 3,
	'not preloaded: inval_drain delivers');
is(join(' ', $redis->existing(map { "team:$_" } 1 .. 5)), 'team:1 team:5',
	'not preloaded: exactly what was queued');
is(queue_length($plain, 'postgres'), 0, 'not preloaded: nothing queued');

# Background rules have no worker here, only inval_drain.
create_team($plain, 'postgres', 'background');
$plain->safe_psql('postgres', 'SELECT inval_drain()');
$redis->cmd('SET', 'team:6', 'cached');
$plain->safe_psql('postgres', "UPDATE team SET note = 'b' WHERE id = 6");
is(queue_length($plain, 'postgres'), 1, 'not preloaded: background work waits');
is($plain->safe_psql('postgres', 'SELECT inval_drain()'), 1, 'not preloaded: for inval_drain');
is($redis->cmd('EXISTS', 'team:6'), 0, 'not preloaded: which removes the key');

# With no worker to sweep the outbox, what was confirmed must still not come
# back: neither after many transactions nor after a drain and a restart.  A busy
# machine must not make a commit give up.
$plain->append_conf('postgresql.conf', "inval.commit_timeout = '60s'");
$plain->reload;
create_team($plain, 'postgres', 'commit');
$plain->safe_psql('postgres', 'SELECT inval_drain()');
append_to_file($plain->basedir . '/load.sql',
	"UPDATE team SET note = 'n' WHERE id = :client_id + 1;\n");
$plain->command_ok(
	[ 'pgbench', '-n', '-c', 4, '-t', 5000, '-f', $plain->basedir . '/load.sql',
		$plain->connstr('postgres') ],
	'not preloaded: many commits');
is(queue_length($plain, 'postgres'), 0, 'not preloaded: and nothing queued');
$plain->safe_psql('postgres', 'SELECT inval_drain()');
cmp_ok($plain->safe_psql('postgres', q{
		SELECT sum(pg_total_relation_size(oid)) FROM pg_class
		WHERE relname LIKE 'inval_outbox%' AND relkind IN ('r', 'm')}),
	'<', 256 * 1024, 'not preloaded: inval_drain empties the outbox');
$plain->restart;
is(queue_length($plain, 'postgres'), 0, 'not preloaded: nothing comes back');

# Emptying the outbox keeps no lock, whatever transaction does it.
my $idle = $plain->background_psql('postgres');
$plain->safe_psql('postgres', "UPDATE team SET note = 'l' WHERE id = 1");
$idle->query_safe('BEGIN');
$idle->query_safe('SELECT inval_drain()');
$plain->command_ok(
	[ 'pgbench', '-n', '-c', 4, '-t', 500, '-f', $plain->basedir . '/load.sql',
		$plain->connstr('postgres') . " options='-c lock_timeout=10s'" ],
	'not preloaded: a drain in an idle transaction holds up nobody');
$idle->quit;
no_crash($plain, 'not preloaded: no server process crashed');

done_testing();
