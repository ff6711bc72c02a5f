# Whoever is at the other end: COMMIT ends, and can be cancelled, no key is lost, and
# none is called confirmed that is still there; and he costs no memory.

use strict;
use warnings;

use Inval::Peer;
use Inval::Test;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $many = 5000;

# How long a COMMIT may take, in s: many times its timeout of 100 ms, and far from
# what these peers are ready to spend.
my $bound = 5;

my @peers = (
	[ 'silent' => 'silent' ],
	[ 'deaf' => 'deaf' ],
	[ 'dripping' => 'drip' ],
	[ 'garbage' => 'answer HTTP/1.1 400 Bad Request\r\n\r\n' ],
	[ 'a bomb of length' => 'flood $9000000000\r\n' ],
	[ 'a number without end' => 'flood :' ],
	[ 'a list of too much' => 'answer *2147483647\r\n' ],
	[ 'a list' => 'answer *1\r\n:1\r\n' ],
	[ 'a push' => 'answer >2\r\n+invalidate\r\n:1\r\n' ],
	[ 'true' => 'answer #t\r\n' ],
	[ 'a map' => 'answer %1\r\n+a\r\n:1\r\n' ],
	[ 'null' => 'answer _\r\n' ],
	[ 'nil' => 'answer $-1\r\n' ],
	[ 'OK' => 'answer +OK\r\n' ],
	[ 'a text' => 'answer $1\r\n1\r\n' ],
	[ 'too large a number' => 'answer :65\r\n' ],
	[ 'a negative number' => 'answer :-1\r\n' ],
	[ 'duplicate replies' => 'duplicate' ],
	[ 'surplus replies' => 'surplus' ],
	[ 'swapped replies' => 'swap' ],
	[ 'a reset' => 'reset' ],
	[ 'half closed' => 'half' ]);

my $redis = Inval::Redis->new;
my $peer = Inval::Peer->new($redis);
my $node = new_node('hostile', url => $peer->url,
	conf => "inval.sweep_interval = '50ms'\ninval.retry_max = '200ms'\n");

$node->safe_psql('postgres', qq{
	CREATE TABLE team (id int PRIMARY KEY, n int DEFAULT 0);
	INSERT INTO team SELECT generate_series(1, $many);
	SELECT inval_track('team', 'id')});

my $session;

sub keys_of { return map { "team:$_" } 1 .. $_[0]; }

# The bytes of memory that a process has had at most
sub peak_memory
{
	my ($pid) = @_;

	return slurp_file("/proc/$pid/status") =~ /^VmHWM:\s+(\d+) kB/m && $1 * 1024;
}

# How long COMMIT takes, in s, of a change of so many rows
sub commit_takes
{
	my ($count) = @_;
	my $start;

	$session->query_safe("BEGIN; UPDATE team SET n = n + 1 WHERE id <= $count");
	$start = time;
	$session->query_safe('COMMIT');
	return time - $start;
}

# Keys that are there still, and that nobody owes
sub forgotten
{
	my ($count) = @_;
	my @there = $redis->existing(keys_of($count));
	my %owed = map { $_ => 1 } split /\n/, $node->safe_psql('postgres', 'SELECT key FROM inval_queue');
	my @suspects = grep { !$owed{$_} } @there;

	# One that was delivered meanwhile is not there any more.
	return @suspects ? $redis->existing(@suspects) : ();
}

sub is_well
{
	my ($what, $count) = @_;

	$peer->mode('pass');
	ok(wait_keys_gone($redis, keys_of($count)), "$what: no key is lost");
	ok(wait_queue_empty($node, 'postgres'), "$what: nothing is owed in the end");
	return;
}

# It lives for as long as the test does.
$session = $node->background_psql('postgres',
	timeout => 10 * $PostgreSQL::Test::Utils::timeout_default);
my $pid = $session->query_safe('SELECT pg_backend_pid()');
commit_takes($many);
is_well('before', $many);
my $worker = worker_pid($node, 'postgres');
my %memory = map { $_ => peak_memory($_) } $pid, $worker;

foreach my $count (1, $many)
{
	foreach (@peers)
	{
		my ($what, $mode) = @$_;
		$what .= $count > 1 ? ", $count keys" : '';

		ok(wait_target_state($node, 'postgres', 'up'), "$what: up before");
		$redis->fill('team:', 1, $count);
		$peer->mode($mode);
		my $took = commit_takes($count);
		note(sprintf '%s: COMMIT took %.0f ms', $what, 1000 * $took);
		cmp_ok($took, '<', $bound, "$what: COMMIT ends");
		is(join(' ', forgotten($count)), '', "$what: no key counts as gone that is there");
		is_well($what, $count);
	}
}

is(worker_pid($node, 'postgres'), $worker, 'the worker is the same as before');
cmp_ok(peak_memory($_) - $memory{$_}, '<', 40 * 1024 * 1024, 'memory is bounded')
  foreach $pid, $worker;

