
# Strict rules: from before a commit until its keys are removed, readers are given
# nothing from the cache; and if that cannot be had, nothing is committed.  A commit is
# held where it matters, between its record and its being visible, by a synchronous
# standby that does not exist.

use strict;
use warnings;

use Inval::Proxy;
use Inval::Session;
use Inval::Test;
use List::Util 'first';
use PostgreSQL::Test::Utils;
use Test::More;

my $redis = Inval::Redis->new;
my $node = new_node('strict', url => $redis->unix_url, conf => <<'EOC');
synchronous_commit = local
max_prepared_transactions = 2
wal_level = replica
max_wal_senders = 4
inval.commit_timeout = '2s'
inval.retry_max = '100ms'
inval.sweep_interval = '50ms'
inval.fence_life = '30s'
restart_after_crash = on
EOC

sub sql
{
	my ($statement) = @_;

	return $node->safe_psql('postgres', $statement);
}

# What a reader is told of a key, and its value.
sub reader
{
	my ($key, @more) = @_;

	return reader_of($redis, $key, @more);
}

sub reader_of
{
	my ($server, $key, @more) = @_;
	my $answer = $server->cmd('FCALL', 'inval_get', 1, $key, @more);

	return $answer->[0] eq 'hit' ? "hit $answer->[1]" : $answer->[0];
}

sub fences
{
	my ($key) = @_;

	return $redis->cmd('ZCARD', "$key:inval-fence{$key}");
}

sub fresh
{
	my (@keys) = @_;

	$redis->cmd('SET', $_, 'old') foreach @keys;
	$redis->cmd('UNLINK', "$_:inval-lease{$_}") foreach @keys;
	return;
}

# From then on commits are held, but those of sessions that do not wait for standbys.
sub hold_commits
{
	my ($hold) = @_;
	my $probe;

	sql(sprintf q(ALTER SYSTEM SET synchronous_standby_names = '%s'), $hold ? 'nobody' : '');
	reload($node);
	return unless $hold;
	$probe = Inval::Session->new($node, 'postgres', 'probe');
	$probe->query('SET synchronous_commit = on');
	poll_until(
		sub {
			my $held = 0;

			$probe->ask(q{SELECT pg_logical_emit_message(true, 'held', '?')}, sub { });
			while ($probe->is_busy)
			{
				$held |= sql(q{SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity
					WHERE wait_event = 'SyncRep'}) > 0;
				Inval::Session::wait_for_any(0.05, $probe);
			}
			return $held;
		},
		'commits that are held');
	$probe->quit;
	return;
}

# A session whose commit of a statement is held, when it is.
sub held
{
	my ($statement, @then) = @_;
	my $session = Inval::Session->new($node, 'postgres', 'held');
	my $answer;

	$session->query('SET synchronous_commit = on');
	$session->ask($statement, @then ? $then[0] : sub { $answer = shift });
	poll_query($node, 'postgres',
		q{SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'SyncRep'},
		't');
	return $session;
}

sub finish
{
	my ($session) = @_;

	Inval::Session::wait_for_any(60, $session) while $session->is_busy;
	$session->quit;
	return;
}

poll_until(sub { $redis->cmd('FCALL', 'inval_version', 0) }, 'the library');
sql(q{
	CREATE TABLE item (id int PRIMARY KEY, n int DEFAULT 0, shelf int DEFAULT 1);
	INSERT INTO item SELECT g FROM generate_series(1, 20) g;
	SELECT inval_track('item', key => 'item:{id}', delivery => 'strict');
	SELECT inval_track('item', key => 'shelf:{shelf}', delivery => 'strict');
	CREATE TABLE other (id int PRIMARY KEY, n int DEFAULT 0);
	INSERT INTO other VALUES (1);
	SELECT inval_track('other', key => 'other:{id}')});

# The whole way
fresh('item:1', 'shelf:1');
sql('UPDATE item SET n = 1 WHERE id = 1');
is(join('', map { $redis->cmd('EXISTS', $_) } 'item:1', 'shelf:1'), '00',
	'keys of a strict rule are gone when COMMIT returns');
is(fences('item:1') + fences('shelf:1'), 0, 'and so are their fences');
is(reader('item:1'), 'fill', 'readers fill again');
ok(wait_queue_empty($node, 'postgres'), 'nothing is owed');

