# What operators do by hand beside the worker loses nothing and stops nobody:
# inval_drain() that is cancelled or rolled back, with a drop of a target before
# it, and VACUUM FULL of the outbox.

use strict;
use warnings;

use Inval::Test;
use PostgreSQL::Test::Utils;
use Test::More;

my $redis = Inval::Redis->new;
my $node = new_node('drains', url => $redis->unix_url,
	conf => "inval.sweep_interval = '20ms'\n");

sub sql
{
	my ($statement) = @_;

	return $node->safe_psql('postgres', $statement);
}

# A rate: what is owed goes in many batches, one after the other.
my $slow = $redis->select_db(3);
my $url = $slow->unix_url(3);

sql("SELECT inval_add_target('slow', '$url', max_rate => 100); SELECT inval_pause('slow')");
$slow->cmd('SET', 'of_a_wrong_type', 'x');
sql(q{
	BEGIN;
	SELECT inval_touch('of_a_wrong_type', field => 'f', delivery => 'background', target => 'slow');
	SELECT count(inval_touch('k' || i, delivery => 'background', target => 'slow'))
		FROM generate_series(1, 300) i;
	COMMIT});
ok(poll_query($node, 'postgres', q{
		SELECT worker_pid IS NOT NULL FROM inval_target_status WHERE target = 'slow'}),
	'the target has a worker');
my $worker = sql("SELECT worker_pid FROM inval_target_status WHERE target = 'slow'");

# The worker is held up, a session drains, and what it did is rolled back after the
# worker has gone through all of it, too.
kill 'STOP', $worker;
sql("SELECT inval_resume('slow')");
my $drain = $node->background_psql('postgres', on_error_stop => 0);
$drain->query("BEGIN; SELECT inval_drain('500ms')");
my $failed = sql("SELECT failed_tries FROM inval_stats WHERE target = 'slow'");
cmp_ok($failed, '>', 0, 'the session has met the refusal');
kill 'CONT', $worker;
ok(poll_query($node, 'postgres', qq{
		SELECT failed_tries > $failed AND delivered_by_worker > 340 FROM inval_stats
		WHERE target = 'slow'}), 'the worker has gone through all of it');
$drain->query('ROLLBACK');
$drain->quit;
ok(poll_query($node, 'postgres', "SELECT string_agg(key, ' ') FROM inval_queue",
		'of_a_wrong_type'), 'what is refused is still owed when all else is done');
$slow->cmd('DEL', 'of_a_wrong_type');
$slow->cmd('HSET', 'of_a_wrong_type', 'f', 'old');
ok(wait_queue_empty($node, 'postgres'), 'it is delivered when it can be');
is($slow->cmd('EXISTS', 'of_a_wrong_type'), 0, 'and was');

# A table of the outbox that somebody waits for stops nobody else.
$redis->select_db(0);
$redis->cmd('MSET', 'prepared', 'x', 'background', 'x', 'at_commit', 'x');
sql("BEGIN; SELECT inval_touch('prepared'); PREPARE TRANSACTION 'p'");
my $held = sql(q{SELECT relation::regclass FROM pg_locks
	WHERE relation::regclass::text ~ '^inval_outbox' AND mode = 'RowExclusiveLock'});
my $vacuum = $node->background_psql('postgres', on_error_stop => 0);
$vacuum->query_until(qr/vacuuming/, "\\echo vacuuming\nVACUUM FULL $held;\n");
ok(poll_query($node, 'postgres', q{
		SELECT count(*) = 1 FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'}),
	'VACUUM FULL waits for a prepared transaction');
sql("SELECT inval_touch('at_commit')");
foreach my $round (1 .. 10)
{
	# In each, the worker has looked at everything several times.
	$redis->cmd('SET', 'background', 'x');
	sql("SELECT inval_touch('background', delivery => 'background')");
	ok(wait_keys_gone($redis, 'background', 'at_commit'),
		"others are delivered meanwhile, $round") or last;
}
# A session that drains waits for it, as whoever reads the queue does.
like(error_of($node, "SET statement_timeout = '200ms'; SELECT inval_drain('100ms')"),
	qr/canceling statement due to statement timeout/, 'a drain waits');
sql("COMMIT PREPARED 'p'");
$vacuum->quit;
ok(wait_keys_gone($redis, 'prepared'), 'and the prepared one when it is committed');
ok(wait_queue_empty($node, 'postgres'), 'nothing is left');

# Where there is no worker: a target is dropped, its queue is gone, and all that is
# rolled back.
my $by_hand = new_node('by_hand', url => $redis->unix_url, preload => 0);

$redis->select_db(2)->cmd('SET', 'owed', 'x');
$by_hand->safe_psql('postgres', "SELECT inval_add_target('eu', '" . $redis->unix_url(2) . q{');
	SELECT inval_pause('eu')});
$by_hand->safe_psql('postgres', "SELECT inval_touch('owed', target => 'eu')");
foreach my $end ('ROLLBACK', 'COMMIT')
{
	$by_hand->safe_psql('postgres', qq{
		BEGIN;
		SAVEPOINT a;
		SELECT inval_drop_target('eu'), inval_drain('1s');
		ROLLBACK TO a;
		SELECT inval_drain('1s');
		$end});
	is($by_hand->safe_psql('postgres', 'SELECT target, key FROM inval_queue'), 'eu|owed',
		"a drop and a drain that are rolled back lose nothing: $end");
}
$by_hand->safe_psql('postgres', "SELECT inval_resume('eu')");
$by_hand->safe_psql('postgres', "SELECT inval_drain('1 min')");
is($redis->select_db(2)->cmd('EXISTS', 'owed'), 0, 'it is delivered by hand');
is($by_hand->safe_psql('postgres', 'SELECT count(*) FROM inval_queue'), 0,
	'and nothing is left');

# A migration that changes rows and retires their target is one transaction.
sql(q{
	CREATE TABLE retired (id int);
	SELECT inval_add_target('old', 'unix:///nowhere');
	SELECT inval_track('retired', 'id', targets => '{old,default}')});
$redis->select_db(0)->cmd('SET', 'retired:1', 'x');
sql(q{
	BEGIN;
	INSERT INTO retired VALUES (1);
	SELECT inval_untrack('retired'), inval_drop_target('old');
	COMMIT});
ok(wait_keys_gone($redis, 'retired:1'), 'the other target gets what it is owed');
ok(wait_queue_empty($node, 'postgres'), 'and nothing is queued for the one that is gone');

no_crash($_, 'no server process crashed') foreach $node, $by_hand;

done_testing();
