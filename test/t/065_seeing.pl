# What was removed, by whom, how many keys were there, and how fast: inval_history,
# keys_removed, inval_slo, what the servers say, and all of it after a restart.

use strict;
use warnings;

use Inval::Test;
use PostgreSQL::Test::Utils;
use Test::More;

my $redis = Inval::Redis->new;
my $node = new_node('seeing', url => $redis->unix_url, conf => "inval.history_keys = 30\ninval.commit_timeout = 10s\n");

sub sql
{
	my ($statement, $database) = @_;

	return $node->safe_psql($database // 'postgres', $statement);
}

sub history
{
	my ($columns, $where) = @_;

	return sql("SELECT $columns FROM inval_history WHERE " . ($where // 'true') . ' ORDER BY at, key');
}

sql(q{
	CREATE ROLE worker_bee LOGIN SUPERUSER;
	CREATE TABLE article (id int PRIMARY KEY, n int DEFAULT 0);
	CREATE TABLE hash (id int PRIMARY KEY, field text);
	CREATE TABLE quiet (id int PRIMARY KEY, n int);
	CREATE TABLE lot (id int PRIMARY KEY, n int);
	SELECT inval_track('article', 'id');
	SELECT inval_track('article', key => 'list:{id}');
	SELECT inval_track('hash', key => 'hash', field => '{field}');
	SELECT inval_track('quiet', 'id', delivery => 'background');
	SELECT inval_track('lot', 'id')});
is(sql('SELECT count(*) FROM inval_history'), 0, 'nothing yet');

# Who
sql(q{SET application_name = 'shop "one"'; SET SESSION AUTHORIZATION worker_bee; INSERT INTO article VALUES (1)});
is(sql(q{
	SELECT h.rule = r.id, h.action, h.key, h.field, h.target, h.xid = a.xmin::text::xid8, "user", application,
		command, outcome, lag > '0' AND lag < '1 minute', h.at <= now()
	FROM inval_history h, inval_rule r, article a
	WHERE h.key = 'article:1' AND r.key = 'article:{id}'}),
	't|delete|article:1||default|t|worker_bee|shop "one"|INSERT|commit|t|t', 'who has removed a key');
is(sql('SELECT count(*) FROM inval_history'), 2, 'one row for each key');

sql('BEGIN; INSERT INTO article VALUES (2); ROLLBACK');
is(history('key', q{key = 'article:2'}), '', 'what was rolled back was never removed');
sql('BEGIN; INSERT INTO article VALUES (3); UPDATE article SET n = 1 WHERE id = 3; DELETE FROM article WHERE id = 3; COMMIT');
is(history('command', q{key = 'article:3'}), 'INSERT, UPDATE, DELETE', 'the kinds of commands');
sql(q{SELECT inval_touch('by hand')});
is(history('rule IS NULL, command', q{key = 'by hand'}), 't|inval_touch', 'by hand');
sql('TRUNCATE article');
is(sql(q{SELECT count(*) FROM inval_history WHERE command = 'TRUNCATE'}), 2, 'TRUNCATE');
sql(q{INSERT INTO hash VALUES (1, 'f')});
is(history('key, field', q{field IS NOT NULL}), 'hash|f', 'a field');

# By the worker, and after a crash
sql(q{SET application_name = 'batch'; INSERT INTO quiet VALUES (1, 1)});
ok(poll_query($node, 'postgres', q{SELECT count(*) = 1 FROM inval_history WHERE key = 'quiet:1'}), 'the worker has delivered it');
is(history('"user", application, command, outcome', q{key = 'quiet:1'}),
	sql('SELECT current_user') . '|batch|INSERT|worker', 'by the worker, and still whose it was');
$redis->freeze;
sql(q{SET inval.commit_timeout = 100; SET application_name = 'before'; INSERT INTO quiet VALUES (2, 1)});
$node->stop('immediate');
$redis->thaw;
$node->start;
ok(poll_query($node, 'postgres', q{SELECT count(*) = 1 FROM inval_history WHERE key = 'quiet:2'}), 'delivered after the crash');
is(history('application, outcome', q{key = 'quiet:2'}), 'before|worker', 'and known whose it was');
sql(q{SET application_name = 'first'; BEGIN; INSERT INTO quiet VALUES (3, 1); PREPARE TRANSACTION 'p'});
sql(q{SET application_name = 'second'; COMMIT PREPARED 'p'});
ok(poll_query($node, 'postgres', q{SELECT count(*) = 1 FROM inval_history WHERE key = 'quiet:3'}), 'prepared');
is(history('application', q{key = 'quiet:3'}), 'first', 'who has written, not who has finished it');

# Refused: said once
$redis->cmd('ACL', 'SETUSER', 'default', '-unlink', '-del');
$redis->cmd('ACL', 'SETUSER', 'default', '-hdel');
sql(q{INSERT INTO hash VALUES (2, 'no')});
ok(poll_query($node, 'postgres', q{SELECT count(*) = 1 FROM inval_history WHERE outcome = 'refused'}), 'refused');
$redis->cmd('ACL', 'SETUSER', 'default', '+@all');
wait_queue_empty($node);
is(history('outcome', q{field = 'no'}), "refused\nworker", 'and then delivered');

# The ring
sql('INSERT INTO lot SELECT generate_series(1, 100)');
is(sql('SELECT count(*), min(key), max(key) FROM inval_history'), '30|lot:100|lot:99', 'the last ones of many');
sql('CREATE DATABASE other');
sql('CREATE EXTENSION inval', 'other');
is(sql('SELECT count(*) FROM inval_history', 'other'), 0, 'other databases have their own');
sql('CREATE ROLE anybody; CREATE ROLE watcher IN ROLE pg_monitor; CREATE ROLE reader');
like(error_of($node, 'SET ROLE anybody; SELECT * FROM inval_history'), qr/permission denied/, 'keys are data');
like(error_of($node, 'SET ROLE watcher; SELECT * FROM inval_history'), qr/permission denied/, 'for who watches, too');
sql('GRANT SELECT ON inval_history TO reader; GRANT EXECUTE ON FUNCTION inval_history_rows() TO reader');
is(sql('SET ROLE reader; SELECT count(*) FROM inval_history'), 30, 'unless it is granted');

# Names as long as they can be, beside rows of keys that are full
sql(sprintf q{CREATE ROLE %s SUPERUSER; SET SESSION AUTHORIZATION %1$s; SET application_name = '%s';
	INSERT INTO lot SELECT generate_series(101, 6000)}, 'u' x 63, 'a' x 63);
wait_queue_empty($node);
is(sql('SELECT DISTINCT length("user"), length(application) FROM inval_history'), '63|63', 'names as long as they can be');

# A purge that goes on in the background
sql(q{SELECT inval_pause(); SET application_name = 'broom'; SELECT inval_purge('dust:*', 'a test'); SELECT inval_resume()});
wait_queue_empty($node);
is(history('action, "user", application, outcome', q{key = 'dust:'}),
	'prefix|' . sql('SELECT current_user') . '|broom|worker', 'a purge, and whose it was');

# How many keys were there, each rule by itself
sub removed
{
	my ($key) = @_;

	return sql("SELECT sum(s.keys_removed) FROM inval_stats s, inval_rule r WHERE r.id = s.rule AND r.key = '$key'");
}

sql('SELECT inval_stats_reset()');
$redis->cmd('MSET', map { ("article:$_", 1) } 1 .. 50);
$redis->cmd('MSET', map { ("list:$_", 1) } 1 .. 3);
sql('INSERT INTO article SELECT generate_series(1, 100)');
is(removed('article:{id}') . '/' . removed('list:{id}'), '50/3', 'keys of rules that feed one transaction');
is($redis->calls('unlink') > 0, 1, 'they share commands');
$redis->cmd('HSET', 'hash', 'f', 1);
sql(q{UPDATE hash SET field = 'g' WHERE field = 'f'});
is(removed('hash'), 1, 'fields');
$redis->cmd('SET', 'quiet:1', 1);
sql('UPDATE quiet SET n = 2');
ok(poll_query($node, 'postgres', q{SELECT sum(delivered_by_worker) = 3 FROM inval_stats s, inval_rule r
	WHERE r.id = s.rule AND r.key = 'quiet:{id}'}), 'the worker has delivered');
is(removed('quiet:{id}'), 1, 'and counted');
sql(q{SELECT inval_track('lot', key => 'set:{id}', action => 'members')});
$redis->cmd('SADD', 'set:1', 'm1', 'm2');
$redis->cmd('MSET', 'm1', 1, 'm2', 2);
sql('UPDATE lot SET n = 1 WHERE id = 1');
is(removed('set:{id}'), 2, 'members');
$redis->cmd('MSET', 'pre:1:a', 1, 'pre:1:b', 2);
sql(q{SELECT inval_track('lot', key => 'pre:{id}:', action => 'prefix'); UPDATE lot SET n = 2 WHERE id = 1});
wait_queue_empty($node);
is(removed('pre:{id}:'), 2, 'by prefix');

# On time
is(sql(q{SELECT target, deliveries > 0, on_time = deliveries, overdue, share FROM inval_slo('1 hour')}),
	'default|t|t|0|1', 'all of it was on time');
is(sql(q{SELECT on_time, share FROM inval_slo('1 microsecond')}), '0|0', 'and none of it within a microsecond');
$redis->freeze;
sql('SET inval.commit_timeout = 100; INSERT INTO article VALUES (1000)');
ok(poll_query($node, 'postgres', q{SELECT overdue = 2 AND share < 1 FROM inval_slo('1 millisecond')}), 'what is owed for longer is late already');
$redis->thaw;
wait_queue_empty($node);
is(sql(q{SELECT overdue FROM inval_slo()}), 0, 'until it is delivered');
for my $bad ('0', '-1 second', '20 hours')
{
	like(error_of($node, "SELECT * FROM inval_slo('$bad')"), qr/the bound of inval_slo is out of range/, "not $bad");
}

# What the server says
$redis->cmd('GET', 'nobody');
ok(poll_query($node, 'postgres', q{SELECT server_misses > 0 AND server_hits >= 0 AND server_evicted_keys = 0 AND server_used_memory > 0
	FROM inval_target_status}), 'what the server says of itself');

# A restart in order, and one that is none
my $before = sql('SELECT * FROM inval_stats ORDER BY rule, target');
like($before, qr/\|50\b/, 'there is something to be kept');
$node->restart;
is(sql('SELECT * FROM inval_stats ORDER BY rule, target'), $before, 'statistics outlast a restart');
my $victim = $node->background_psql('postgres');
kill 'KILL', $victim->query_safe('SELECT pg_backend_pid()');
abandon($victim);
ok(poll_query($node, 'postgres', 'SELECT coalesce(sum(keys_queued), 0) FROM inval_stats', 0), 'and begin anew after a crash');
my $file = $node->data_dir . '/pg_stat/inval.stat';
my $damaged = 0;
for my $damage (sub { substr($_[0], 0, 100) }, sub { substr($_[0], 0, -1) }, sub { "$_[0]x" }, sub { '' })
{
	sql('INSERT INTO quiet VALUES (' . (10 + $damaged) . ', 1); INSERT INTO lot VALUES (' . (10000 + $damaged++) . ')');
	wait_queue_empty($node);
	$node->stop;
	my $content = slurp_file($file);
	open my $handle, '>', $file or die $!;
	print $handle $damage->($content);
	close $handle;
	$node->start;
	is(sql('SELECT coalesce(sum(keys_queued), 0) FROM inval_stats'), 0, 'what is damaged is not read');
	is(times_logged($node, qr/statistics of inval begin anew/), $damaged, 'which is said');
	ok(!-e $file, 'nor kept');
}

done_testing();
