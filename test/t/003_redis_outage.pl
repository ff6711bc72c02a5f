# Redis stops, dies, restarts and drops its clients.  Commits go on, what they
# changed is queued, the target's state says so, and all of it is delivered once
# Redis is back: nothing lost, nothing removed that was not changed.

use strict;
use warnings;

use Inval::Test;
use PostgreSQL::Test::Utils;
use Test::More;

my $redis = Inval::Redis->new;
my $node = new_node('outage', url => $redis->unix_url,
	conf => "inval.sweep_interval = '10ms'\n");

$node->safe_psql('postgres', q{
	CREATE TABLE at_commit (id int PRIMARY KEY, n int DEFAULT 0);
	CREATE TABLE in_background (id int PRIMARY KEY, n int DEFAULT 0);
	INSERT INTO at_commit SELECT generate_series(1, 2000);
	INSERT INTO in_background SELECT generate_series(1, 2000);
	SELECT inval_track('at_commit', 'id');
	SELECT inval_track('in_background', 'id', delivery => 'background');
});
my @tables = ('at_commit', 'in_background');

sub keys_of
{
	my ($from, $to) = @_;

	return map { my $table = $_; map { "$table:$_" } $from .. $to } @tables;
}

# One transaction for each id in each table, and some that roll back.
sub update_rows
{
	my ($from, $to) = @_;
	my $sql = '';

	foreach my $id ($from .. $to)
	{
		$sql .= "UPDATE $_ SET n = n + 1 WHERE id = $id;\n" foreach @tables;
		$sql .= "BEGIN; UPDATE $_ SET n = n + 1 WHERE id = $id + 1000; ROLLBACK;\n"
		  foreach @tables;
	}
	$node->safe_psql('postgres', $sql);
	return;
}

# What must be true after each outage.
sub all_delivered
{
	my ($what, $from, $to) = @_;

	ok(wait_keys_gone($redis, keys_of($from, $to)), "$what: committed keys are gone");
	ok(wait_queue_empty($node, 'postgres'), "$what: the queue is empty");
	is(scalar($redis->existing(keys_of($from + 1000, $to + 1000))),
		2 * ($to - $from + 1), "$what: rolled-back keys are not gone");
	ok(wait_target_state($node, 'postgres', 'up'), "$what: the target is up");
	return;
}

$redis->fill("$_:", 1, 2000) foreach @tables;
update_rows(1, 5);
all_delivered('before', 1, 5);

# Frozen: connections stand, answers do not come.
$redis->freeze;
update_rows(11, 60);
is($node->safe_psql('postgres', 'SELECT count(*), count(DISTINCT key) FROM inval_queue'),
	'100|100', 'frozen: commits succeed and every key is queued');
is($node->safe_psql('postgres', q{
		SELECT count(*) FROM inval_queue
		WHERE action <> 'delete' OR target <> 'default' OR rule IS NULL OR queued_at IS NULL
			OR key !~ '^(at_commit|in_background):[0-9]+$'}),
	0, 'frozen: the queue says what it holds');
ok(wait_target_state($node, 'postgres', 'down'), 'frozen: the target is down');
ok(poll_query($node, 'postgres',
		"SELECT last_error <> '' FROM inval_target_status WHERE target = 'default'"),
	'frozen: with a reason');
ok(poll_query($node, 'postgres',
		"SELECT queue_depth = 100 FROM inval_target_status WHERE target = 'default'"),
	'frozen: and the depth of its queue');
$redis->thaw;
all_delivered('thawed', 11, 60);

# Killed.  SAVE first, so that it comes back with the keys it had.
$redis->cmd('SAVE');
$redis->kill9;
update_rows(101, 150);
is(queue_length($node, 'postgres'), 100, 'killed: every key is queued');
ok(wait_target_state($node, 'postgres', 'down'), 'killed: the target is down');
$redis->start;
all_delivered('started', 101, 150);

# Restarted between two commits: no session may trip over its old connection.
my $session = $node->background_psql('postgres');
$session->query_safe('UPDATE at_commit SET n = n + 1 WHERE id = 201');
$redis->cmd('SAVE');
$redis->restart;
$session->query_safe('UPDATE at_commit SET n = n + 1 WHERE id = 202');
$session->query_safe('UPDATE at_commit SET n = n + 1 WHERE id = 203');
ok(wait_keys_gone($redis, 'at_commit:202', 'at_commit:203'),
	'restarted: a session with an old connection delivers');
ok(wait_queue_empty($node, 'postgres'), 'restarted: the queue is empty');

