# Sentinels say which server is the master.  Whatever becomes of it (killed,
# frozen, replaced by hand), commits go on and every committed key ends up
# removed from whoever is the master then; sessions learn where that is from the
# worker and need no sentinel.

use strict;
use warnings;

use File::Spec;
use Inval::Test;
use PostgreSQL::Test::Utils;
use Test::More;

my $password = 'M4ster-of-keys';
my @servers = map { Inval::Redis->new(
		password => $password,
		config => { masterauth => $password, 'repl-diskless-sync-delay' => 0 }) } 1 .. 2;
my %server_at = map { $_->port => $_ } @servers;

$servers[1]->cmd('REPLICAOF', '127.0.0.1', $servers[0]->port);

sub new_sentinel
{
	my (%options) = @_;

	return Inval::Redis->new(
		sentinel => 1,
		%options,
		config => {
			'sentinel monitor' => 'keys 127.0.0.1 ' . master()->port . ' 2',
			'sentinel auth-pass' => "keys $password",
			'sentinel down-after-milliseconds' => 'keys 500',
			'sentinel failover-timeout' => 'keys 3000' });
}

# The server that calls itself a master; of several the one the sentinels name.
my @sentinels;

sub master
{
	return $servers[0] unless @sentinels;
	foreach my $sentinel (@sentinels)
	{
		my $answer =
		  eval { $sentinel->cmd('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', 'keys') };

		return $server_at{ $answer->[1] }->reconnect if $answer;
	}
	die 'no sentinel answers';
}

push @sentinels, new_sentinel() foreach 1 .. 3;
my $url = "redis+sentinel://:$password\@"
  . join(',', map { '127.0.0.1:' . $_->port } @sentinels) . '/keys/0';