# Between the record and being visible
fresh('item:1', 'item:2', 'shelf:1');
my $lease = $redis->cmd('FCALL', 'inval_get', 1, 'item:2', 60_000, -1);
is($lease->[0], 'fill', 'a reader has a lease');
hold_commits(1);
my $session = held('UPDATE item SET n = 2 WHERE id IN (1, 2)');
is(sql('SELECT n FROM item WHERE id = 1'), 1, 'the change is not visible yet');
is(reader('item:1'), 'bypass', 'readers bypass the cache already');
is($redis->cmd('GET', 'item:1'), 'old', 'whose value stays');
is($redis->cmd('FCALL', 'inval_set', 1, 'item:2', $lease->[1], 'stored', 60_000), 1,
	'a fill that was under way is stored');
is(reader('item:2'), 'bypass', 'and not served');

# Another transaction for one of the keys
sql('UPDATE item SET n = 5 WHERE id = 5');
is($redis->cmd('EXISTS', 'shelf:1'), 0, 'another commit of the same key is through');
is(reader('shelf:1'), 'bypass', 'and leaves the fence of the first');
is(fences('shelf:1'), 1, 'which has one');
hold_commits(0);
finish($session);
is(reader('item:1'), 'fill', 'when the first is through, readers fill');
is(reader('item:2'), 'fill', 'and what was stored meanwhile is gone');
is(fences('shelf:1'), 0, 'all fences are ended');

