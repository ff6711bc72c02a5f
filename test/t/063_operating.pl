# What an operator does when something goes wrong.  Rules that are paused are held
# back, from the queue on, while others go on, also where they share rows of the outbox
# or a key; and nothing of them is lost.

use strict;
use warnings;

use Inval::Test;
use PostgreSQL::Test::Utils;
use Test::More;

my $redis = Inval::Redis->new;
my $far = Inval::Redis->new;
my $node = new_node('operating', url => $redis->unix_url, conf => join "\n",
	"inval.sweep_interval = '100ms'",
	"inval.retry_max = '200ms'",
	'inval.backlog_max_keys = 20');

sub sql
{
	my ($statement) = @_;

	return $node->safe_psql('postgres', $statement);
}

# Of these keys, those that are in Redis, and fills them all again.
sub left_of
{
	my (@keys) = @_;
	my @left = sort $redis->existing(@keys);

	$redis->pipeline(map { [ 'SET', $_, 'cached' ] } @keys);
	return "@left";
}

sub queued
{
	return sql(q{SELECT string_agg(DISTINCT key || CASE last_error WHEN 'the rule is paused'
		THEN '' ELSE '!' END, ' ') FROM inval_queue});
}

sql(q{
	CREATE TABLE team (id int PRIMARY KEY, n int DEFAULT 0);
	CREATE TABLE member (id int PRIMARY KEY, team int, n int DEFAULT 0);
	INSERT INTO team SELECT generate_series(1, 400);
	INSERT INTO member SELECT i, i FROM generate_series(1, 400) i});
my $good = sql("SELECT inval_track('team', 'id')");
my $bad = sql("SELECT inval_track('team', key => 'all:{id}')");
my $same = sql("SELECT inval_track('member', key => 'all:{team}')");
my $prefix = sql("SELECT inval_track('member', key => 'page:{id}:', action => 'prefix')");

# A rule of two on one table
left_of('team:1', 'all:1');
is(sql("SELECT inval_pause($bad)"), 't', 'a rule is paused');
is(sql("SELECT inval_pause($bad)"), 'f', 'and once only');
sql('UPDATE team SET n = 1 WHERE id = 1');
is(left_of('team:1', 'all:1'), 'all:1', 'paused: the other rule goes on, at commit');
is(queued(), 'all:1', 'paused: shown in the queue, and why');
is(sql('SELECT count(*) FROM inval_rule WHERE paused'), 1, 'inval_rule tells');
is(sql('SELECT paused_rules FROM inval_target_status'), "{$bad}", 'inval_target_status tells');

# The same key of a rule that goes on, whichever comes first
sql('BEGIN; UPDATE team SET n = 1 WHERE id = 2; UPDATE member SET n = 1 WHERE id = 2; COMMIT');
is(left_of('all:2'), '', 'a key that another rule owes, too, is removed at commit');

# The tables that everybody writes to are emptied although something is held back.
ok(poll_query($node, 'postgres', q{SELECT sum(pg_relation_size('inval_outbox_' || i)) = 0
	FROM generate_series(0, 5) i}), 'held back: not where all others write');
sql('UPDATE team SET n = 2 WHERE id = 1');

my ($status, $output, $error) = $node->psql('postgres', 'SELECT inval_drain()');
is($output, 0, 'inval_drain: nothing of it is sent');
like($error, qr/NOTICE:  \d invalidations of paused rules are held back/, 'inval_drain says so');

# Through a crash
left_of('all:1', 'team:3', 'all:3');
$node->stop('immediate');
$node->start;
sql('UPDATE team SET n = 2 WHERE id = 3');
ok($node->psql('postgres', 'SELECT inval_drain()') == 0, 'restarted: drained');
is(left_of('all:1', 'team:3', 'all:3'), 'all:1 all:3', 'restarted: still paused');

# A dump has it.
my $dump = $node->basedir . '/dump.sql';
$node->command_ok([ 'pg_dump', '-f', $dump, $node->connstr('postgres') ], 'dumped');
$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->command_ok([ 'psql', '-qXf', $dump, '-v', 'ON_ERROR_STOP=1', $node->connstr('restored') ],
	'restored');
is($node->safe_psql('restored', 'SELECT key FROM inval_rule WHERE paused'), 'all:{id}',
	'restored: still paused');
$node->safe_psql('postgres', 'DROP DATABASE restored');