# The same for a connection that Redis closes.
$redis->cmd('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
$session->query_safe('UPDATE at_commit SET n = n + 1 WHERE id = 204');
ok(wait_keys_gone($redis, 'at_commit:204'), 'CLIENT KILL: a session delivers');
$session->quit;
ok(wait_target_state($node, 'postgres', 'up'), 'CLIENT KILL: the target is up');

# Every client killed again and again under load.
append_to_file($node->basedir . '/load.sql', q{
SELECT nextval('next_id') AS id \gset
UPDATE at_commit SET n = n + 1 WHERE id = :id;
UPDATE in_background SET n = n + 1 WHERE id = :id;
});
$node->safe_psql('postgres', 'CREATE SEQUENCE next_id START 301');
my ($out, $err) = ('', '');
my $load = IPC::Run::start(
	[ 'pgbench', '-n', '-c', 4, '-t', 100, '-f', $node->basedir . '/load.sql',
		$node->connstr('postgres') ],
	'>', \$out, '2>', \$err);
while ($load->pumpable)
{
	eval { $redis->cmd('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes') };
	$load->pump_nb;
	select undef, undef, undef, 0.01;
}
ok($load->finish, "CLIENT KILL under load: no commit failed") or diag($err);
ok(wait_keys_gone($redis, keys_of(301, 700)), 'CLIENT KILL under load: all keys are gone');
ok(wait_queue_empty($node, 'postgres'), 'CLIENT KILL under load: the queue is empty');

# Frozen and thawed again and again under load.
$node->safe_psql('postgres', "SELECT setval('next_id', 700)");
$load = IPC::Run::start(
	[ 'pgbench', '-n', '-c', 4, '-t', 70, '-f', $node->basedir . '/load.sql',
		$node->connstr('postgres') ],
	'>', \$out, '2>', \$err);
while ($load->pumpable)
{
	$redis->freeze;
	select undef, undef, undef, 0.15;
	$redis->thaw;
	$load->pump_nb;
	select undef, undef, undef, 0.05;
}
$redis->thaw;
ok($load->finish, 'freezing under load: no commit failed') or diag($err);
ok(wait_keys_gone($redis, keys_of(701, 980)), 'freezing under load: all keys are gone');
ok(wait_queue_empty($node, 'postgres'), 'freezing under load: the queue is empty');
ok(wait_target_state($node, 'postgres', 'up'), 'freezing under load: the target is up');

# PostgreSQL starts while Redis is away.
$redis->fill("$_:", 1, 2000) foreach @tables;
$redis->cmd('SAVE');
$redis->kill9;
$node->restart;
update_rows(1, 20);
# What was confirmed shortly before the restart may be queued again: what Redis
# has confirmed is known in memory until the outbox is emptied.
is($node->safe_psql('postgres', q{
		SELECT count(DISTINCT key) FROM inval_queue
		WHERE key ~ '^(at_commit|in_background):([1-9]|1[0-9]|20)$'}),
	40, 'started without Redis: every key is queued');
ok(wait_target_state($node, 'postgres', 'down'), 'started without Redis: the target is down');
$redis->start;
all_delivered('Redis started later', 1, 20);

# Slow is a kind of down: each answer comes within the time that a commit has,
# and takes more than half of it.
{
	my $proxy = Inval::Proxy->new($redis);

	$node->append_conf('postgresql.conf', "inval.commit_timeout = '2s'");
	set_redis_url($node, $proxy->url);
	ok(wait_target_state($node, 'postgres', 'up'), 'slow: up');
	update_rows(21, 22);
	all_delivered('slow: before', 21, 22);
	$proxy->mode('slow 1100');
	$node->safe_psql('postgres', "UPDATE at_commit SET n = n + 1 WHERE id = $_")
	  foreach 31 .. 35;
	is($node->safe_psql('postgres', 'SELECT state FROM inval_target_status'), 'down',
		'slow: after a few such answers it is down');
	ok(poll_query($node, 'postgres', q{
			SELECT last_error ~ 'more than half of inval.commit_timeout'
			FROM inval_target_status}),
		'slow: and says why');
	update_rows(41, 42);
	ok(wait_keys_gone($redis, keys_of(41, 42)), 'slow: the worker delivers all the same');
	is($node->safe_psql('postgres', 'SELECT state FROM inval_target_status'), 'down',
		'slow: which does not make it up');
	$proxy->mode('pass');
	ok(wait_target_state($node, 'postgres', 'up'), 'fast again: up');
	update_rows(51, 52);
	all_delivered('fast again', 51, 52);
}
no_crash($node, 'no server process crashed');

done_testing();