# What is rolled back costs nothing.
fresh('item:1', 'item:2', 'item:3', 'shelf:1');
sql('BEGIN; UPDATE item SET n = 9 WHERE id = 1; ROLLBACK');
sql('BEGIN; SAVEPOINT a; UPDATE item SET n = 9 WHERE id = 2; ROLLBACK TO a;
	UPDATE other SET n = 1; COMMIT');
is(join(' ', map { reader("item:$_") } 1, 2), 'hit old hit old', 'no change, no miss');
my @pair = map { Inval::Session->new($node, 'postgres', "skew $_") } 1, 2;
$_->query('BEGIN ISOLATION LEVEL SERIALIZABLE') foreach @pair;
$_->query('SELECT sum(n) FROM item WHERE id IN (3, 4)') foreach @pair;
$pair[0]->query('UPDATE item SET n = n + 1, shelf = 2 WHERE id = 3');
$pair[1]->query('UPDATE item SET n = n + 1, shelf = 2 WHERE id = 4');
is(($pair[0]->query('COMMIT'))[0], '00000', 'of two transactions one commits');
fresh('item:4', 'shelf:1', 'shelf:2');
is(($pair[1]->query('COMMIT'))[0], '40001', 'and the other fails when it would commit');
is(reader('item:4'), 'hit old', 'and its key keeps its value');
is(fences('item:4') + fences('shelf:2'), 0, 'without a fence');
$_->quit foreach @pair;

# What cannot be fenced
like(error_of($node, q{BEGIN; UPDATE item SET n = 9 WHERE id = 1; PREPARE TRANSACTION 'p'}),
	qr/cannot prepare a transaction that has changed rows under strict rules/, 'PREPARE is refused');
sql(q{BEGIN; UPDATE other SET n = n + 1; PREPARE TRANSACTION 'p'; COMMIT PREPARED 'p'});
like(error_of($node, q{SET inval.pending_memory = '64kB'; BEGIN; UPDATE item SET n = 9;
	INSERT INTO item SELECT g, 9 FROM generate_series(100, 90000) g; COMMIT}),
	qr/too many keys of strict rules in one transaction/, 'more than there is memory for is refused');
is(sql('SELECT count(*) FROM item WHERE n = 9'), 0, 'and nothing is changed');
sql('SELECT inval_pause()');
like(error_of($node, 'UPDATE item SET n = 9 WHERE id = 1'), qr/which is paused/,
	'nor at a target that is paused');
sql('SELECT inval_resume()');

# A server that does not answer in time: the fence may arrive later, and is ended.
fresh('item:1', 'shelf:1');
$session = Inval::Session->new($node, 'postgres', 'late');
$session->query(q{SET inval.strict_timeout = '200ms'});
poll_until(sub { ($session->query('UPDATE item SET n = 0 WHERE id = 8'))[0] eq '00000' }, 'a commit');
fresh('item:1', 'shelf:1');
$redis->freeze;
is(($session->query('UPDATE item SET n = 9 WHERE id = 1'))[0], '08006',
	'no answer fails the transaction');
$redis->thaw;
# For a moment the session does not try, although others are served.
my $served = Inval::Session->new($node, 'postgres', 'served');
poll_until(
	sub {
		$served->query('UPDATE other SET n = n + 1');
		return 1 if ($session->query('UPDATE item SET n = 0 WHERE id = 8'))[0] eq '08006';
		$redis->freeze;
		$session->query('UPDATE item SET n = 0 WHERE id = 8');
		$redis->thaw;
		return 0;
	},
	'a session that does not try');
is(times_logged($node, 'cannot fence keys .*: *$'), 0, 'and whoever comes too soon after that is told why');
$served->quit;
$session->quit;
ok(poll_until(sub { reader('item:1') eq 'hit old' }, 'the end of a fence that came too late'),
	'whose fence the worker ends, and the value stays');
is(sql('SELECT n FROM item WHERE id = 1'), 2, 'as nothing has changed');
ok(wait_target_state($node, 'postgres', 'up'), 'the target is up');

# The same at one of two servers.  Emptying the outbox meanwhile forgets no fence.
my $other = Inval::Redis->new;
sql(sprintf q{
	SELECT inval_add_target('other', '%s');
	CREATE TABLE twin (id int PRIMARY KEY, n int DEFAULT 0);
	INSERT INTO twin VALUES (1);
	SELECT inval_track('twin', key => 'twin:{id}', delivery => 'strict', targets => '{default,other}')},
	$other->unix_url);
poll_until(sub { $other->cmd('FCALL', 'inval_version', 0) }, 'the library');
$session = Inval::Session->new($node, 'postgres', 'twin');
poll_until(sub { ($session->query('UPDATE twin SET n = 1'))[0] eq '00000' }, 'a commit');
$session->query(q{SET inval.strict_timeout = '200ms'});
$_->cmd('SET', 'twin:1', 'old') foreach $redis, $other;
$other->freeze;
is(($session->query('UPDATE twin SET n = 2'))[0], '08006', 'one of two that does not answer fails it');
ok(poll_until(sub { reader('twin:1') eq 'hit old' }, 'the end of the fence'), 'the value at the other stays');
sql('UPDATE other SET n = n + 1') foreach 1 .. 40;	# and workers sweep
$other->thaw;
ok(poll_until(sub { reader_of($other, 'twin:1') eq 'hit old' }, 'the end of its fence'),
	'and here, when it answers again');
$session->quit;	# it was slow, and keys of rows that DROP TABLE removes are fenced, too
ok(wait_target_state($node, 'postgres', 'up', 'other'), 'the other is up');
sql(q{DROP TABLE twin; SELECT inval_drop_target('other')});

# Who waits for his fences can be cancelled, and goes on.
$session = Inval::Session->new($node, 'postgres', 'cancelled');
$session->query(q{SET inval.strict_timeout = '60s'});
poll_until(sub { ($session->query('UPDATE item SET n = 0 WHERE id = 8'))[0] eq '00000' }, 'a commit');
fresh('item:6', 'shelf:1');
$redis->freeze;
my $ended;
$session->ask('UPDATE item SET n = 9 WHERE id = 6', sub { ($ended) = @_ });
poll_until(
	sub {
		sql(q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity
			WHERE query LIKE 'UPDATE item SET n = 9 WHERE id = 6%' AND pid <> pg_backend_pid()});
		Inval::Session::wait_for_any(0.05, $session);
		return defined $ended;
	},
	'the end');
is($ended, '57014', 'a commit that waits for its fences is cancelled');
$redis->thaw;
ok(poll_until(sub { reader('item:6') eq 'hit old' }, 'the end of its fence'), 'and has changed nothing');
ok(wait_target_state($node, 'postgres', 'up'), 'the target is up');
poll_until(sub { ($session->query('UPDATE item SET n = 6 WHERE id = 6'))[0] eq '00000' }, 'a commit');
is($redis->cmd('EXISTS', 'item:6'), 0, 'the session commits as before');
$session->quit;