# A network that forgets connections while they idle, and lets new ones through:
# nobody is late for that, and nobody is called down.
{
	my @sessions = map { $node->background_psql('postgres') } 1 .. 4;

	ok(wait_target_state($node, 'postgres', 'up'), 'black hole: up before');
	$_->query_safe('UPDATE team SET n = n + 1 WHERE id = 1') foreach @sessions;
	my $downs = times_logged($node, 'is down');
	my $by_worker = 'SELECT sum(delivered_by_worker) FROM inval_stats WHERE rule IS NOT NULL';
	# The worker must know, too, that a commit may take longer.
	$node->safe_psql('postgres', $_)
	  foreach "ALTER SYSTEM SET inval.commit_timeout = '10s'", 'SELECT pg_reload_conf()';
	$sessions[0]->query_safe('SELECT pg_sleep(5.5)');
	$redis->fill('team:', 1, 4);
	$peer->mode('black hole');
	my $before = $node->safe_psql('postgres', $by_worker);
	foreach my $i (1 .. 4)
	{
		$sessions[ $i - 1 ]->query_safe("UPDATE team SET n = n + 1 WHERE id = $i");
		is(scalar($redis->existing("team:$i")), 0, "black hole: session $i delivers at commit");
	}
	is($node->safe_psql('postgres', $by_worker), $before, 'black hole: nothing is left to the worker');
	is(times_logged($node, 'is down'), $downs, 'black hole: nobody is called down');
	$_->quit foreach @sessions;
	$node->safe_psql('postgres', $_)
	  foreach 'ALTER SYSTEM RESET inval.commit_timeout', 'SELECT pg_reload_conf()';
	is_well('black hole', 4);
}

# Who waits for long can be cancelled, and the server be stopped.
sub start_update
{
	my ($url) = @_;
	my $waiting = $node->background_psql('postgres', on_error_stop => 0);
	my $waiting_pid = $waiting->query_safe('SELECT pg_backend_pid()');

	$waiting->query_safe("SET inval.commit_timeout = '60s'");
	$waiting->query_until(qr/sent/, "\\echo sent\nUPDATE team SET n = n + 1 WHERE id = 1;\n");
	return ($waiting, $waiting_pid);
}

my $tls_url = $peer->url =~ s/^redis/rediss/r;
my $has_tls = $node->psql('postgres', "SELECT inval_add_target('tls', '$tls_url')") == 0;
$node->safe_psql('postgres', "SELECT inval_drop_target('tls')") if $has_tls;

foreach my $mode ('deaf', $has_tls ? 'hello' : ())
{
	$peer->mode($mode);
	set_redis_url($node, $mode eq 'hello' ? $tls_url : $peer->url);
	# Without a worker, which would find out first
	$node->safe_psql('postgres', "ALTER SYSTEM SET inval.workers = 0");
	$node->restart;
	my $start = time;
	$node->safe_psql('postgres', 'UPDATE team SET n = n + 1 WHERE id = 2');
	cmp_ok(time - $start, '<', $bound, "$mode: COMMIT of a new session ends");

	my ($waiting, $waiting_pid) = start_update();
	ok(poll_query($node, 'postgres', qq{
			SELECT count(*) FROM pg_stat_activity
			WHERE pid = $waiting_pid AND wait_event_type = 'Extension' AND query LIKE 'UPDATE%'},
			1),
		"$mode: a session waits")
	  if $mode eq 'deaf';
	is($node->safe_psql('postgres', "SELECT pg_cancel_backend($waiting_pid)"), 't',
		"$mode: is cancelled");
	ok(poll_query($node, 'postgres', qq{
			SELECT count(*) FROM pg_stat_activity WHERE pid = $waiting_pid AND state = 'active'},
			0),
		"$mode: and ends");
	abandon($waiting);

	$node->safe_psql('postgres', 'ALTER SYSTEM RESET inval.workers');
	$node->restart;
	ok(wait_target_state($node, 'postgres', 'down'), "$mode: the worker finds it down");
	$node->stop('fast');
	ok(1, "$mode: the server stops");
	$node->start;
}
set_redis_url($node, $peer->url);
is_well('in the end', $many);

# Who does not tell of himself keeps nobody waiting, and is not called down for it.
$node->safe_psql('postgres', "ALTER SYSTEM SET inval.reply_timeout = '10min'");
foreach my $mode ('silent', 'flood $9000000000\r\n', 'answer *1\r\n:1\r\n', 'reset', 'half')
{
	my $downs = times_logged($node, 'is down');

	$peer->mode("only info $mode");
	$node->restart;
	foreach my $id (1 .. 3)
	{
		$redis->fill('team:', $id, $id);
		$node->safe_psql('postgres', "SET inval.commit_timeout = 0; UPDATE team SET n = n + 1 WHERE id = $id");
		ok(wait_keys_gone($redis, "team:$id"), "nothing is told, $mode: key $id goes all the same");
	}
	is(times_logged($node, 'is down'), $downs, "nothing is told, $mode: nobody is called down");
}
$node->safe_psql('postgres', 'ALTER SYSTEM RESET inval.reply_timeout');
reload($node);
is_well('nothing is told', 3);
no_crash($node, 'no server process crashed');
done_testing();
