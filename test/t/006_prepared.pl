# Two-phase commit: the keys belong to the prepared transaction.  They are
# delivered after COMMIT PREPARED, which happens in another session, perhaps
# after a restart, and in any order; ROLLBACK PREPARED removes nothing.

use strict;
use warnings;

use Inval::Test;
use PostgreSQL::Test::Utils;
use Test::More;

my $redis = Inval::Redis->new;
my $node = new_node('prepared', url => $redis->unix_url,
	conf => "inval.sweep_interval = '10ms'\n");

$node->safe_psql('postgres', q{
	CREATE TABLE team (id int PRIMARY KEY, n int DEFAULT 0);
	INSERT INTO team SELECT generate_series(1, 1000);
	SELECT inval_track('team', 'id')});
$redis->fill('team:', 1, 1000);

sub prepare
{
	my ($name, @ids) = @_;
	my $list = join ', ', @ids;

	$node->safe_psql('postgres', qq{
		BEGIN;
		UPDATE team SET n = n + 1 WHERE id IN ($list);
		SAVEPOINT a;
		UPDATE team SET n = n + 1 WHERE id = $ids[0] + 500;
		ROLLBACK TO a;
		PREPARE TRANSACTION '$name'});
	return;
}

# Wait until the worker has surely had a turn: it has delivered this.
sub let_worker_pass
{
	$node->safe_psql('postgres', "SELECT inval_touch('marker', delivery => 'background')");
	ok(wait_queue_empty($node, 'postgres'), 'the worker has had its turn');
	return;
}

prepare('commits', 1 .. 5);
prepare('rolls back', 11 .. 15);
prepare('waits', 21 .. 25);
is(queue_length($node, 'postgres'), 0, 'prepared is not committed: nothing in the queue');
let_worker_pass();
is(scalar($redis->existing(map { "team:$_" } 1 .. 30)), 30,
	'prepared is not committed: no key is gone');

$node->safe_psql('postgres', "COMMIT PREPARED 'commits'");
ok(wait_keys_gone($redis, map { "team:$_" } 1 .. 5), 'gone after COMMIT PREPARED');
$node->safe_psql('postgres', "ROLLBACK PREPARED 'rolls back'");

# Others commit while one stays prepared, from before them to after them.
foreach my $id (101 .. 200)
{
	$node->safe_psql('postgres', "UPDATE team SET n = n + 1 WHERE id = $id")
	  if $id % 10 == 0;
}
let_worker_pass();

# Through a restart, a crash, and an outage of Redis.
prepare('waits, too', 31 .. 35);
$node->restart;
prepare('waits, third', 41 .. 45);
$node->stop('immediate');
$node->start;
let_worker_pass();
is(scalar($redis->existing(map { "team:$_" } 21 .. 25, 31 .. 35, 41 .. 45)), 15,
	'still prepared after a restart: no key is gone');
$node->safe_psql('postgres', "COMMIT PREPARED 'waits'");
ok(wait_keys_gone($redis, map { "team:$_" } 21 .. 25), 'gone after a restart');
# The worker has noted that, too: Redis is frozen with nothing under way.
wait_queue_empty($node, 'postgres');
$redis->freeze;
$node->safe_psql('postgres', "COMMIT PREPARED 'waits, too'");
$node->safe_psql('postgres', "ROLLBACK PREPARED 'waits, third'");
is(queue_length($node, 'postgres'), 5, 'committed while Redis is away: queued');
$redis->thaw;
ok(wait_keys_gone($redis, map { "team:$_" } 31 .. 35), 'gone when Redis is back');
ok(wait_queue_empty($node, 'postgres'), 'the queue is empty');

is(scalar($redis->existing(map { "team:$_" } 11 .. 15, 41 .. 45)), 10,
	'ROLLBACK PREPARED removes nothing');
is(scalar($redis->existing(map { "team:$_" } 501 .. 600)), 100,
	'nor does what was rolled back to a savepoint');

# A session's next transactions after PREPARE are not mixed up with it.
$node->safe_psql('postgres', q{
	BEGIN;
	UPDATE team SET n = n + 1 WHERE id = 301;
	PREPARE TRANSACTION 'mine';
	UPDATE team SET n = n + 1 WHERE id = 302;
	BEGIN; UPDATE team SET n = n + 1 WHERE id = 303; ROLLBACK});
is(join(' ', $redis->existing(map { "team:$_" } 301 .. 303)), 'team:301 team:303',
	'the next transaction of the same session delivers only its own');
$node->safe_psql('postgres', "ROLLBACK PREPARED 'mine'");

# A large prepared transaction, spilled before it was prepared.
$redis->fill('team:', 1, 1000);
$node->safe_psql('postgres', q{
	SET inval.pending_memory = '64kB';
	BEGIN;
	UPDATE team SET n = n + 1 WHERE id <= 900;
	PREPARE TRANSACTION 'large'});
let_worker_pass();
is($redis->cmd('DBSIZE'), 1000, 'large: nothing gone before');
$node->safe_psql('postgres', "COMMIT PREPARED 'large'");
ok(poll_until(sub { $redis->cmd('DBSIZE') == 100 }, 'large'), 'large: all gone after');
ok(wait_queue_empty($node, 'postgres'), 'the queue is empty');
no_crash($node, 'no server process crashed');

done_testing();