# One that is known to be down
$redis->stop;
error_of($node, 'UPDATE other SET n = n + 1');
ok(wait_target_state($node, 'postgres', 'down'), 'the target is down');
my ($code) = Inval::Session->new($node, 'postgres', 'down')->query('UPDATE item SET n = 9 WHERE id = 1');
is($code, '08006', 'a strict commit fails');
is(error_of($node, 'UPDATE other SET n = n + 1'), '', 'others do not');
$redis->start;
ok(wait_target_state($node, 'postgres', 'up'), 'the target is up');
ok(wait_queue_empty($node, 'postgres'), 'and has everything');
poll_until(sub { $redis->cmd('FCALL', 'inval_version', 0) }, 'the library');
is(error_of($node, 'UPDATE item SET n = 3 WHERE id = 1'), '', 'strict commits go on');

# Redis comes back empty while a commit is under way: its fence is gone, and until the
# commit is visible nobody may be served.
fresh('item:1', 'shelf:1');
hold_commits(1);
$session = held('UPDATE item SET n = 4 WHERE id = 1');
$redis->restart;
ok(poll_until(sub { sql('SELECT state FROM inval_target_status') eq 'up' &&
		times_logged($node, 'does not have the functions') > 0 }, 'the worker'),
	'the worker has found that the functions are missing');
like(error_of($node, 'UPDATE item SET n = 9 WHERE id = 7'), qr/cannot fence keys .*unction not found/,
	'strict commits fail');
$redis->cmd('SET', 'item:1', 'old');
ok(!eval { reader('item:1'); 1 }, 'readers are not served');
hold_commits(0);
finish($session);
ok(poll_until(sub { eval { reader('item:1') eq 'fill' } }, 'readers'), 'until the commit is visible');
is(sql('SELECT n FROM item WHERE id = 1'), 4, 'and it is');

# The same with workers of two databases, of which one brings the functions back: each
# time the other has found them brought by somebody, and must wait the next time.
sub times_missed
{
	return times_logged($node, 'does not have the functions');
}

$node->safe_psql('postgres', 'CREATE DATABASE second');
$node->safe_psql('second', q{
	CREATE EXTENSION inval;
	CREATE TABLE item (id int);
	SELECT inval_track('item', key => 'second:{id}', delivery => 'strict')});
ok(poll_until(sub { $node->safe_psql('second', 'SELECT worker_pid FROM inval_target_status') }, 'a worker'),
	'a second database has a worker');
foreach my $round (1 .. 3)
{
	my $missed = times_missed();

	hold_commits(1);
	$session = held("UPDATE item SET n = n + 1 WHERE id = 1");
	$redis->restart;
	poll_until(sub { times_missed() >= $missed + 2 || eval { $redis->cmd('FCALL', 'inval_version', 0) } },
		'both workers');
	$redis->cmd('SET', 'item:1', 'old');
	ok(!eval { reader('item:1'); 1 }, "readers are not served, restart $round");
	hold_commits(0);
	finish($session);
	ok(poll_until(sub { eval { reader('item:1') eq 'fill' } }, 'readers'), 'until the commit is visible');
	# Both have noted that they are there, as there is nothing worse to show.
	poll_until(sub { !grep { $node->safe_psql($_, 'SELECT last_error FROM inval_target_status') ne '' }
			'postgres', 'second' }, 'the functions');
}
$node->safe_psql('postgres', 'DROP DATABASE second');

# Functions that somebody has flushed are missed by who needs them, not only by who
# looks from time to time.
$redis->cmd('FUNCTION', 'FLUSH');
like(error_of($node, 'UPDATE item SET n = 9 WHERE id = 7'), qr/unction not found/,
	'without the functions strict commits fail');
ok(defined(first { error_of($node, 'UPDATE item SET n = 4 WHERE id = 7') eq '' } 1 .. 300), 'until they are back');

