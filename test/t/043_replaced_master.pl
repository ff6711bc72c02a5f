# A master answers before its replica has heard.  So that what is lost with one is
# always the same, the replica is here cut off first and then made the master, of
# which the sentinel is told by hand: whatever was confirmed in between is still
# there on the new master, and is owed again.

use strict;
use warnings;

use Inval::Redis;
use Inval::Test;
use Test::More;

my $n = 2000;
my @servers = map { Inval::Redis->new(config => { 'repl-diskless-sync-delay' => 0 }) } 1 .. 2;
my ($master, $replica) = @servers;
my $other = Inval::Redis->new;
my $sentinel = Inval::Redis->new(
	sentinel => 1,
	config => {
		'sentinel monitor' => 'pair 127.0.0.1 ' . $master->port . ' 1',
		'sentinel down-after-milliseconds' => 'pair 600000' });
my @tables = ('sole', 'background', 'shared');
my $node = new_node('replaced', url => $other->unix_url, init => { allows_streaming => 1 },
	conf => "inval.sweep_interval = '100ms'\n");

$node->safe_psql('postgres', sprintf q{
	SELECT inval_add_target('pair', 'redis+sentinel://127.0.0.1:%d/pair');
	CREATE TABLE sole (id int PRIMARY KEY, n int DEFAULT 0);
	CREATE TABLE background (id int PRIMARY KEY, n int DEFAULT 0);
	CREATE TABLE shared (id int PRIMARY KEY, n int DEFAULT 0);
	INSERT INTO sole SELECT generate_series(1, %d);
	INSERT INTO background SELECT generate_series(1, %2$d);
	INSERT INTO shared SELECT generate_series(1, %2$d);
	SELECT inval_track('sole', 'id', targets => '{pair}');
	SELECT inval_track('background', 'id', delivery => 'background', targets => '{pair}');
	SELECT inval_track('shared', 'id', targets => '{default,pair}')},
	$sentinel->port, $n);

# Fills both servers and cuts the replica off.
sub cut_off
{
	$replica->cmd('REPLICAOF', '127.0.0.1', $master->port);
	ok(poll_until(sub { $replica->reconnect->cmd('ROLE')->[3] eq 'connected' }, 'a replica'),
		'a master and its replica');
	$master->fill("$_:", 1, $n) foreach @tables;
	$master->cmd('WAIT', 1, 5000);
	$replica->cmd('REPLICAOF', 'NO', 'ONE');
	return;
}

# In one go: a sentinel that knows of none is taken for one that is silent.
sub replace_master
{
	$sentinel->pipeline([ 'SENTINEL', 'REMOVE', 'pair' ],
		[ 'SENTINEL', 'MONITOR', 'pair', '127.0.0.1', $replica->port, 1 ],
		[ 'SENTINEL', 'SET', 'pair', 'down-after-milliseconds', 600000 ]);
	($master, $replica) = ($replica, $master);
	return;
}