# A transaction that rolls back its pause, or its end of it, changes nothing.
sql("BEGIN; SELECT inval_resume($bad); ROLLBACK; BEGIN; SELECT inval_pause($good); ROLLBACK");
sql('UPDATE team SET n = 3 WHERE id = 4');
is(left_of('team:4', 'all:1', 'all:3'), 'all:1 all:3', 'what is rolled back is no pause');

is(sql("SELECT inval_resume($bad)"), 't', 'resumed');
ok(wait_keys_gone($redis, 'all:1', 'all:3', 'all:4'), 'resumed: what was held back goes out');
ok(wait_queue_empty($node, 'postgres'), 'resumed: the queue is empty');
is(sql('SELECT paused_rules IS NULL FROM inval_target_status'), 't', 'and nothing is paused');
left_of('all:1', 'team:1');
sql('UPDATE team SET n = 4 WHERE id = 1');
is(left_of('all:1', 'team:1'), '', 'resumed: at commit again');

# Queued before the pause, in rows that both rules share
sql('SELECT inval_pause()');
left_of(map { ("team:$_", "all:$_") } 1 .. 400);
sql('UPDATE team SET n = 5 WHERE id <= 300');
sql('BEGIN; UPDATE team SET n = 6 WHERE id = 301; UPDATE member SET n = 6 WHERE id = 301; COMMIT');
sql("SELECT inval_pause($bad)");
sql('SELECT inval_resume()');
ok(wait_keys_gone($redis, 'all:301', map { "team:$_" } 1 .. 301),
	'queued before: what others owe goes out');
is(scalar($redis->existing(map { "all:$_" } 1 .. 300)), 300, 'queued before: held back');
ok(poll_query($node, 'postgres', q{SELECT count(*), count(DISTINCT key) FROM inval_queue
	WHERE key LIKE 'all:%' AND last_error = 'the rule is paused'}, '300|300'),
	'queued before: and nothing else is left');
is(sql("SELECT sum(failed_tries) FROM inval_stats WHERE rule = $bad"), 0,
	'what is held back is no failed try');
ok(poll_query($node, 'postgres', q{SELECT sum(pg_relation_size('inval_outbox_' || i)) = 0
	FROM generate_series(0, 5) i}), 'queued before: not where all others write');

# A session that has it for paused, and commits when it is not any more
my $session = $node->background_psql('postgres');
$session->query_safe('BEGIN');
$session->query_safe('UPDATE team SET n = 7 WHERE id = 350');
is(sql("SELECT inval_resume('team'::regclass)"), 1, 'resumed by table');
ok(wait_keys_gone($redis, map { "all:$_" } 1 .. 300), 'all of it goes out');
$session->query_safe('COMMIT');
ok(wait_keys_gone($redis, 'all:350'), 'what was queued as paused goes out');
$session->quit;
ok(wait_queue_empty($node, 'postgres'), 'the queue is empty');

# A removal of all that start alike, and what is looked up, put back or repeated
left_of('page:5:a', 'page:5:b', 'page:6:a');
is(sql("SELECT inval_pause('member'::regclass)"), 2, 'paused by table');
sql('UPDATE member SET n = 8 WHERE id = 5');
sql('UPDATE team SET n = 8 WHERE id = 5');
sql('SELECT inval_drain()');
is(left_of('page:5:a', 'page:5:b'), 'page:5:a page:5:b', 'no search for a paused rule');
is(sql("SELECT inval_resume_delivery('commit') + inval_resume_delivery('background')"), 2,
	'resumed by delivery');
ok(wait_keys_gone($redis, 'page:5:a', 'page:5:b'), 'the search is made');
is(left_of('page:6:a'), 'page:6:a', 'and removes no more');

# One that two rules owe, of which the first is paused
my $pages = sql("SELECT inval_track('team', key => 'page:{id}:', action => 'prefix')");
sql("SELECT inval_pause($pages)");
left_of('page:5:a', 'page:5:b');
sql('BEGIN; UPDATE team SET n = 9 WHERE id = 5; UPDATE member SET n = 9 WHERE id = 5; COMMIT');
ok(wait_keys_gone($redis, 'page:5:a', 'page:5:b'), 'a search that another rule owes, too, is made');
ok(wait_queue_empty($node, 'postgres'), 'and done with');
sql("SELECT inval_untrack_rule($pages)");

my $refill = sql(q{SELECT inval_track('team', key => 'value:{id}', ttl => '1 hour',
	refill => 'SELECT n::text FROM team WHERE id = {id}')});