# One key, of which two channels are told, has one fence.
sql(q{
	CREATE TABLE one (id int PRIMARY KEY, n int DEFAULT 0);
	CREATE TABLE two (id int PRIMARY KEY, n int DEFAULT 0);
	INSERT INTO one VALUES (1);
	INSERT INTO two VALUES (1);
	SELECT inval_track('one', key => 'both:{id}', delivery => 'strict', publish => 'one');
	SELECT inval_track('two', key => 'both:{id}', delivery => 'strict', publish => 'two')});
my $lost = sql('SELECT fences_lost FROM inval_target_status');
sql('BEGIN; UPDATE one SET n = 1; UPDATE two SET n = 1; COMMIT');
is(sql('SELECT fences_lost FROM inval_target_status'), $lost, 'a key with two entries has lost no fence');
is(fences('both:1'), 0, 'and has none');

# Fences that readers would not meet
my $elsewhere = Inval::Redis->new;
$elsewhere->cmd('FUNCTION', 'LOAD', slurp_file('src/redis/inval.lua'));
$session = Inval::Session->new($node, 'postgres', 'elsewhere');
$session->query(sprintf q{SET inval.redis_url = '%s'}, $elsewhere->unix_url);
fresh('item:1', 'shelf:1');
is(($session->query('UPDATE item SET n = 9 WHERE id = 1'))[0], '08006',
	'a session that has another server than the worker cannot fence');
is($elsewhere->cmd('EXISTS', 'item:1:inval-fence{item:1}'), 0, 'and leaves no fence there');
$session->query('RESET inval.redis_url');
is(($session->query('UPDATE item SET n = 4 WHERE id = 1'))[0], '00000', 'with that of the worker it can');
$session->quit;

# Losing the fence alone cannot be helped, and is noticed.
fresh('item:1', 'shelf:1');
hold_commits(1);
$session = held('UPDATE item SET n = 5 WHERE id = 1');
$redis->cmd('FLUSHALL');
hold_commits(0);
finish($session);
is(sql('SELECT fences_lost FROM inval_target_status'), $lost + 2, 'fences that were lost are counted');
ok(poll_until(sub { times_logged($node, sprintf 'has lost %d fences', $lost + 2) }, 'the loss'), 'and logged');

# A commit that takes longer than its fences live
sql(q(ALTER SYSTEM SET inval.fence_life = '2s'));
reload($node);
poll_until(sub { error_of($node, 'UPDATE item SET n = 0 WHERE id = 8') eq '' }, 'strict commits');
fresh('item:8', 'shelf:1');
hold_commits(1);
$session = held('UPDATE item SET n = 8 WHERE id = 8');
my $begun = $redis->cmd('ZRANGE', 'item:8:inval-fence{item:8}', 0, 0, 'WITHSCORES')->[1];
ok(poll_until(sub {
		my $now = $redis->cmd('TIME');
		return $now->[0] * 1000 > $begun + 1000; }, 'the end of its life'), 'a fence that should be over');
is(reader('item:8'), 'bypass', 'was renewed');
hold_commits(0);
finish($session);
is(reader('item:8'), 'fill', 'and is ended with the commit');
is(fences('item:8'), 0, 'for good');

