# What an operator does by hand: pausing and resuming a target, invalidating one
# key, draining the queue in a session, and looking before tracking.

use strict;
use warnings;

use Inval::Test;
use PostgreSQL::Test::Utils;
use Test::More;

my $redis = Inval::Redis->new;
my $node = new_node('operating', url => $redis->unix_url);

sub sql
{
	my ($statement) = @_;

	return $node->safe_psql('postgres', $statement);
}

sql(q{
	CREATE TABLE team (id int PRIMARY KEY, n int DEFAULT 0);
	INSERT INTO team SELECT generate_series(1, 100);
	SELECT inval_track('team', 'id')});
$redis->fill('team:', 1, 100);

# Pause: commits queue and send nothing.
sql('SELECT inval_pause()');
ok(wait_target_state($node, 'postgres', 'paused'), 'paused');
sql("UPDATE team SET n = 1 WHERE id = $_") foreach 1 .. 10;
is(queue_length($node, 'postgres'), 10, 'paused: changes are queued');
is(scalar($redis->existing(map { "team:$_" } 1 .. 10)), 10, 'paused: nothing is sent');
is($redis->calls('unlink'), 0, 'paused: not even tried');

sql('SELECT inval_resume()');
ok(wait_keys_gone($redis, map { "team:$_" } 1 .. 10), 'resumed: all is sent');
ok(wait_queue_empty($node, 'postgres'), 'resumed: the queue is empty');
ok(wait_target_state($node, 'postgres', 'up'), 'resumed: up');
sql('UPDATE team SET n = 2 WHERE id = 12');
is($redis->cmd('EXISTS', 'team:12'), 0, 'resumed: at commit again');

my ($status, $output, $error) =
  $node->psql('postgres', "SELECT inval_pause('elsewhere')");
isnt($status, 0, 'a target that is not there cannot be paused');
like($error, qr/elsewhere/, 'and the message names it');

# Touch
$redis->pipeline(map { [ 'SET', "by:hand:$_", 'cached' ] } 1 .. 4);
$redis->cmd('HSET', 'hash', 'a', 1, 'b', 2);
sql("SELECT inval_touch('by:hand:1')");
is($redis->cmd('EXISTS', 'by:hand:1'), 0, 'inval_touch removes a key');
sql("BEGIN; SELECT inval_touch('by:hand:2'); ROLLBACK");
sql("BEGIN; SAVEPOINT a; SELECT inval_touch('by:hand:2'); ROLLBACK TO a; COMMIT");
is($redis->cmd('EXISTS', 'by:hand:2'), 1, 'inval_touch is part of its transaction');
sql("SELECT inval_touch('by:hand:3', delivery => 'background')");
ok(wait_keys_gone($redis, 'by:hand:3'), 'inval_touch in the background');
sql("SELECT inval_touch('hash', field => 'a')");
is_deeply($redis->cmd('HKEYS', 'hash'), ['b'], 'inval_touch of a field');
sql("SELECT inval_touch('by:hand:4') FROM generate_series(1, 3)");
is($redis->cmd('EXISTS', 'by:hand:4'), 0, 'inval_touch of one key thrice');
foreach my $wrong ("'k', action => 'vanish'", "'k', delivery => 'soon'",
	"'k', target => 'elsewhere'", "repeat('k', 70000)")
{
	($status, $output, $error) = $node->psql('postgres', "SELECT inval_touch($wrong)");
	isnt($status, 0, 'inval_touch refuses ' . substr $wrong, 0, 30);
}

# Drain: what is queued goes out in this session, with the worker's help or not.
$redis->fill('team:', 1, 100);
$redis->freeze;
sql("UPDATE team SET n = 3 WHERE id BETWEEN 21 AND 40");
is(queue_length($node, 'postgres'), 20, 'queued while Redis is away');
# Nothing can be confirmed: it must give up in time, without an endless wait.
($status, $output, $error) = $node->psql('postgres', "SELECT inval_drain('200ms')");
is(queue_length($node, 'postgres'), 20, 'inval_drain gives up in time') or diag($error);
$redis->thaw;
sql('SELECT inval_drain()');
is(scalar($redis->existing(map { "team:$_" } 21 .. 40)), 0, 'inval_drain: all is gone');
is(queue_length($node, 'postgres'), 0, 'inval_drain: the queue is empty when it returns');
is(sql('SELECT inval_drain()'), 0, 'inval_drain of an empty queue');

# Preview: shows keys, queues nothing.
is(sql("SELECT count(*) FROM inval_preview('team', 5)"), 5, 'inval_preview respects its limit');
is(sql("SELECT count(*), bool_and(key ~ '^team:[0-9]+\$') FROM inval_preview('team')"),
	'10|t', 'inval_preview shows keys');
is(queue_length($node, 'postgres'), 0, 'inval_preview queues nothing');
is(scalar($redis->existing(map { "team:$_" } 1 .. 10)), 10, 'inval_preview removes nothing');

# Rules in state off and shadow
sql("SELECT inval_track('team', 'id', state => 'shadow')");
sql('UPDATE team SET n = 4 WHERE id = 50');
is($redis->cmd('EXISTS', 'team:50'), 1, 'a shadow rule sends nothing');
is(queue_length($node, 'postgres'), 0, 'nor queues it');
sql("SELECT inval_track('team', 'id', state => 'off')");
sql('UPDATE team SET n = 5 WHERE id = 50');
is($redis->cmd('EXISTS', 'team:50'), 1, 'a rule that is off sends nothing');
sql("SELECT inval_track('team', 'id')");
sql('UPDATE team SET n = 6 WHERE id = 50');
is($redis->cmd('EXISTS', 'team:50'), 0, 'and on again');
no_crash($node, 'no server process crashed');

done_testing();
