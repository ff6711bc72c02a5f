# inval_purge: removes keys by a glob pattern in the session that calls it, leaves a
# record that is neither published nor lost, and goes on in the background when the
# target is away.

use strict;
use warnings;

use Inval::Cluster;
use Inval::Peer;
use Inval::Test;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $redis = Inval::Redis->new;
my $node = new_node('purge', url => $redis->unix_url, conf => join "\n",
	"wal_level = logical",
	'inval.log_keys = on',
	"inval.retry_max = '200ms'",
	"inval.sweep_interval = '100ms'",
	"inval.commit_timeout = '2s'");

sub sql
{
	my ($statement) = @_;

	return $node->safe_psql('postgres', $statement);
}

sub logged
{
	my ($target) = @_;

	return sql("SELECT pattern, reason, count, state, finished_at IS NULL FROM inval_purge_log
		WHERE target = '$target' ORDER BY id DESC LIMIT 1");
}

# What Redis's patterns can say
my @keys = ('team:1:a', 'team:1:b', 'team:2:a', 'team:11:a', 'tea', 'steam:1:a', 'team:1', 'team:*:a', 'team:[1]:a');
foreach my $case (
	[ 'team:1:*', 'team:1:a', 'team:1:b' ],
	[ 'team:?:a', 'team:1:a', 'team:2:a', 'team:*:a' ],
	[ 'team:[12]:a', 'team:1:a', 'team:2:a' ],
	[ 'team:[1-1]:a', 'team:1:a' ],
	[ 'team:[^-1]:a', 'team:2:a', 'team:*:a' ],
	[ 'team:\\*:a', 'team:*:a' ],
	[ 'team:\\[1\\]*', 'team:[1]:a' ],
	[ 'team:1', 'team:1' ],
	[ 'none*' ])
{
	my ($pattern, @gone) = @$case;
	my %gone = map { $_ => 1 } @gone;

	$redis->cmd('SET', $_, 'v') foreach @keys;
	is(sql("SELECT inval_purge('$pattern', 'a test')"), scalar(@gone), "$pattern: returns how many");
	is(join(' ', $redis->existing(@keys)), join(' ', grep { !$gone{$_} } @keys),
		"$pattern: those are gone, and no others");
	is(logged('default'), "$pattern|a test|" . @gone . '|done|f', "$pattern: is in the log");
}

# What is refused, and removes nothing
foreach my $case (
	[ q{NULL, 'r'}, 'pattern must not be null' ], [ q{'team:*', NULL}, 'reason must not be null' ],
	[ q{'team:*', ''}, 'reason must not be empty' ], [ q{'team:*', E' \n'}, 'reason must not be empty' ],
	[ q{'team:*', 'r', NULL}, 'target must not be null' ], [ q{'', 'r'}, 'pattern must not be empty' ],
	[ q{'*', 'r'}, 'must start with literal' ], [ q{'?eam:*', 'r'}, 'must start with literal' ],
	[ q{'[t]eam:*', 'r'}, 'must start with literal' ], [ q{'team:[1', 'r'}, 'cannot be used' ],
	[ q{'team:\\', 'r'}, 'cannot be used' ], [ q{'a*b*c*d*e*', 'r'}, 'cannot be used' ],
	[ q{'team:[a-]', 'r'}, 'cannot be used' ], [ q{'team:\**\**\**\**\**', 'r'}, 'cannot be used' ],
	[ q{repeat('a', 7000) || '*', 'r'}, 'too long' ], [ q{'team:*', repeat('r', 1001)}, 'longer than' ],
	[ q{'team:*', 'r', 'nowhere'}, 'nowhere' ])
{
	like(error_of($node, "SELECT inval_purge($case->[0])"), qr/$case->[1]/, "refused: $case->[0]");
}
like(error_of($node, q{BEGIN READ ONLY; SELECT inval_purge('team:*', 'r')}), qr/read-only/,
	'refused: a transaction that is read-only');
is($redis->cmd('EXISTS', 'team:1:a'), 1, 'refused: nothing is removed');

# Rights
sql(q{
	CREATE ROLE nobody;
	CREATE ROLE operator;
	GRANT EXECUTE ON FUNCTION inval_purge(text, text, text) TO operator;
	REVOKE USAGE ON FOREIGN SERVER inval_target_default FROM PUBLIC});
like(error_of($node, q{SET ROLE nobody; SELECT inval_purge('team:*', 'r')}), qr/permission denied/,
	'rights: not everybody may');
like(error_of($node, q{SET ROLE nobody; SELECT * FROM inval_purge_log}), qr/permission denied/,
	'rights: nor see the log');
like(error_of($node, q{SET ROLE operator; SELECT inval_purge('team:*', 'r')}), qr/permission denied for target/,
	'rights: it takes USAGE on the target');
sql('GRANT USAGE ON FOREIGN SERVER inval_target_default TO operator, PUBLIC');
$redis->cmd('SET', 'team:1:a', 'v');
is(sql(q{SET ROLE operator; SELECT inval_purge('team:1:a', 'by the operator')}), 1, 'rights: with both');
is(sql(q{SELECT who = session_user, role FROM inval_purge_log WHERE reason = 'by the operator'}),
	't|operator', 'rights: the log tells who, and as whom');
ok(times_logged($node, qr/LOG: +inval target "default": purge of "team:1:a" has removed 1 keys/),
	'and so does the server log');

# The record is published nowhere, and nothing can be done to it.
sql('CREATE PUBLICATION everything FOR ALL TABLES');
is(sql(q{SELECT count(*) FROM pg_publication_tables WHERE tablename LIKE 'inval%'}), 0,
	'the record is not published');
sql(q{SELECT pg_create_logical_replication_slot('slot', 'test_decoding')})
  if my $decoding = sql(q{SELECT count(*) FROM pg_available_extensions WHERE name = 'hstore'});
SKIP:
{
	skip 'no test_decoding', 1 unless $decoding;
	sql(q{SELECT inval_purge('nothing:*', 'decoded')});
	is(sql(q{SELECT count(*) FROM pg_logical_slot_get_changes('slot', NULL, NULL)
			WHERE data ~ 'inval'}), 0, 'and not decoded');
	sql(q{SELECT pg_drop_replication_slot('slot')});
}
my $records = sql('SELECT count(*) FROM inval_purge_log');
like(error_of($node, 'REFRESH MATERIALIZED VIEW inval_purge_record'), qr/was left as it is/, 'a REFRESH does nothing');
isnt(error_of($node, 'DELETE FROM inval_purge_record'), '', 'and rows cannot be deleted');
is(sql('SELECT count(*) FROM inval_purge_log'), $records, 'all is there');
$node->stop('immediate');
$node->start;
is(sql('SELECT count(*) FROM inval_purge_log'), $records, 'after a crash, too');

# Leases are void, fences stay.
ok(poll_until(sub { $redis->cmd('FCALL', 'inval_version', 0) }, 'the library'), 'there is the library');
my $lease = $redis->cmd('FCALL', 'inval_get', 1, 'team:7:a', 3_600_000);
$redis->cmd('ZADD', 'team:7:a:inval-fence{team:7:a}', 1, 'owner');
is(sql(q{SELECT inval_purge('team:7:*', 'leases')}), 0, 'leases are no keys');
is($redis->cmd('FCALL', 'inval_set', 1, 'team:7:a', $lease->[1], 'old', 3_600_000), 0,
	'a fill that began before is refused');
is($redis->cmd('EXISTS', 'team:7:a:inval-fence{team:7:a}'), 1, 'a fence stays');

# A large one, at a rate: it shows how far it is, and can be cancelled.
sql("SELECT inval_add_target('slow', '" . $redis->unix_url . "', max_rate => 200, namespace => 'slow:')");
like(error_of($node, q{SELECT inval_purge('slo*', 'r', 'slow')}), qr/namespace/, 'within the namespace only');
$redis->fill('slow:', 1, 5000);
my $session = $node->background_psql('postgres', on_error_stop => 0);
my $pid = $session->query_safe('SELECT pg_backend_pid()');
$session->query_until(qr/started/, "\\echo started\nSELECT inval_purge('slow:*', 'a large one', 'slow');\n");
ok(poll_query($node, 'postgres', q{SELECT progress ~ '^purge: about \d+ %, [1-9]\d* keys removed$'
		FROM inval_target_status WHERE target = 'slow'}), 'its progress is shown');
cmp_ok($redis->cmd('DBSIZE'), '>', 1000, 'it keeps to the rate');
sql("SELECT pg_cancel_backend($pid)");
ok(poll_query($node, 'postgres', q{SELECT progress IS NULL FROM inval_target_status WHERE target = 'slow'}),
	'cancelled: it has ended');
ok(times_logged($node, qr/purge of "slow:\*" was interrupted when it had removed [1-9]\d* keys/), 'cancelled: the log tells');
is(queue_length($node, 'postgres'), 0, 'cancelled: nothing is queued');

# In the midst of it the namespace is changed, or the target is dropped.
my $interrupted = times_logged($node, qr/purge of "slow:\*" was interrupted/);
foreach my $change (
	"SELECT inval_add_target('slow', '" . $redis->unix_url . "', max_rate => 200, namespace => 'slower:')",
	q{SELECT inval_drop_target('slow')})
{
	sql("SELECT inval_add_target('slow', '" . $redis->unix_url . "', max_rate => 200, namespace => 'slow:')");
	$redis->fill('slow:', 1, 5000);
	$session->query_until(qr/changes/, "\\echo changes\nSELECT inval_purge('slow:*', 'changes', 'slow');\n");
	ok(poll_query($node, 'postgres', q{SELECT progress ~ ' [1-9]\d* keys removed$'
			FROM inval_target_status WHERE target = 'slow'}), 'changes: it is on its way');
	# Whoever drops the extension would wait for the record that is to come.
	like(error_of($node, q{SET lock_timeout = '50ms'; DROP EXTENSION inval CASCADE}), qr/lock timeout/,
		'changes: there will be a place for its record');
	sql($change);
	$interrupted++;
	ok(poll_until(sub { times_logged($node, qr/purge of "slow:\*" was interrupted when it had removed [1-9]/) == $interrupted },
			'the end'), 'changes: it ends');
	cmp_ok($redis->cmd('DBSIZE'), '>', 1000, 'changes: before all are gone');
}
sql("SELECT inval_add_target('slow', '" . $redis->unix_url . "', max_rate => 200, namespace => 'slow:')");
$redis->fill('slow:', 1, 5000);

# Redis dies in the midst of it: it goes on in the background.
$redis->cmd('SAVE');
$session->query_until(qr/again/, "\\echo again\nSELECT inval_purge('slow:*', 'dies', 'slow');\n");
ok(poll_query($node, 'postgres', q{SELECT progress ~ ' [1-9]\d* keys removed$'
		FROM inval_target_status WHERE target = 'slow'}), 'dies: it is on its way');
$redis->kill9;
ok(poll_query($node, 'postgres', q{SELECT state FROM inval_purge_log WHERE reason = 'dies'}, 'queued'),
	'dies: it is queued');
is(sql(q{SELECT action, key, field FROM inval_queue}), 'prefix|slow:|slow:*', 'dies: as an entry');
is(sql(q{SELECT count(*) FROM inval_purge_log l JOIN inval_queue q USING (id) WHERE l.count > 0}), 1,
	'dies: with what it has removed so far');
$node->stop('immediate');
$node->start;
abandon($session);
is(queue_length($node, 'postgres'), 1, 'dies: after a crash of PostgreSQL it is still owed');
sql("SELECT inval_add_target('slow', '" . $redis->unix_url . "', namespace => 'slow:')");
$redis->start;
ok(wait_queue_empty($node, 'postgres'), 'dies: it is done when Redis is back');
is(scalar(@{ $redis->cmd('KEYS', 'slow:*') }), 0, 'dies: all are gone');
is(sql(q{SELECT count(*), min(state), bool_and(count > 1000 AND finished_at IS NOT NULL)
		FROM inval_purge_log WHERE reason = 'dies'}), '1|done|t', 'dies: the log tells when, and how many');

# Several at once keep to one rate.
sql("SELECT inval_add_target('shared', '" . $redis->unix_url . "', max_rate => 100, namespace => 'shared:')");
$redis->fill("shared:$_:", 1, 100) foreach 1 .. 4;
my $start = time;
my @sessions = map { $node->background_psql('postgres') } 1 .. 4;
$sessions[ $_ - 1 ]->query_until(qr/sent/, "\\echo sent\nSELECT inval_purge('shared:$_:*', 'shared', 'shared');\n")
  foreach 1 .. 4;
ok(poll_query($node, 'postgres', q{SELECT count(*) = 4 FROM inval_purge_log WHERE reason = 'shared'}),
	'several at once: all are done');
cmp_ok(time - $start, '>', 3, 'several at once: as slowly as one');
$_->quit foreach @sessions;

# Paused, and rolled back
$redis->fill('slow:', 1, 100);
sql("SELECT inval_pause('slow')");
like(error_of($node, q{BEGIN; SELECT inval_purge('slow:*', 'rolled back', 'slow'); ROLLBACK}),
	qr/NOTICE: +target "slow" is paused, so the purge goes on in the background/, 'paused: a notice');
is(queue_length($node, 'postgres'), 0, 'paused: what is rolled back is not queued');
sql(q{BEGIN; SELECT inval_purge('slow:*', 'paused', 'slow');
	SAVEPOINT s; SELECT inval_purge('slow:no*', 'not', 'slow'); ROLLBACK TO s; COMMIT});
is(sql('SELECT string_agg(field, $$,$$) FROM inval_queue'), 'slow:*', 'paused: what is committed is');
sql("SELECT inval_resume('slow')");
ok(wait_queue_empty($node, 'postgres'), 'resumed: it is done');
is(sql(q{SELECT string_agg(reason || ' ' || count || ' ' || state, ',') FROM inval_purge_log
		WHERE reason IN ('paused', 'rolled back', 'not')}), 'paused 100 done', 'resumed: and logged');

# What refuses a key for a reason that may pass is asked again.
my $peer = Inval::Peer->new($redis);
sql("SELECT inval_add_target('liar', '" . $peer->url . "')");
foreach my $lie ('unlink answer -ERR upstream failure\r\n', 'scan answer -LOADING it is\r\n')
{
	$redis->cmd('SET', 'liar:1', 'v');
	$peer->mode("only $lie");
	like(error_of($node, "SELECT inval_purge('liar:*', 'lie', 'liar')"), qr/so the purge goes on in the background/,
		"liar: $lie: a notice");
	is(logged('liar'), 'liar:*|lie|0|queued|t', "liar: $lie: it is queued");
	$peer->mode('pass');
	ok(wait_queue_empty($node, 'postgres'), "liar: $lie: nothing is owed");
	is($redis->cmd('EXISTS', 'liar:1'), 0, "liar: $lie: it is gone when it can be");
	is(logged('liar'), 'liar:*|lie|1|done|f', "liar: $lie: and logged");
}

# A server that does not let us search
$redis->cmd('ACL', 'SETUSER', 'default', '-scan');
like(error_of($node, q{SELECT inval_purge('team:*', 'r')}), qr/cannot be searched: NOPERM/, 'not allowed: an error');
$redis->cmd('ACL', 'SETUSER', 'default', '+scan');

# A cluster
my $cluster = Inval::Cluster->new(replicas => 0);
sql("SELECT inval_add_target('cluster', '" . $cluster->url . "')");
$cluster->fill('cl:', 1, 500);
$cluster->set('cx:1', 'c');
ok(poll_until(sub { sql(q{SELECT inval_purge('cl:*', 'a cluster', 'cluster')}) == 500 }, 'the purge'),
	'cluster: returns how many');
is(scalar($cluster->existing('cx:1', 'c', map { "cl:$_" } 1 .. 500)), 2, 'cluster: those are gone, and no others');

# Without a worker
$cluster->fill('cl:', 1, 100);
$node->append_conf('postgresql.conf', 'inval.workers = 0');
$node->restart;
$redis->cmd('SET', 'team:1:a', 'v');
is(sql(q{SELECT inval_purge('team:1:a', 'alone')}), 1, 'without a worker: it is done in the session');
sql(q{SELECT inval_pause(); SELECT inval_purge('team:2:*', 'drained')});
$redis->cmd('SET', 'team:2:a', 'v');
is(sql(q{SELECT inval_resume(); SELECT inval_drain()}) =~ /1$/ ? 1 : 0, 1, 'without a worker: inval_drain does the rest');
is($redis->cmd('EXISTS', 'team:2:a'), 0, 'without a worker: it is gone');
is(logged('default'), 'team:2:*|drained|1|done|f', 'without a worker: and logged');

no_crash($node, 'no server process crashed');
done_testing();
