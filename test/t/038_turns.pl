# More databases and targets than workers: they take turns, and nobody waits for
# ever.  Places of targets that were dropped are given back.

use strict;
use warnings;

use Inval::Proxy;
use Inval::Test;
use PostgreSQL::Test::Utils;
use Test::More;

my $redis = Inval::Redis->new(config => { databases => 64 });
my $away = Inval::Redis->new;
my $databases = 12;
my $node = new_node('turns', url => $redis->unix_url, extension => 0,
	init => { allows_streaming => 1 },
	conf => "inval.workers = 2\ninval.max_targets = 20\ninval.commit_timeout = '30ms'\n"
	  . "max_prepared_transactions = 50\n");

sub db
{
	my ($number) = @_;

	return "db$number";
}

sub everywhere
{
	my ($statement) = @_;

	$node->safe_psql(db($_), $statement) foreach 1 .. $databases;
	return;
}

foreach my $number (1 .. $databases)
{
	$node->safe_psql('postgres', 'CREATE DATABASE ' . db($number));
	$node->safe_psql('postgres', 'ALTER DATABASE ' . db($number) .
		" SET inval.redis_url = '" . $redis->unix_url($number) . "'");
	$node->safe_psql(db($number), 'CREATE EXTENSION inval');
	$redis->select_db($number)->cmd('MSET', map { ("$_", 'x') } 'background', 'prepared',
		1 .. 20);
}

sub gone_everywhere
{
	my ($key, $name) = @_;
	my @there;

	ok(poll_until(
			sub {
				@there = grep { $redis->select_db($_)->cmd('EXISTS', $key) } 1 .. $databases;
				return !@there;
			}, "$key to be gone"), $name) or diag("still in: @there");
	return;
}

everywhere("SELECT inval_touch('background', delivery => 'background')");
gone_everywhere('background', 'what each of the databases owes is delivered');
foreach my $round (1 .. 3)
{
	everywhere("SELECT inval_touch('$round', delivery => 'background')");
	gone_everywhere($round, "again, round $round");
}
ok(wait_queue_empty($node, db($_)), db($_) . ': nothing is queued') foreach 1 .. $databases;

# One that always has something to do keeps nobody from having their turn, nor do
# some whose target is away.
$node->safe_psql('postgres', 'ALTER DATABASE ' . db($_) . " SET inval.redis_url = '" .
	$away->unix_url . "'") foreach 1, 2, 3;
$node->restart;
$away->kill9;
append_to_file($node->basedir . '/load.sql',
	"SELECT inval_touch(random()::text, delivery => 'background');\n");
my ($out, $err) = ('', '');
my $load = IPC::Run::start(
	[ 'pgbench', '-n', '-T', 3600, '-f', $node->basedir . '/load.sql', $node->connstr(db(4)) ],
	'>', \$out, '2>', \$err);
everywhere("SELECT inval_touch('10', delivery => 'background')");
my @there;
ok(poll_until(
		sub {
			@there = grep { $redis->select_db($_)->cmd('EXISTS', 10) } 4 .. $databases;
			return !@there;
		}, 'the key to be gone'), 'while one is busy and three are stuck')
  or diag("still in: @there");
$load->kill_kill;
$away->start;
$away->cmd('SET', 10, 'x');
ok(wait_keys_gone($away, 10), 'and those of the target that was away when it is back');
ok(wait_queue_empty($node, db($_)), db($_) . ': nothing is queued') foreach 1 .. $databases;

# What is delivered at commit needs no worker.
my @workers = map { $node->safe_psql($_, 'SELECT count(worker_pid) FROM inval_target_status') }
  map { db($_) } 1 .. $databases;
my $sum = 0;
$sum += $_ foreach @workers;
cmp_ok($sum, '<=', 2, 'no more workers than there may be');
everywhere("SELECT inval_touch('11')");
is(join(' ', grep { $redis->select_db($_)->cmd('EXISTS', 11) } 4 .. $databases), '',
	'at commit each delivers by itself');

# Places: many targets come and go, also while "default" has no worker that could
# have heard of them.
my $db = db(5);

foreach my $number (1 .. 10)
{
	my $url = $redis->unix_url(40);

	ok(poll_until(sub { $node->psql($db, "SELECT inval_add_target('t$number', '$url')") == 0 },
			'a place'), "target $number finds a place") or last;
	$node->safe_psql($db, "SELECT inval_touch('x', target => 't$number')");
	if ($number % 3 == 0)
	{
		my $pid = $node->safe_psql($db,
			"SELECT worker_pid FROM inval_target_status WHERE target = 'default'");

		$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)") if $pid;
	}
	$node->safe_psql($db, "SELECT inval_drop_target('t$number')");
}
ok(poll_until(sub { $node->psql($db, "SELECT inval_add_target('kept', '" .
			$redis->unix_url(40) . "')") == 0 }, 'a place'), 'and one more');
$redis->select_db(40)->cmd('SET', 'kept', 'x');
$node->safe_psql($db, "SELECT inval_touch('kept', target => 'kept', delivery => 'background')");
ok(wait_keys_gone($redis->select_db(40), 'kept'), 'a new target has a worker');
my $error = '';
foreach my $number (1 .. 20)
{
	my ($status, $output, $message) =
	  $node->psql($db, "SELECT inval_add_target('u$number', 'unix:///nowhere')");

	$error = $message;
	last if $status != 0;
}
like($error, qr/too many targets.*Raise inval\.max_targets/s, 'too many are an error');

# A standby that is away is waited for, across turns that are shorter than that; also
# where the target answers so slowly that a turn would be over by then, and where one
# transaction goes on for long, and others that are too many for a worker to hand on.
my $proxy = Inval::Proxy->new($redis);

sub go_on
{
	$node->safe_psql('postgres', join '',
		map { "BEGIN; SELECT pg_current_xact_id(); PREPARE TRANSACTION 'goes on $_';" } @_);
	return;
}

$node->safe_psql('postgres', q{
	SELECT pg_create_physical_replication_slot('away', true);
	ALTER SYSTEM SET inval.repeat_after_replay = on;
	ALTER SYSTEM SET inval.replay_timeout = '1500ms';
	ALTER SYSTEM SET inval.workers = 1;
	ALTER SYSTEM SET inval.connect_timeout = '30s'});
$node->safe_psql('postgres', 'ALTER DATABASE ' . db($_) .
	" SET inval.redis_url = '" . $proxy->url($_) . "'") foreach 6, 7;
reload($node);
go_on(0);
$node->safe_psql(db($_), q{
	SELECT inval_pause();
	SELECT inval_touch('again', delivery => 'background')}) foreach 6, 7;
go_on(1 .. 40);
$proxy->mode('slow 300');
$node->safe_psql(db($_), 'SELECT inval_resume()') foreach 6, 7;
ok(wait_queue_empty($node, db($_)), db($_) . ': what waits for a standby comes to its end')
  foreach 6, 7;
no_crash($node, 'no server process crashed');

done_testing();