sub queue_is
{
	my ($expected, $what) = @_;

	return ok(poll_query($node, 'postgres',
			"SELECT coalesce(string_agg(target || ' ' || key, ', ' ORDER BY target, key), '')
			   FROM inval_queue", $expected), $what);
}

sub tables_are_emptied
{
	my ($what) = @_;

	return ok(poll_query($node, 'postgres', q{
			SELECT sum(pg_relation_size('inval_outbox_' || i)) = 0 FROM generate_series(0, 8) i}),
		$what);
}

# One row or more of a transaction, at commit or in the background, for one target
# or more: what is confirmed is noted in different places.
cut_off();
$node->safe_psql('postgres', "SELECT inval_pause()");
$node->safe_psql('postgres', q{
	UPDATE sole SET n = 1 WHERE id = 1;
	UPDATE sole SET n = 1 WHERE id BETWEEN 11 AND 1500;
	UPDATE background SET n = 1 WHERE id = 1;
	UPDATE background SET n = 1 WHERE id BETWEEN 11 AND 1500;
	UPDATE shared SET n = 1 WHERE id = 1});
my @keys = (
	(map { ("sole:$_", "background:$_") } 1, 11 .. 1500), 'shared:1');
queue_is('default shared:1', 'all is confirmed, but for a target that is paused');
is(scalar($master->existing(@keys)), 0, 'the keys are gone from the master');
is(scalar($replica->existing(@keys)), scalar(@keys), 'and are not from who takes its place');
replace_master();
ok(wait_keys_gone($master, @keys), 'the keys are gone from the new master');
is(scalar($master->existing(map { my $table = $_; map { "$table:$_" } 1 .. $n } @tables)),
	3 * $n - @keys, 'and no others');
queue_is('default shared:1', 'the other target is owed what it was owed');
$node->safe_psql('postgres', 'SELECT inval_resume()');
queue_is('', 'and has it');
is(times_logged($node, qr/inval target "pair" has moved/), 1, 'the log tells of the move once');
tables_are_emptied('what is settled is removed');

# What a worker has delivered is in doubt after a crash, too, whether or not one
# comes to find out.
cut_off();
$node->safe_psql('postgres', q{UPDATE background SET n = 2 WHERE id BETWEEN 11 AND 1500});
queue_is('', 'all is confirmed');
$node->stop('immediate');
replace_master();
$node->append_conf('postgresql.conf', 'inval.workers = 0');
$node->start;
is(queue_length($node, 'postgres'), 1490, 'after a crash: what was confirmed just before is owed');
$node->append_conf('postgresql.conf', 'inval.workers = 8');
$node->reload;
ok(wait_keys_gone($master, map { "background:$_" } 11 .. 1500),
	'after a crash: the keys are gone from the new master');
queue_is('', 'after a crash: nothing is owed');

# The master ends, and another is there only after a while: nothing waits where
# it is in the way.
cut_off();
$node->safe_psql('postgres', q{UPDATE sole SET n = 3 WHERE id = 2});
queue_is('', 'confirmed');
is(scalar($master->existing('sole:2')), 0, 'and gone');
$master->kill9;
ok(wait_target_state($node, 'postgres', 'down', 'pair'), 'the target is down');
ok(poll_query($node, 'postgres', q{
		SELECT count(*) = 1 FROM inval_queue WHERE target = 'pair' AND key = 'sole:2'}),
	'what it has confirmed just before is owed again');
ok(poll_query($node, 'postgres', q{
		SELECT sum(pg_relation_size('inval_outbox_' || i)) = 0 FROM generate_series(0, 5) i}),
	'and is kept where it is in nobody\'s way');
replace_master();
ok(wait_keys_gone($master, 'sole:2'), 'the key is gone from the new master');
queue_is('', 'nothing is owed');
$replica->start;

# A pause keeps nobody from finding out.
cut_off();
$node->safe_psql('postgres', q{
	UPDATE sole SET n = 4 WHERE id = 3;
	SELECT inval_pause('pair')});
tables_are_emptied('what is confirmed is settled while the target is paused');
$node->safe_psql('postgres', q{
	SELECT inval_resume('pair');
	UPDATE sole SET n = 4 WHERE id = 4});
queue_is('', 'the next is confirmed');
$node->safe_psql('postgres', q{SELECT inval_pause('pair')});
replace_master();
queue_is('pair sole:4', 'what is lost is owed while the target is paused');
$node->safe_psql('postgres', q{SELECT inval_resume('pair')});
ok(wait_keys_gone($master, 'sole:4'), 'and is delivered after that');
queue_is('', 'nothing is owed');

# So is what is to be repeated when standbys have replayed it, however long that takes.
cut_off();
$node->safe_psql('postgres', q{
	SELECT pg_create_physical_replication_slot('away', true);
	ALTER SYSTEM SET inval.repeat_after_replay = on;
	ALTER SYSTEM SET inval.replay_timeout = 0});
reload($node);
$node->safe_psql('postgres', 'UPDATE background SET n = 5 WHERE id BETWEEN 11 AND 1500');
@keys = map { "background:$_" } 11 .. 1500;
ok(wait_keys_gone($master, @keys), 'replay: the keys are gone from the master');
ok(poll_query($node, 'postgres', 'SELECT count(*) > 1 FROM ('
		  . join(' UNION ALL ', map { "SELECT lane FROM inval_outbox_$_" } 3 .. 5)
		  . ") AS slow WHERE lane = 's'"), 'replay: they wait for a standby');
replace_master();
ok(wait_keys_gone($master, @keys), 'replay: they are gone from the new master');
is(queue_length($node, 'postgres'), 1490, 'replay: and wait again');
$master->fill('background:', 11, 1500);
$node->safe_psql('postgres', q{
	SELECT pg_drop_replication_slot('away');
	ALTER SYSTEM RESET inval.repeat_after_replay});
reload($node);
ok(wait_keys_gone($master, @keys), 'replay: and are repeated');
queue_is('', 'replay: nothing is owed');

# A commit that waited for its reply for long counts as confirmed too late for
# its row to stay long enough: the worker takes it over.
my $session = $node->background_psql('postgres');
my $at_commit = q{SELECT sum(delivered_at_commit) FROM inval_stats WHERE target = 'pair'};
$session->query_safe(q{SET inval.commit_timeout = '1min'; UPDATE sole SET n = 5 WHERE id = 5});
my $before = $node->safe_psql('postgres', $at_commit);
$master->freeze;
$session->{stdin} .= "UPDATE sole SET n = 5 WHERE id = 6;\n";
$session->{run}->pump_nb;
ok(poll_query($node, 'postgres', q{
		SELECT clock_timestamp() - query_start > '1.5 s' FROM pg_stat_activity
		WHERE state = 'active' AND query LIKE 'UPDATE sole%'}),
	'a commit waits for a reply');
$master->thaw;
queue_is('', 'which comes');
is($node->safe_psql('postgres', $at_commit), $before, 'too late to be relied on');
$session->quit;

no_crash($node, 'no server process crashed');

done_testing();
