# What the worker makes of a queue: each key once, whoever queued it; a share for
# everybody, however much one of them has queued; and a rate that is kept.

use strict;
use warnings;

use Inval::Test;
use Test::More;

my $redis = Inval::Redis->new;
my $node = new_node('fairness', url => $redis->unix_url);

sub sql { return $node->safe_psql('postgres', $_[0]); }

# The target "slow" is the same server, with so many keys a second at most.
sub set_rate
{
	my ($rate) = @_;

	sql(sprintf "SELECT inval_add_target('slow', %s, max_rate => %s)",
		"'" . $redis->tcp_url . "'", $rate);
	return;
}

set_rate('NULL');
sql(q{
	CREATE TABLE purged (id int PRIMARY KEY, n int DEFAULT 0);
	CREATE TABLE other (id int PRIMARY KEY, n int DEFAULT 0);
	CREATE TABLE one (id int PRIMARY KEY, n int DEFAULT 0);
	INSERT INTO purged SELECT generate_series(1, 20000);
	INSERT INTO other SELECT generate_series(1, 20000);
	INSERT INTO one SELECT generate_series(1, 1000);
	SELECT inval_track('purged', 'id', delivery => 'background', targets => '{slow}');
	SELECT inval_track('other', 'id', delivery => 'background', targets => '{slow}');
	SELECT inval_track('one', 'id', delivery => 'background', targets => '{slow}')});

# The same key of many transactions: once.  Fields, because each is a command,
# and the server counts those.
{
	sql(q{SELECT inval_track('one', key => 'h:{id}', field => 'f', delivery => 'background',
		targets => '{slow}')});
	sql(q{SELECT inval_pause('slow')});
	$redis->cmd('HSET', "h:$_", 'f', 1, 'g', 1) foreach 1, 2;
	foreach my $round (1 .. 25)
	{
		sql("UPDATE one SET n = n + 1 WHERE id = $_") foreach 1, 2;
	}
	is(queue_length($node, 'postgres'), 100, 'coalescing: each transaction queues');
	sql(q{SELECT inval_resume('slow')});
	ok(wait_queue_empty($node, 'postgres'), 'coalescing: all are confirmed');
	is($redis->cmd('HEXISTS', "h:$_", 'f'), 0, 'coalescing: gone') foreach 1, 2;
	is($redis->calls('hdel'), 2, 'coalescing: each was sent once');
	is(sql(q{SELECT sum(delivered_by_worker) FROM inval_stats
			WHERE relation = 'one'::regclass}),
		100, 'coalescing: and counted for each that had queued it');
	sql(q{SELECT inval_untrack('one', 'h:{id}')});
}

# Small transactions go on while large ones are being delivered, and so does
# another large one.
{
	set_rate(2000);
	$redis->fill($_, 1, 20000) foreach 'purged:', 'other:';
	$redis->fill('one:', 1, 1000);
	sql('SELECT inval_pause(\'slow\')');
	sql('UPDATE purged SET n = n + 1');
	sql('UPDATE other SET n = n + 1 WHERE id <= 2000');
	sql('UPDATE one SET n = n + 1 WHERE id = 1');
	sql('SELECT inval_resume(\'slow\')');
	ok(wait_keys_gone($redis, 'one:1'), 'shares: a small one goes');
	cmp_ok(purged_left(), '>', 15000, 'shares: while the large one is hardly begun');
	sql('UPDATE one SET n = n + 1 WHERE id = 2');
	ok(wait_keys_gone($redis, 'one:2'), 'shares: one that comes meanwhile goes too');
	cmp_ok(purged_left(), '>', 10000, 'shares: while the large one goes on');
	ok(wait_keys_gone($redis, map { "other:$_" } 1 .. 2000),
		'shares: another large one has its share');
	cmp_ok(purged_left(), '>', 1000, 'shares: and is through before the first');
	sql('BEGIN; UPDATE one SET n = n + 1 WHERE id = 3; PREPARE TRANSACTION \'p\'');
	sql('UPDATE one SET n = n + 1 WHERE id = 4');
	ok(wait_keys_gone($redis, 'one:4'), 'shares: the worker looks at what is announced');
	sql('COMMIT PREPARED \'p\'');
	ok(wait_keys_gone($redis, 'one:3'), 'shares: what nobody announces goes too');
	cmp_ok(purged_left(), '>', 0, 'shares: before the large one is through');
	set_rate('NULL');
	ok(wait_keys_gone($redis, map { "purged:$_" } 1 .. 20000),
		'shares: at last the large one');
	ok(wait_queue_empty($node, 'postgres'), 'shares: nothing is left');
}

# A refused entry in the midst of a row that is delivered in parts.
{
	sql(q{
		SELECT inval_untrack('other');
		SELECT inval_track('other', key => 'o:{id}', field => 'f', delivery => 'background',
			targets => '{slow}')});
	set_rate(400);
	sql('SELECT inval_pause(\'slow\')');
	$redis->pipeline(map { [ 'HSET', "o:$_", 'f', 1, 'g', 1 ] } 1 .. 76, 78 .. 199);
	$redis->cmd('SET', $_, 'not a hash') foreach 'o:77', 'o:200';
	sql('UPDATE other SET n = n + 1 WHERE id <= 200');
	sql('SELECT inval_resume(\'slow\')');
	ok(poll_query($node, 'postgres', q{
			SELECT string_agg(DISTINCT key, ' ' ORDER BY key) FROM inval_queue},
			'o:200 o:77'),
		'parts: the refused ones stay, all others are confirmed');
	is(scalar(grep { $redis->cmd('HEXISTS', "o:$_", 'f') } grep { $_ != 77 && $_ != 200 } 1 .. 200),
		0, 'parts: and gone');
	$redis->cmd('DEL', 'o:77', 'o:200');
	ok(wait_queue_empty($node, 'postgres'), 'parts: once accepted, nothing is left');
}

no_crash($node, 'fairness');
$node->stop;
done_testing();

sub purged_left
{
	return scalar($redis->existing(map { "purged:$_" } 1 .. 20000));
}