left_of('value:7');
sql("SELECT inval_pause($refill)");
sql('UPDATE team SET n = 9 WHERE id = 7');
sql('SELECT inval_drain()');
is($redis->cmd('GET', 'value:7'), 'cached', 'paused: no value is put back');
sql("SELECT inval_resume($refill)");
ok(poll_until(sub { ($redis->cmd('GET', 'value:7') // '') eq '9' }, 'the value'),
	'resumed: the value is put back');
sql("SELECT inval_untrack_rule($refill)");

my $again = sql("SELECT inval_track('member', key => 'again:{id}', repeat_after => '50ms')");
left_of('again:1');
sql('UPDATE member SET n = 10 WHERE id = 1');
sql("SELECT inval_pause($again)");
sql('UPDATE member SET n = 11 WHERE id = 2');
left_of('again:1', 'again:2');
sql('SELECT inval_drain()') foreach 1 .. 2;
is(left_of('again:2'), 'again:2', 'paused: not repeated, either');
sql("SELECT inval_resume($again)");
ok(wait_queue_empty($node, 'postgres'), 'resumed: and done');
is(left_of('again:2'), '', 'resumed: removed');
sql("SELECT inval_untrack_rule($again)");

# A rule that goes leaves no pause, and what it has queued goes out.
left_of('all:9');
sql("SELECT inval_pause($bad)");
sql('UPDATE team SET n = 12 WHERE id = 9');
sql("SELECT inval_untrack('team', 'all:{id}')");
ok(wait_keys_gone($redis, 'all:9'), 'what a dropped rule has queued goes out');
$bad = sql("SELECT inval_track('team', key => 'all:{id}')");
sql("SELECT inval_pause($bad); BEGIN; DROP TABLE team; ROLLBACK");
is(sql('SELECT count(*) FROM inval_rule WHERE paused'), 1, 'a drop that is rolled back is none');
sql("SELECT inval_pause(id) FROM inval_rule WHERE relation = 'member'::regclass; DROP TABLE member");
is(sql("SELECT count(*) FROM pg_foreign_server WHERE srvname LIKE 'inval_rule_pause_%'"), 1,
	'a dropped table leaves no pauses');
sql("SELECT inval_resume($bad)");
ok(wait_queue_empty($node, 'postgres'), 'the queue is empty');

# A backlog that collapses takes nothing of a paused rule.
sql("SELECT inval_add_target('far', '" . $far->unix_url . "', namespace => 'far:')");
sql(q{
	CREATE TABLE job (id int, n int DEFAULT 0);
	INSERT INTO job SELECT generate_series(1, 100);
	SELECT inval_track('job', key => 'far:a:{id}', targets => '{far}')});
my $held = sql("SELECT inval_track('job', key => 'far:b:{id}', targets => '{far}')");
sql("SELECT inval_pause($held)");
$far->stop;
sql('UPDATE job SET n = 1 WHERE id = 1');
sql('UPDATE job SET n = 1');
sql("SELECT inval_touch('far:c:' || i, target => 'far') FROM generate_series(1, 100) i");
ok(poll_query($node, 'postgres', q{SELECT string_agg(DISTINCT action || ' ' || left(key, 5), ','
	ORDER BY action || ' ' || left(key, 5)) FROM inval_queue WHERE target = 'far'
	AND key NOT LIKE 'far:a:%'}, 'delete far:b,prefix far:'), 'the backlog collapses without it');
is(sql("SELECT count(DISTINCT key) FROM inval_queue WHERE key LIKE 'far:b:%'"), 100,
	'and what is held back is all there');
$far->start;
$far->pipeline([ 'SET', 'far:b:1', 'cached' ]);
ok(poll_query($node, 'postgres', q{SELECT count(DISTINCT key) FROM inval_queue
	WHERE target = 'far'}, 100), 'the target is back: only that is left');
sql("SELECT inval_resume($held)");
ok(wait_queue_empty($node, 'postgres'), 'resumed: the queue is empty');
is($far->cmd('EXISTS', 'far:b:1'), 0, 'resumed: removed');

# Work that takes long can be seen, and tells its session.
sub progress
{
	my ($operation, $what, $name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return ok(poll_query($node, 'postgres', "SELECT $what FROM inval_progress p
		WHERE operation = '$operation'"), $name);
}

sql("SELECT inval_add_target('slow', '" . $redis->unix_url . "', max_rate => 40)");
sql("SELECT inval_touch('slow:' || i, delivery => 'background', target => 'slow')
	FROM generate_series(1, 200) i");
progress('deliver', q{target = 'slow' AND done > 0 AND total IS NULL AND rate > 0 AND
	started_at < now() AND pid = (SELECT worker_pid FROM inval_target_status WHERE target = 'slow')},
	'a worker that delivers for long');
my $drain = $node->background_psql('postgres', on_error_stop => 0);
$drain->query_safe('SET inval.progress_interval = 0');
my $drain_pid = $drain->query_safe('SELECT pg_backend_pid()');
$drain->query_until(qr/draining/, "\\echo draining\nSELECT inval_drain();\n");
progress('drain', "target = 'slow' AND pid = $drain_pid AND done > 0 AND done <= total",
	'a drain, and how much there is');
sql("SELECT pg_cancel_backend($drain_pid)");
ok(poll_until(sub { $drain->{run}->pump_nb; $drain->{stderr} =~ /canceling/ }, 'the end'),
	'cancelled');
like($drain->{stderr}, qr/NOTICE:  inval drain of target "slow": \d+ of \d+/, 'its session is told');
is(sql("SELECT count(*) FROM inval_progress WHERE operation = 'drain'"), 0,
	'what is cancelled is not shown any more');
ok(wait_queue_empty($node, 'postgres'), 'the queue is empty');
ok(poll_query($node, 'postgres', 'SELECT count(*) = 0 FROM inval_progress'), 'nor is what is done');

# Rules that are resumed while a long delivery is under way do not wait for its end.
sql(q{
	CREATE TABLE slowly (id int PRIMARY KEY, n int DEFAULT 0);
	INSERT INTO slowly SELECT generate_series(1, 300)});
my $waits = sql("SELECT inval_track('slowly', key => 'slow:waits:{id}', targets => '{slow}')");
sql("SELECT inval_pause($waits)");
left_of('slow:waits:1');
sql('UPDATE slowly SET n = 1 WHERE id <= 30');
ok(poll_query($node, 'postgres', q{SELECT sum(pg_relation_size('inval_outbox_' || i)) = 0
	FROM generate_series(0, 5) i}), 'what is held back has moved');
sql("SELECT inval_touch('slow:' || i, delivery => 'background', target => 'slow')
	FROM generate_series(1, 400) i");
progress('deliver', q{target = 'slow' AND done > 10 AND total IS NULL}, 'a long delivery is under way');
# A session that has queued something itself says where, and not that it may be anywhere.
sql("SELECT inval_touch('other'); SELECT inval_resume($waits)");
ok(wait_keys_gone($redis, 'slow:waits:1'), 'resumed: what was held back goes out');
cmp_ok(sql(q{SELECT count(*) FROM inval_queue WHERE key ~ '^slow:\d'}), '>', 0, 'before all else has');
ok(wait_queue_empty($node, 'postgres'), 'the queue is empty');

# What is held back is no part of how much there is to be delivered.
sql("SELECT inval_pause($waits)");
sql("SELECT inval_pause('slow')");
sql('UPDATE slowly SET n = 2');
sql("SELECT inval_touch('slow:' || i, target => 'slow') FROM generate_series(1, 100) i");
sql("SELECT inval_resume('slow')");
progress('deliver', q{target = 'slow' AND done > 0 AND total IS NULL},
	'a delivery of which nobody knows how much it is');
sql("SELECT inval_resume($waits)");
ok(wait_queue_empty($node, 'postgres'), 'the queue is empty');

# A drain that ends in the midst of a search for keys does not go on searching.
$redis->pipeline(map { [ 'SET', "slow:$_", 'cached' ] } 1 .. 400);
my $slow_worker = sql("SELECT worker_pid FROM inval_target_status WHERE target = 'slow'");
kill 'STOP', $slow_worker;
sql("SELECT inval_touch('slow:', 'prefix', 'background', target => 'slow')");
my $short = $node->background_psql('postgres', on_error_stop => 0);
my $short_pid = $short->query('SELECT pg_backend_pid()');
$short->query("SELECT inval_drain('1 second')");
is(sql("SELECT string_agg(operation, ' ') FROM inval_progress WHERE pid = $short_pid"), '',
	'what a drain has not come to the end of is not shown any more');
kill 'CONT', $slow_worker;
$short->quit;
ok(wait_queue_empty($node, 'postgres'), 'the queue is empty');

$redis->pipeline(map { [ 'SET', "slow:$_", 'cached' ] } 1 .. 400);
$drain->query_until(qr/purging/, "\\echo purging\nSELECT inval_purge('slow:*', 'a test', 'slow');\n");
progress('purge', "target = 'slow' AND pid = $drain_pid AND done > 0 AND detail LIKE 'about % searched'",
	'a purge');
sql("SELECT pg_terminate_backend($drain_pid)");
ok(poll_query($node, 'postgres', 'SELECT count(*) = 0 FROM inval_progress'),
	'nor that of a session that is gone');
abandon($drain);

# Who is what, and does what, is in pg_stat_activity.
is(sql(q{SELECT backend_type || ': ' || state || ' ' || query FROM pg_stat_activity
	WHERE application_name = 'inval launcher'}),
	'inval launcher: idle waiting for databases that want workers', 'the launcher says what it does');
sub activity
{
	my ($target, $state, $text, $name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return ok(poll_query($node, 'postgres', "SELECT bool_and(backend_type = 'inval worker'
		AND state = '$state' AND query LIKE '$text' AND wait_event_type = 'Extension')
		FROM pg_stat_activity WHERE application_name = 'inval worker $target'"), $name);
}
activity('default', 'idle', 'waiting for something to deliver to "default"', 'a worker that waits');
sql("SELECT inval_touch('slow:' || i, delivery => 'background', target => 'slow')
	FROM generate_series(1, 60) i");
activity('slow', 'active', 'delivering to "slow": %', 'a worker that delivers');
sql('SELECT inval_pause()');
activity('default', 'idle', 'target "default" is paused', 'a worker whose target is paused');
sql('SELECT inval_resume(), inval_resume()');
$far->stop;
sql("SELECT inval_touch('far:1', target => 'far')");
activity('far', 'idle', 'target "far" is down, to be tried again', 'a worker whose target is down');
$far->start;

# One line for each change, all of which begin alike
foreach my $line ('target "default" is paused', 'target "default" is resumed', 'target "far" is down: ',
	'target "far" is up', 'worker of target "slow" has started', "rule $bad is paused", "rule $bad is resumed")
{
	ok(poll_until(sub { times_logged($node, "LOG: +inval \Q$line\E") > 0 }, $line), "logged: $line");
}
my $paused = times_logged($node, 'inval target "default" is resumed');
sql('SELECT inval_resume()');
is(times_logged($node, 'inval target "default" is resumed'), $paused, 'what changes nothing is not logged');
is(times_logged($node, 'LOG: +inval [^tlwr]'), 0, 'and each is about a target, a worker or a rule');

# Keys are not for the log.
$redis->cmd('SET', 'slow:person:4711', 'x');
sql("SELECT inval_purge('slow:person:*', 'a test', 'slow')");
ok(times_logged($node, qr/inval target "slow": purge of \(13 bytes, hash [0-9a-f]{8}\) has removed 1 keys/),
	'a purge is logged');
is(times_logged($node, '(LOG|WARNING|DETAIL|HINT): .*(slow:|team:|all:|far:[a-c]|page:)|slow:person'), 0,
	'and no key is');
sql("SET inval.log_keys = on; SELECT inval_purge('slow:person:*', 'a test', 'slow')");
is(times_logged($node, 'purge of "slow:person:\*" has removed 0 keys'), 1, 'unless that is wanted');

# Who watches sees that there was a purge, and whose; what of is for who may see keys.
sql('CREATE ROLE watcher IN ROLE pg_monitor');
is(sql('SET ROLE watcher; SELECT count(*) >= 2, count(*) = count(who), count(pattern) FROM inval_purge_log'),
	't|t|0', 'the purge log without keys');
ok(poll_query($node, 'postgres', 'SELECT count(*) FROM inval_progress', 0), 'the slow one is done');
is(sql('SET ROLE watcher; SELECT count(*) FROM inval_progress'), 0, 'and progress');

# Rows that are read before they go, of a table that somebody else holds up
sql(q{CREATE TABLE large (id int); INSERT INTO large SELECT generate_series(1, 20000);
	SELECT inval_track('large', 'id'); ANALYZE large});
my ($large_status, $large_output, $large_error) =
  $node->psql('postgres', 'SET inval.progress_interval = 0; TRUNCATE large');
like($large_error, qr/NOTICE:  inval read rows: \d+ of 20000, large/, 'rows that are read are told of');

no_crash($node, 'no server process crashed');
done_testing();