# A failover needs a replica that follows and sentinels that know each other.
sub all_well
{
	my ($what) = @_;

	ok(poll_until(
			sub {
				my $master = master();
				my ($replica) = grep { $_ != $master } @servers;

				return $master->cmd('ROLE')->[0] eq 'master'
				  && ($replica->reconnect->cmd('ROLE')->[3] // '') eq 'connected'
				  && !grep {
					$_->cmd('SENTINEL', 'CKQUORUM', 'keys') !~ /^OK 3 usable/
					  || @{ $_->cmd('SENTINEL', 'REPLICAS', 'keys') } != 1
				  } @sentinels;
			},
			'replication and sentinels'),
		"$what: a master, its replica and three sentinels");
	return;
}

all_well('before');

my $node = new_node('sentinel', url => $url, 
	# However long replies are waited for, and tries put off: that is for servers
	# that nobody replaces.
	conf => "inval.sweep_interval = '100ms'\n"
	  . "inval.reply_timeout = '10min'\ninval.retry_max = '1h'\n");

$node->safe_psql('postgres', q{
	CREATE TABLE at_commit (id int PRIMARY KEY, n int DEFAULT 0);
	CREATE TABLE in_background (id int PRIMARY KEY, n int DEFAULT 0);
	INSERT INTO at_commit SELECT generate_series(1, 9000);
	INSERT INTO in_background SELECT generate_series(1, 9000);
	SELECT inval_track('at_commit', 'id');
	SELECT inval_track('in_background', 'id', delivery => 'background');
	CREATE SEQUENCE next_id START 1001});
my @tables = ('at_commit', 'in_background');

sub keys_of
{
	my ($from, $to) = @_;

	return map { my $table = $_; map { "$table:$_" } $from .. $to } @tables;
}

# Fills the master's keys, and waits until the replica has them.
sub fill
{
	my $master = master();

	$master->fill("$_:", 1, 9000) foreach @tables;
	$master->cmd('WAIT', 1, 5000);
	return $master;
}

sub at_address
{
	my ($server, $what) = @_;
	my $port = $server->port;

	ok(poll_query($node, 'postgres', q{
			SELECT state || ' ' || address FROM inval_target_status WHERE target = 'default'},
			"up redis://127.0.0.1:$port/0"),
		"$what: the status has the master's address");
	return;
}

sub all_delivered
{
	my ($what, $from, $to) = @_;
	my $master = master();

	ok(wait_queue_empty($node, 'postgres'), "$what: the queue is empty");
	ok(wait_keys_gone($master, keys_of($from, $to)),
		"$what: committed keys are gone from the master");
	is(scalar($master->existing(keys_of(8001, 8100))), 200, "$what: and no others");
	at_address($master, $what);
	return;
}

# Nothing special.  The worker asks the sentinels first, when it starts.
my $master = fill();
at_address($master, 'at first');
$node->safe_psql('postgres', "UPDATE at_commit SET n = n + 1 WHERE id = $_") foreach 1 .. 5;
is(scalar($master->existing(map { "at_commit:$_" } 1 .. 5)), 0, 'keys are gone at COMMIT');
like($node->safe_psql('postgres', 'SHOW inval.redis_url'),
	qr{^redis\+sentinel://:\*+\@127\.0\.0\.1:\d+,127\.0\.0\.1:\d+,127\.0\.0\.1:\d+/keys/0$},
	'the setting is shown, without the password');

append_to_file($node->basedir . '/load.sql', q{
SELECT nextval('next_id') AS id \gset
UPDATE at_commit SET n = n + 1 WHERE id = :id;
UPDATE in_background SET n = n + 1 WHERE id = :id;
\sleep 3 ms
});

# Runs load, does the thing in the midst of it, and ends it when the sentinels
# have made another server the master.
sub fail_over
{
	my ($what, $do) = @_;
	my $old = fill();
	my ($new) = grep { $_ != $old } @servers;
	my ($out, $err) = ('', '');
	my $from = $node->safe_psql('postgres', "SELECT last_value + 1 FROM next_id");
	my $load = IPC::Run::start(
		[ 'pgbench', '-n', '-c', 4, '-t', 400, '-f', $node->basedir . '/load.sql',
			$node->connstr('postgres') ],
		'>', \$out, '2>', \$err);

	select undef, undef, undef, 0.3;
	$do->($old);
	ok(poll_until(sub { $load->pump_nb if $load->pumpable; master() == $new }, 'a failover'),
		"$what: another server is the master");
	ok($load->finish, "$what: no commit failed") or diag($err);
	all_delivered($what, $from,
		$node->safe_psql('postgres', "SELECT last_value FROM next_id"));
	return ($old, $new);
}

my $old;

($old, $master) = fail_over('frozen', sub { shift->freeze });
$old->thaw;
all_well('frozen and thawed');
all_delivered('frozen and thawed', 1001, 1010);

# Somebody has the sentinels change over.  Nothing fails: the old master goes
# on answering for seconds, until it is told, and what it confirms meanwhile is
# lost with it.
my $session = $node->background_psql('postgres');
$session->query_safe('UPDATE at_commit SET n = n + 1 WHERE id = 31');
($old, $master) = fail_over('by hand', sub {
	ok(poll_until(sub { $sentinels[0]->cmd('SENTINEL', 'FAILOVER', 'keys') eq 'OK' },
			'a replica that can take over'),
		'by hand: the sentinels agree');
});
$session->query_safe('UPDATE at_commit SET n = n + 1 WHERE id = 32');
is(scalar($master->reconnect->existing('at_commit:32')), 0,
	'by hand: a session with a connection to the old master delivers to the new one');
$session->quit;
all_well('by hand');

# A master that is none any more, without a word to the sentinels: they put it
# right after a while, and meanwhile it refuses, being read-only.
my ($replica) = grep { $_ != $master } @servers;
$node->safe_psql('postgres', 'SELECT inval_pause()');
$node->safe_psql('postgres', 'UPDATE at_commit SET n = n + 1 WHERE id IN (41, 42)');
$master->cmd('REPLICAOF', '127.0.0.1', $replica->port);
$node->safe_psql('postgres', 'SELECT inval_resume()');
ok(wait_target_state($node, 'postgres', 'down'), 'read-only: the target is down');
ok(poll_query($node, 'postgres', q{
		SELECT last_error ~ 'it is not a master now' FROM inval_target_status}),
	'read-only: and what the sentinels name is checked');
like(slurp_file($node->logfile), qr/is down: READONLY /, 'read-only: with the reason');
# What was confirmed in the last seconds may be owed again, too.
cmp_ok(queue_length($node, 'postgres'), '>=', 2, 'read-only: keys are queued');
$master->cmd('REPLICAOF', 'NO', 'ONE');
all_well('read-only');
ok(wait_queue_empty($node, 'postgres'), 'read-only: the queue is empty');
ok(wait_keys_gone($master, 'at_commit:41', 'at_commit:42'), 'read-only: the keys are gone');

# A password of the sentinel's own, of which the others need not know.
my $sentinel_password = 'Gu4rd-of-keys';
my $guarded = new_sentinel(password => $sentinel_password);
my $file = File::Spec->rel2abs($node->basedir . '/sentinel_password');

set_redis_url($node, sprintf 'redis+sentinel://:%s@127.0.0.1:%d/keys', $password, $guarded->port);
ok(wait_target_state($node, 'postgres', 'down'), 'sentinel with a password: down');
ok(poll_query($node, 'postgres', q{SELECT last_error ~ 'NOAUTH' FROM inval_target_status}),
	'sentinel with a password: with the reason');
append_to_file($file, "$sentinel_password\n");
chmod 0600, $file;
set_redis_url($node, sprintf 'redis+sentinel://:%s@127.0.0.1:%d/keys?sentinelpassfile=%s',
	$password, $guarded->port, $file);
$node->safe_psql('postgres', 'UPDATE at_commit SET n = n + 1 WHERE id = 61');
ok(wait_keys_gone($master, 'at_commit:61'), 'sentinelpassfile: delivered');
at_address($master, 'sentinelpassfile');

# Killed under load.
set_redis_url($node, $url);
ok(wait_target_state($node, 'postgres', 'up'), 'the three again');
$guarded->stop;
($old, $master) = fail_over('killed', sub { shift->kill9 });

# Without a worker a session asks by itself.
# A machine that is busy is no reason to leave keys to inval_drain.
my $alone = new_node('alone', preload => 0, url => $url,
	conf => "inval.commit_timeout = '2s'\n");

$alone->safe_psql('postgres', q{
	CREATE TABLE at_commit (id int PRIMARY KEY, n int DEFAULT 0);
	INSERT INTO at_commit SELECT generate_series(1, 100);
	SELECT inval_track('at_commit', 'id')});
$master->fill('at_commit:', 1, 100);
$alone->safe_psql('postgres', 'UPDATE at_commit SET n = n + 1 WHERE id <= 10');
is(scalar($master->existing(map { "at_commit:$_" } 1 .. 100)), 90,
	'without a worker: gone at COMMIT');

# Sessions need the published address only, and the worker no sentinel while
# the master answers.  (After a pause of more than two seconds a sentinel does
# nothing but answer for half a minute, so no failover comes after this.)
$master->fill('at_commit:', 1, 100);
$master->fill('in_background:', 11, 11);
$_->freeze foreach @sentinels;
foreach my $id (11 .. 20)
{
	$node->safe_psql('postgres', "UPDATE at_commit SET n = n + 1 WHERE id = $id");
}
is(scalar($master->existing(map { "at_commit:$_" } 11 .. 20)), 0,
	'no sentinel answers: new sessions deliver at COMMIT');
$node->safe_psql('postgres', "UPDATE in_background SET n = n + 1 WHERE id = 11");
ok(wait_keys_gone($master, 'in_background:11'), 'no sentinel answers: the worker delivers');
ok(wait_target_state($node, 'postgres', 'up'), 'no sentinel answers: the target is up');
$_->thaw foreach @sentinels;

# What they answer is not kept: they are asked twice a second for as long as a worker lives, by a
# new connection each time.
sub questions
{
	my $sum = 0;

	foreach my $sentinel (@sentinels)
	{
		$sum += $1 if $sentinel->cmd('INFO', 'stats') =~ /^total_connections_received:(\d+)/m;
	}
	return $sum;
}

# Bytes that the worker holds by itself, outside of any smaller context.
sub held
{
	my $worker = worker_pid($node, 'postgres');
	my $before = -s $node->logfile;
	my $held;

	$node->safe_psql('postgres', "SELECT pg_log_backend_memory_contexts($worker)");
	poll_until(
		sub {
			my $log = slurp_file($node->logfile, $before);

			return $log =~ /Grand total/ && (($held) = $log =~ /TopMemoryContext: .* (\d+) used/);
		},
		'memory contexts');
	return $held;
}

ok(wait_queue_empty($node, 'postgres'), 'all is delivered');
my $asked = questions();
poll_until(sub { questions() >= $asked + 2 }, 'the worker to ask');
my ($first, $held) = (questions(), held());
poll_until(sub { questions() >= $first + 6 }, 'the worker to ask again and again');
cmp_ok(held() - $held, '<', 6 * 50, 'what sentinels answer is not kept');

# The server starts while no sentinel can be reached.
$master->fill('at_commit:', 1, 100);
$_->freeze foreach @sentinels;
$node->restart;
$node->safe_psql('postgres', 'UPDATE at_commit SET n = n + 1 WHERE id IN (51, 52)');
ok(poll_query($node, 'postgres', q{
		SELECT state = 'down' AND last_error LIKE 'sentinel 127.0.0.1:%' FROM inval_target_status}),
	'no sentinel at start: the target is down, and the reason is theirs');
# With pauses that double to the hour that is allowed here, this would take minutes.
ok(poll_query($node, 'postgres', 'SELECT attempts >= 11 FROM inval_target_status'),
	'no sentinel at start: it is asked for often all the same');
$_->thaw foreach @sentinels;
ok(wait_keys_gone($master, 'at_commit:51', 'at_commit:52'), 'sentinels are back: the keys are gone');
ok(wait_queue_empty($node, 'postgres'), 'sentinels are back: the queue is empty');

password_hidden($node, 'postgres', $password, 'the password');
no_crash($node, 'no server process crashed');

done_testing();
