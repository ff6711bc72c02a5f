# repeat_after: a second invalidation, for readers that write back what they read
# before the first.

use strict;
use warnings;

use Inval::Test;
use PostgreSQL::Test::Utils;
use Test::More;

my $redis = Inval::Redis->new;
my $node = new_node('repeat', url => $redis->unix_url);

sub sql
{
	my ($statement) = @_;

	return $node->safe_psql('postgres', $statement);
}

sql(q{
	CREATE TABLE team (id int PRIMARY KEY, n int DEFAULT 0);
	INSERT INTO team SELECT generate_series(1, 100);
	SELECT inval_track('team', 'id', repeat_after => '1 second');
	CREATE TABLE slow (id int PRIMARY KEY, n int DEFAULT 0);
	INSERT INTO slow SELECT generate_series(1, 100);
	SELECT inval_track('slow', 'id', delivery => 'background',
		repeat_after => '500 milliseconds');
	CREATE TABLE late (id int PRIMARY KEY, n int DEFAULT 0);
	INSERT INTO late SELECT generate_series(1, 100);
	SELECT inval_track('late', 'id', repeat_after => '1 hour')});
$redis->fill("$_:", 1, 100) foreach 'team', 'slow', 'late';
is(sql(q{SELECT repeat_after FROM inval_rule ORDER BY id}),
	"00:00:01\n00:00:00.5\n01:00:00", 'the rules say so');

# The classic leftover.
sql('UPDATE team SET n = 1 WHERE id = 1');
is($redis->cmd('EXISTS', 'team:1'), 0, 'gone when COMMIT returns');
is(sql('SELECT count(*) FROM inval_queue'), 1, 'the repetition is queued');
$redis->cmd('SET', 'team:1', 'old, written back');
ok(wait_keys_gone($redis, 'team:1'), 'what was written back goes too');
ok(wait_queue_empty($node, 'postgres'), 'and then nothing is owed');

# In the background
sql('UPDATE slow SET n = 1 WHERE id = 1');
ok(wait_keys_gone($redis, 'slow:1'), 'background: gone');
$redis->cmd('SET', 'slow:1', 'old, written back');
ok(wait_keys_gone($redis, 'slow:1'), 'background: and once more');

# Rolled back, to a savepoint included
$redis->cmd('SET', "team:$_", 'cached') foreach 2 .. 4;
sql(q{
	BEGIN; UPDATE team SET n = 2 WHERE id = 2; ROLLBACK;
	BEGIN; UPDATE team SET n = 2 WHERE id = 3; SAVEPOINT a;
	UPDATE team SET n = 2 WHERE id = 4; ROLLBACK TO a; COMMIT});
is(sql(q{SELECT string_agg(key, ',') FROM inval_queue}), 'team:3',
	'nothing is repeated that was rolled back');
ok(wait_queue_empty($node, 'postgres'), 'the repetition came');
is(scalar($redis->existing('team:2', 'team:4')), 2, 'what was rolled back is there');

# Not before its time, and over a crash: an hour is longer than this test.
sql('UPDATE late SET n = 1 WHERE id = 1');
$redis->cmd('SET', 'late:1', 'written back');
sql('UPDATE team SET n = 3 WHERE id = 5');
ok(poll_query($node, 'postgres', q{SELECT string_agg(key, ',') FROM inval_queue}, 'late:1'),
	'one that is due later waits, others do not');
$node->stop('immediate');
$node->start;
sql('UPDATE team SET n = 4 WHERE id = 6');
ok(poll_query($node, 'postgres', q{
		SELECT string_agg(key, ',') FROM inval_queue WHERE key !~ 'team:'}, 'late:1'),
	'it waits over a crash');
is($redis->cmd('EXISTS', 'late:1'), 1, 'and has not come early');
ok(poll_query($node, 'postgres', q{
		SELECT bool_and(pg_relation_size(format('inval_outbox_%s', i)::regclass) = 0)
		FROM generate_series(0, 2) i}),
	'the tables that commits write to are emptied all the same');

# Prepared transactions
$redis->cmd('SET', 'team:7', 'cached');
sql(q{BEGIN; UPDATE team SET n = 5 WHERE id = 7; PREPARE TRANSACTION 'later'});
sql(q{COMMIT PREPARED 'later'});
ok(wait_keys_gone($redis, 'team:7'), 'prepared: gone');
ok(poll_query($node, 'postgres', q{
		SELECT count(*) FROM inval_queue WHERE key <> 'late:1'}, 0),
	'prepared: and repeated');

like(error_of($node, q{SELECT inval_track('team', 'n', repeat_after => '0')}),
	qr/ERROR: +repeat_after must be/, 'nothing is no time');
like(error_of($node, q{SELECT inval_track('team', 'n', repeat_after => '1 day')}),
	qr/ERROR: +repeat_after must be/, 'a day is too long');
like(error_of($node, q{SELECT inval_track('team', 'n', repeat_after => '-1 second')}),
	qr/ERROR: +repeat_after must be/, 'nor backwards');

no_crash($node, 'repeat');
$node->stop;
done_testing();