# Whoever has fences dies.
fresh('item:9', 'shelf:1');
hold_commits(1);
$session = held('UPDATE item SET n = 9 WHERE id = 9', sub { });
my $pid = sql(q{SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'});
kill 'KILL', $pid;
finish($session);
hold_commits_after_crash();
ok(poll_until(sub { reader('item:9') eq 'fill' }, 'the key'), 'after a crash the key is delivered');
is(sql('SELECT n FROM item WHERE id = 9'), 9, 'whose commit counts');

# Before its commit record nobody can tell whether it will commit: the fence stands for
# as long as it lives, and takes the value with it.
$session = Inval::Session->new($node, 'postgres', 'dies');
$session->query(q{SET inval.strict_timeout = '60s'});
poll_until(sub { ($session->query('UPDATE item SET n = 0 WHERE id = 8'))[0] eq '00000' }, 'a commit');
fresh('item:10', 'shelf:1');
$redis->freeze;
$session->ask('UPDATE item SET n = 10 WHERE id = 10', sub { });
poll_query($node, 'postgres', q{SELECT count(*) = 1 FROM pg_stat_activity
	WHERE query LIKE 'UPDATE item SET n = 10 %' AND backend_xid IS NOT NULL AND pid <> pg_backend_pid()});
kill 'KILL', sql(q{SELECT pid FROM pg_stat_activity
	WHERE query LIKE 'UPDATE item SET n = 10 %' AND pid <> pg_backend_pid()});
finish($session);
$redis->thaw;
poll_until(sub { $node->psql('postgres', 'SELECT 1') == 0 }, 'recovery');
is(sql('SELECT n FROM item WHERE id = 10'), 0, 'a crash before the commit record: nothing has changed');
ok(poll_until(sub { reader('item:10') =~ /^(fill|hit)/ }, 'the end of the fence'),
	'and when its fence is over, readers go on');

sub hold_commits_after_crash
{
	poll_until(sub { $node->psql('postgres', 'SELECT 1') == 0 }, 'recovery');
	hold_commits(0);
	return;
}

# By hand
poll_until(sub { error_of($node, 'UPDATE item SET n = 0 WHERE id = 8') eq '' }, 'strict commits');
fresh('by:hand');
sql(q{SELECT inval_touch('by:hand', delivery => 'strict')});
is($redis->cmd('EXISTS', 'by:hand'), 0, 'a strict touch');
like(error_of($node, q{SELECT inval_touch('by:hand', field => 'f', delivery => 'strict')}),
	qr/is not for what is to be done/, 'of a field it is refused');
ok(wait_queue_empty($node, 'postgres'), 'nothing is owed');
no_crash($node, 'no crash', kill9 => 1);
$node->stop;

# Without a worker nobody renews fences, or ends those that were left: who is
# cancelled again and again leaves more than there are places, and keeps nobody from
# committing.
my $second = Inval::Redis->new;
my $proxy = Inval::Proxy->new($redis);

$redis->restart;
$_->cmd('FUNCTION', 'LOAD', slurp_file('src/redis/inval.lua')) foreach $redis, $second;
$node = new_node('strict_alone', url => $proxy->url, preload => 0,
	init => { extra => ['--no-sync'] }, conf => <<'EOC');
inval.commit_timeout = '2s'
inval.strict_timeout = '60s'
EOC
sql(sprintf q{
	SELECT inval_add_target('second', '%s');
	CREATE TABLE item (id int PRIMARY KEY, n int DEFAULT 0);
	INSERT INTO item SELECT g FROM generate_series(1, 3) g;
	SELECT inval_track('item', key => 'item:{id}', delivery => 'strict');
	CREATE TABLE pair (id int PRIMARY KEY, n int DEFAULT 0);
	INSERT INTO pair VALUES (1);
	SELECT inval_track('pair', key => 'pair:{id}', delivery => 'strict', targets => '{default,second}');
	CREATE ROLE writer;
	GRANT SELECT, UPDATE ON item TO writer}, $second->unix_url);
$session = Inval::Session->new($node, 'postgres', 'writer');
$session->query('SET ROLE writer');
$session->query(q{SET statement_timeout = '100ms'});
$proxy->mode('mute');
foreach (1 .. 17)
{
	my ($failed) = $session->query('DO $$ BEGIN UPDATE item SET n = 2 WHERE id = 2; COMMIT; END $$');

	diag "a commit that was to be cancelled: $failed" if $failed ne '57014';
}
$session->quit;
$proxy->mode('pass');
is(error_of($node, 'UPDATE item SET n = 3 WHERE id = 3'), '', 'fences that were left keep nobody from committing');

# Two servers, of which the second answers when the fence at the first is over
$node->append_conf('postgresql.conf', q(inval.fence_life = '1s'));
reload($node);
$session = Inval::Session->new($node, 'postgres', 'pair');
is(($session->query('UPDATE pair SET n = 1'))[0], '00000', 'two servers are fenced');
fresh('pair:1');
my $outcome;
$second->freeze;
$session->ask('UPDATE pair SET n = 2', sub { ($outcome) = @_ });
poll_until(sub { fences('pair:1') || defined $outcome }, 'the first fence');
poll_until(sub { reader('pair:1') ne 'bypass' }, 'its end');
$second->thaw;
finish($session);
is($outcome, '08006', 'a commit whose first fence may be over fails');
is(sql('SELECT n FROM pair'), 1, 'and has changed nothing');
no_crash($node, 'no crash');
done_testing();
