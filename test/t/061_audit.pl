# Audits: of keys chosen at random, is what the target holds what the database says?  And
# orphans: keys that no row feeds any more.
#
# INVAL_ROUNDS audits more often while rows are being changed.

use strict;
use warnings;

use IPC::Run ();
use Inval::Cluster;
use Inval::Test;
use Test::More;
use Time::HiRes ();

my $redis = Inval::Redis->new;
my $node = new_node('audit', url => $redis->unix_url,
	conf => "inval.commit_timeout = '2s'\ninval.sweep_interval = '50ms'\n" .
		"inval.refill_timeout = '10s'\n");

sub sql
{
	my ($statement) = @_;

	return $node->safe_psql('postgres', $statement);
}

# What an audit says of a key; of all of them, if none is given.
sub verdict
{
	my ($rule, $key) = @_;
	my %found = map { split /=/, $_, 2 }
	  split /\n/, sql("SELECT key || '=' || verdict || coalesce(', ' || detail, '') FROM inval_audit($rule)");

	return defined $key ? $found{$key} // '' : \%found;
}

sub counted
{
	my ($rule, $column) = @_;

	return sql("SELECT coalesce(sum($column), 0) FROM inval_stats WHERE rule = $rule");
}

# Waits until nothing of a rule is queued.
sub delivered
{
	my ($rule) = @_;

	return poll_query($node, 'postgres', "SELECT count(*) FROM inval_queue WHERE rule = $rule", '0');
}

ok(poll_until(sub { $redis->cmd('FCALL', 'inval_version', 0) }, 'the library'),
	'the worker has loaded the functions');

# ---------------------------------------------------------------------------
# Verdicts
# ---------------------------------------------------------------------------

my $rule = sql(q{
	CREATE TABLE doc (id int PRIMARY KEY, body text, data jsonb, picture bytea);
	INSERT INTO doc SELECT i, 'body ' || i, jsonb_build_object('b', 1, 'a', i), '\x00ff' FROM generate_series(1, 9) i;
	SELECT inval_track('doc', 'id', audit => 'SELECT body FROM doc WHERE id = {id}')});
$redis->cmd('SET', 'doc:1', 'body 1');
$redis->cmd('SET', 'doc:2', 'body 1');
$redis->cmd('SET', 'doc:4', "\x80\x04\x95\x01");
$redis->cmd('SET', 'doc:5', "\x1f\x8b\x08");
$redis->cmd('HSET', 'doc:6', 'a', 'b');
$redis->cmd('SET', 'doc:7', 'old');
$redis->cmd('FCALL', 'inval_fence', 1, 'doc:7:inval-fence{doc:7}', 'somebody', 60_000);
$redis->cmd('FCALL', 'inval_get', 1, 'doc:8', 60_000);
is_deeply(
	verdict($rule),
	{
		'doc:1' => 'fresh',
		'doc:2' => 'stale, another value',
		'doc:3' => 'missing',
		'doc:4' => 'unknown, not a text',
		'doc:5' => 'unknown, not a text',
		'doc:6' => 'unknown, not a string, but: hash',
		'doc:7' => 'skipped, fenced',
		'doc:8' => 'skipped, a reader is filling it',
		'doc:9' => 'missing'
	},
	'each verdict');
is(counted($rule, 'audited'), 7, 'what was compared is counted');
is(counted($rule, "audit_$_->[0]"), $_->[1], "$_->[0] is")
  foreach [ 'fresh', 1 ], [ 'missing', 2 ], [ 'stale', 1 ], [ 'unknown', 3 ], [ 'failed', 0 ];
$redis->cmd('DEL', 'doc:7:inval-fence{doc:7}', 'doc:8:inval-lease{doc:8}');
is(verdict($rule, 'doc:7'), 'stale, another value', 'without its fence it is stale');

# No row, or NULL: nothing should be there
sql('UPDATE doc SET body = NULL WHERE id = 3');
is(verdict($rule, 'doc:3'), 'fresh', 'nothing where nothing should be');
$redis->cmd('SET', 'doc:3', 'x');
is(verdict($rule, 'doc:3'), 'stale, there should be nothing', 'something where nothing should be');
$redis->cmd('DEL', 'doc:3');

# A value that a reader knows to be stale, at the end of its life
my $token = $redis->cmd('FCALL', 'inval_get', 1, 'doc:9', 60_000)->[1];
$redis->cmd('FCALL', 'inval_set', 1, 'doc:9', $token, 'old', 1, 60_000);
ok(poll_until(sub { verdict($rule, 'doc:9') =~ /kept/ }, 'stale at its end'),
	'a value that is kept until it is filled is skipped');
$redis->cmd('DEL', 'doc:9', 'doc:9:inval-stale{doc:9}');

# JSON, and bytes
my $json = sql(q{SELECT inval_track('doc', key => 'json:{id}', audit => 'SELECT data::text FROM doc WHERE id = {id}')});
$redis->cmd('SET', 'json:1', '{"b":1,"a":1}');
$redis->cmd('SET', 'json:2', '{"b":1,"a":1}');
$redis->cmd('SET', 'json:4', 'none');
is(verdict($json, 'json:1'), 'fresh, the same JSON', 'JSON that means the same is');
is(verdict($json, 'json:2'), 'stale, another value', 'another JSON is stale');
is(verdict($json, 'json:4'), 'unknown, not JSON', 'what is none is in another format');
my $bytes = sql(q{SELECT inval_track('doc', key => 'bytes:{id}', audit => 'SELECT picture FROM doc WHERE id = {id}')});
$redis->cmd('SET', 'bytes:1', "\x00\xff");
$redis->cmd('SET', 'bytes:2', "\x00\xfe");
is(verdict($bytes, 'bytes:1'), 'fresh', 'bytes are compared');
is(verdict($bytes, 'bytes:2'), 'stale, another value', 'as bytes');

# What is queued, for whatever rule; and a target that is away
my $again = sql(q{SELECT inval_track('doc', key => 'again:{id}', repeat_after => '1 hour',
	audit => 'SELECT body FROM doc WHERE id = {id}')});
$redis->cmd('SET', "again:$_", 'old') foreach 1, 2;
sql(q{UPDATE doc SET body = 'new' WHERE id = 1});
$redis->cmd('SET', 'again:1', 'old');
is(verdict($again, 'again:1'), 'skipped, queued', 'what is to be removed once more is skipped');
is(verdict($again, 'again:2'), 'stale, another value', 'and what is not is stale');
sql(q{SELECT inval_pause(); SELECT inval_touch('again:', 'prefix', 'background')});
is(verdict($again, 'again:2'), 'skipped, queued', 'so is what a prefix will remove');
is(verdict($rule, 'doc:2'), 'skipped, the target is paused', 'a paused target is not asked');
sql('SELECT inval_resume()');
ok(poll_until(sub { verdict($again, 'again:2') eq 'missing' }, 'the removal of a prefix'), 'which it does');

# Not committed, rolled back, prepared: others see the old value, which is right.
$redis->cmd('SET', 'doc:1', 'new');
is(verdict($rule, 'doc:1'), 'fresh', 'a value');
my $session = $node->background_psql('postgres');
$session->query_safe(q{BEGIN; UPDATE doc SET body = 'newer' WHERE id = 1});
is(verdict($rule, 'doc:1'), 'fresh', 'is fresh while another is not committed');
{
	my $told = '';

	$node->psql('postgres', "SET inval.progress_interval = 0; SELECT count(*) FROM inval_audit($rule, 10)",
		stderr => \$told);
	like($told, qr/^psql:\S+ NOTICE:  inval audit of target "default": \d+ of \d+$/m, 'who waits is told how far it is');
}
$session->query_safe(q{PREPARE TRANSACTION 'inval audit'});
is(verdict($rule, 'doc:1'), 'fresh', 'or prepared');
$session->query_safe(q{COMMIT PREPARED 'inval audit'});
ok(poll_until(sub { !defined $redis->cmd('GET', 'doc:1') }, 'the commit'), 'and then it is gone');

# The state that others see, in any isolation level
$session->query_safe(q{BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM doc});
sql(q{UPDATE doc SET body = 'newest' WHERE id = 1});
$redis->cmd('SET', 'doc:1', 'newest');
is($session->query_safe("SELECT verdict FROM inval_audit($rule) WHERE key = 'doc:1'"), 'fresh',
	'what is committed counts, not what the caller sees');
$session->query_safe('COMMIT');
$session->quit;

# ---------------------------------------------------------------------------
# Drift is found, and mended
# ---------------------------------------------------------------------------

$redis->cmd('SET', 'doc:2', 'drift');
sql("BEGIN; SELECT count(*) FROM inval_audit($rule, repair => true); ROLLBACK");
is($redis->cmd('GET', 'doc:2'), 'drift', 'a repair that is rolled back is none');
is( sql("SELECT key, detail FROM inval_audit($rule, repair => true) WHERE verdict = 'stale' AND key = 'doc:2'"),
	'doc:2|another value; its removal is queued', 'drift is found, and said to be repaired');
is($redis->cmd('EXISTS', 'doc:2'), 0, 'it is, when COMMIT returns');
is($redis->cmd('GET', 'doc:4'), "\x80\x04\x95\x01", 'what is in another format stays');
sql("SELECT inval_pause($rule)");
$redis->cmd('SET', 'doc:2', 'drift');
sql("SELECT count(*) FROM inval_audit($rule, repair => true)");
is($redis->cmd('GET', 'doc:2'), 'drift', 'while its rule is paused it is held back');
is(verdict($rule, 'doc:2'), 'skipped, queued', 'which is no drift any more');
sql("SELECT inval_resume($rule)");
ok(poll_until(sub { !$redis->cmd('EXISTS', 'doc:2') }, 'the repair'), 'and goes on with the others');
is(verdict($rule, 'doc:2'), 'missing', 'a reader would fill it');
is(sql("SELECT count(*) FROM inval_audit($rule) WHERE verdict = 'stale'"), 0, 'no key is stale any more');

my $strict = sql(q{SELECT inval_track('doc', key => 'strict:{id}', delivery => 'strict',
	audit => 'SELECT body FROM doc WHERE id = {id}')});
$redis->cmd('SET', 'strict:2', 'drift');
sql("SELECT count(*) FROM inval_audit($strict, repair => true)");
is($redis->cmd('EXISTS', 'strict:2'), 0, 'the same for a strict rule');
sql(q{BEGIN; SAVEPOINT s; UPDATE doc SET body = 'never' WHERE id = 2; ROLLBACK TO s;
	UPDATE doc SET body = 'strictly' WHERE id = 2; COMMIT});
is(verdict($strict, 'strict:2'), 'missing', 'whose commits leave nothing');

# By a rule that nobody applies: the drift is that of the database, too.
my $hole = sql(q{
	CREATE TABLE label (doc_id int, name text);
	INSERT INTO label VALUES (1, 'x');
	SELECT inval_track('doc', key => 'labels:{id}',
		audit => 'SELECT string_agg(name, '','') FROM label WHERE doc_id = {id}')});
$redis->cmd('SET', 'labels:1', 'x');
is(verdict($hole, 'labels:1'), 'fresh', 'what is read of another table');
sql(q{UPDATE label SET name = 'y'});
is(verdict($hole, 'labels:1'), 'stale, another value', 'is stale when that is changed and not tracked');

# ---------------------------------------------------------------------------
# Samples
# ---------------------------------------------------------------------------

my $parted = sql(q{
	CREATE TABLE parted (id int, team_id int, pad text) PARTITION BY RANGE (id);
	CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (20000);
	CREATE TABLE parted_2 (pad text, gone int, team_id int, id int);
	ALTER TABLE parted_2 DROP COLUMN gone;
	ALTER TABLE parted ATTACH PARTITION parted_2 FOR VALUES FROM (20000) TO (40000);
	CREATE TABLE parted_3 PARTITION OF parted FOR VALUES FROM (40000) TO (50000);
	INSERT INTO parted SELECT i, i / 2, repeat('x', 500) FROM generate_series(0, 39999) i;
	ANALYZE;
	SELECT inval_track('parted', key => 'part:{id}', audit => 'SELECT {team_id}::text')});
my $before = sql(q{SELECT sum(heap_blks_read + heap_blks_hit) FROM pg_statio_user_tables WHERE relname LIKE 'parted%'});
is(sql("SELECT count(*) BETWEEN 20 AND 50 FROM inval_audit($parted, 50)"), 't', 'a sample of a large table');
ok( poll_query($node, 'postgres',
		qq{SELECT sum(heap_blks_read + heap_blks_hit) - $before BETWEEN 1 AND 600
			FROM pg_statio_user_tables WHERE relname LIKE 'parted%'}), 'reads a small part of it');
is( sql("SELECT count(DISTINCT substr(key, 6)::int / 20000) FROM inval_audit($parted, 200)"), 2,
	'from each partition');
isnt(
	sql("SELECT string_agg(key, ' ' ORDER BY key) FROM inval_audit($parted, 20)"),
	sql("SELECT string_agg(key, ' ' ORDER BY key) FROM inval_audit($parted, 20)"),
	'another one each time');
$redis->cmd('SET', "part:$_", int($_ / 2)) foreach 0 .. 39999;
is(sql("SELECT string_agg(DISTINCT verdict, ' ') FROM inval_audit($parted, 500)"), 'fresh',
	'rows are read as the tracked table has them');
sql('DELETE FROM parted WHERE id > 10');
sql('VACUUM FULL parted_1; VACUUM FULL parted_2');
is(sql("SELECT count(*) FROM inval_audit($parted, 100)"), 11, 'all of a small one');
sql("SELECT inval_untrack_rule($parted)");

# Keys of a query of via, and of variables
my $via = sql(q{
	CREATE TABLE tag (id int PRIMARY KEY, name text);
	CREATE TABLE tagging (tag_id int, doc_id int);
	INSERT INTO tag VALUES (1, 'a');
	INSERT INTO tagging VALUES (1, 1), (1, 2);
	SELECT inval_set_var('release', 'one', 'two');
	SELECT inval_track('tag', key => 'tagged:{doc_id}:{$release}',
		via => 'SELECT doc_id FROM tagging WHERE tag_id = {id}',
		audit => 'SELECT {doc_id} || {name}')});
$via =~ s/\s+//g;
$redis->cmd('SET', 'tagged:1:one', '1a');
$redis->cmd('SET', 'tagged:2:two', '1a');
is_deeply(
	verdict($via),
	{ 'tagged:1:one' => 'fresh', 'tagged:1:two' => 'missing', 'tagged:2:one' => 'missing',
		'tagged:2:two' => 'stale, another value' },
	'keys of a query, and of variables');

# ---------------------------------------------------------------------------
# Writers at work: what is put back under leases is never stale
# ---------------------------------------------------------------------------

my $busy = sql(q{
	CREATE TABLE busy (id int PRIMARY KEY, n bigint);
	INSERT INTO busy SELECT i, 0 FROM generate_series(1, 300) i;
	SELECT inval_track('busy', 'id', ttl => '1 hour', refill => 'SELECT n::text FROM busy WHERE id = {id}')});
my $later = sql(q{
	CREATE TABLE note (id int PRIMARY KEY, busy_id int REFERENCES busy);
	INSERT INTO note SELECT i, i FROM generate_series(1, 20) i;
	SELECT inval_track('busy', key => 'note:{note}', delivery => 'background', fence => true,
		via => 'SELECT id AS note FROM note WHERE busy_id = {id}',
		audit => 'SELECT n::text FROM busy JOIN note ON busy.id = busy_id WHERE note.id = {note}')});
open(my $load, '>', $node->basedir . '/load.sql') or die $!;
print $load <<'END';
\set id random(1, 300)
\set way random(1, 8)
\set name random(1, 1000000000)
BEGIN;
UPDATE busy SET n = n + 1 WHERE id = :id;
\if :way = 1
ROLLBACK;
\elif :way = 2
SAVEPOINT s;
UPDATE busy SET n = n - 1 WHERE id = :id;
ROLLBACK TO s;
COMMIT;
\elif :way = 3
UPDATE busy SET n = n - 1 WHERE id = :id;
COMMIT;
\elif :way = 4
PREPARE TRANSACTION 'p:name';
COMMIT PREPARED 'p:name';
\else
COMMIT;
\endif
\sleep 2 ms
END
close($load);
my @writers = map {
	IPC::Run::start(
		[ 'pgbench', '-n', '-c', 2, '-T', 3600, '-f', $node->basedir . '/load.sql',
			'-h', $node->host, '-p', $node->port, 'postgres' ],
		'>', '/dev/null', '2>', '/dev/null')
} 1 .. 2;

# A reader that is not the worker, as slow as readers are
my $reader = fork // die "cannot fork: $!";
if ($reader == 0)
{
	my $own = $redis->another;

	while (1)
	{
		my $id = 1 + int rand 20;
		my $key = (rand() < 0.2 ? 'busy:' : 'note:') . $id;
		my ($word, $lease) = @{ $own->cmd('FCALL', 'inval_get', 1, $key, 5000) };

		last if -e $node->basedir . '/enough';
		next if $word ne 'fill';
		my $n = `psql -XAtq -h '@{[$node->host]}' -p @{[$node->port]} postgres -c "SELECT n FROM busy WHERE id = $id"`;
		chomp $n;
		$own->cmd('FCALL', 'inval_set', 1, $key, $lease, $n, 3_600_000);
	}
	require POSIX;
	POSIX::_exit(0);
}
my %seen = ($busy => {}, $later => {});
for my $round (1 .. ($ENV{INVAL_ROUNDS} || 2))
{
	foreach my $line (split /\n/,
		sql(qq{SELECT rule, verdict || coalesce(', ' || detail, ''), count(*)
			FROM generate_series(1, 20) g, (VALUES ($busy), ($later)) r (rule),
				inval_audit(rule, 50 + g * 0) GROUP BY 1, 2}))
	{
		my ($of, $found, $count) = split /\|/, $line;

		$seen{$of}{$found} += $count;
	}
}
$_->kill_kill foreach @writers;
open(my $enough, '>', $node->basedir . '/enough') or die $!;
waitpid($reader, 0);
foreach my $of ($busy, $later)
{
	my %found = %{ $seen{$of} };

	note counts_text(%found);
	is(scalar(grep { /^stale|^unknown/ } keys %found), 0,
		'nothing that is just being changed is called stale');
	cmp_ok($found{fresh} // 0, '>', 0, 'and some is fresh all the time');
	cmp_ok(($found{'skipped, queued'} // 0) + ($found{'skipped, changed meanwhile'} // 0), '>', 0,
		'while some was being changed');
}
ok(poll_query($node, 'postgres',
		q{SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgbench'}, '0'),
	'the writers are gone');
$node->safe_psql('postgres', "ROLLBACK PREPARED '$_'")
  foreach split /\n/, sql('SELECT gid FROM pg_prepared_xacts');
ok(poll_until(sub { (grep { !/^fresh|^missing/ } values %{ verdict($busy) }) == 0 }, 'peace'),
	'and when they are, all is fresh or missing');
is(counted($_, 'audit_stale'), 0, 'none was counted') foreach $busy, $later;

# ---------------------------------------------------------------------------
# By itself
# ---------------------------------------------------------------------------

sql("SELECT inval_untrack_rule($_)") foreach $json, $bytes, $again, $hole, $via, $busy, $later, $strict;
my $failing = sql(q{SELECT inval_track('doc', key => 'failing:{id}', audit => 'SELECT (1 / (id - id))::text FROM doc WHERE id = {id}')});
my $slow = sql(q{SELECT inval_track('doc', key => 'slow:{id}', audit => 'SELECT pg_sleep(30)::text FROM doc WHERE id = {id}')});
$redis->cmd('SET', 'doc:2', 'drift');
sql('SELECT inval_stats_reset()');
my $pid = worker_pid($node, 'postgres');
is(counted($rule, 'audited'), 0, 'no audits unless they are asked for');
$node->append_conf('postgresql.conf', "inval.audit_interval = '50ms'\ninval.refill_timeout = '200ms'\n");
reload($node);
ok(poll_query($node, 'postgres', "SELECT sum(audit_stale) > 0 FROM inval_stats WHERE rule = $rule"),
	'the worker finds drift');
is($redis->cmd('GET', 'doc:2'), 'drift', 'and repairs nothing');
ok(poll_query($node, 'postgres', "SELECT sum(audit_failed) > 1 FROM inval_stats WHERE rule = $failing"),
	'a query that fails is counted');
ok(poll_query($node, 'postgres', "SELECT sum(audit_failed) > 1 FROM inval_stats WHERE rule = $slow"),
	'so is one that takes too long');
is(times_logged($node, qr/inval rule $failing could not be audited: division by zero/), 1,
	'the log says it once');
is(times_logged($node, qr/inval rule $slow could not be audited/), 1, 'of each');
is(worker_pid($node, 'postgres'), $pid, 'the worker goes on');
$redis->cmd('SET', 'doc:1', 'x');
sql(q{UPDATE doc SET body = 'delivered' WHERE id = 1});
is($redis->cmd('EXISTS', 'doc:1'), 0, 'and delivery with it');
sql("SELECT inval_untrack_rule($slow), inval_untrack_rule($failing)");
$node->append_conf('postgresql.conf', "inval.audit_interval = 0\n");
reload($node);

# ---------------------------------------------------------------------------
# Orphans
# ---------------------------------------------------------------------------

sub orphans
{
	my ($arguments) = @_;

	return sql("SELECT string_agg(key || ' ' || reason, ', ' ORDER BY key COLLATE \"C\") FROM inval_orphans($arguments)");
}

$redis->cmd('FLUSHALL');
ok(poll_until(sub { eval { $redis->cmd('FCALL', 'inval_version', 0) } }, 'the library'), 'the functions are there');
$redis->cmd('SET', $_, 'x')
  foreach 'doc:1', 'doc:77', 'doc:-5', 'doc:99999999999', 'doc:007', 'doc:x', 'doc:77:x', 'other:77',
  'doc:88:inval-lease{doc:88}';
$redis->cmd('PEXPIRE', 'doc:77', 3_600_000);
is(orphans($rule), 'doc:-5 no row, doc:77 no row, doc:99999999999 no row', 'keys that no row feeds');
is($redis->cmd('DBSIZE'), 9, 'stay in a dry run');
is( sql("SELECT idle IS NOT NULL, ttl BETWEEN '50 minutes' AND '1 hour' FROM inval_orphans($rule) WHERE key = 'doc:77'"),
	't|t', 'with what the target knows of their lives');
is(sql("SELECT count(*) FROM inval_orphans($rule, max_keys => 2)"), 2, 'as many as are wanted');
sub orphans_notice
{
	my ($most) = @_;
	my $notice;

	$node->psql('postgres', "SELECT count(*) FROM inval_orphans($rule, max_keys => $most)", stderr => \$notice);
	return $notice;
}
like(orphans_notice(2), qr/There may be more/, 'which is said');
unlike(orphans_notice(3), qr/There may be more/, 'only if there may be more');
sql("BEGIN; SELECT count(*) FROM inval_orphans($rule, true); ROLLBACK");
is(counted($rule, 'orphans'), 0, 'what is rolled back removes nothing');
sql("SELECT count(*) FROM inval_orphans($rule, true)");
ok(delivered($rule), 'the removal is delivered');
is(join(' ', sort @{ $redis->cmd('KEYS', '*') }),
	'doc:007 doc:1 doc:77:x doc:88:inval-lease{doc:88} doc:x other:77', 'of these, and of nothing else');
is(counted($rule, 'orphans'), 3, 'they are counted');
is(orphans($rule), '', 'no orphan is left');
$redis->cmd('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lfu');
$redis->cmd('SET', 'doc:77', 'x');
is(sql("SELECT key, idle IS NULL FROM inval_orphans($rule)"), 'doc:77|t', 'what the target does not know is NULL');
$redis->cmd('CONFIG', 'SET', 'maxmemory-policy', 'noeviction');

my $release = sql(q{SELECT inval_track('doc', key => 'page:{id}:{$release}')});
my $text = sql(q{SELECT inval_track('doc', key => 'text:{body}:{id}')});
sql(q{UPDATE doc SET body = 'a:1' WHERE id = 1});
$redis->cmd('SET', $_, 'x') foreach 'page:1:one', 'page:1:zero', 'page:77:two', 'text:a:1:1', 'text:a:2:1', 'text::1';
is(orphans($release), 'page:1:zero not a value of {$release}, page:77:two no row', 'variables of before');
is(orphans($text), 'text::1 no row, text:a:2:1 no row', 'a text with what stands between values');

# A namespace and a rate
sql(sprintf q{SELECT inval_add_target('slow', '%s', max_rate => 40, namespace => 'ours:')}, $redis->unix_url);
my $ours = sql(q{SELECT inval_track('doc', key => 'ours:{id}', targets => '{slow}', audit => 'SELECT {body}')});
$redis->cmd('SET', "ours:$_", 'x') foreach 1001 .. 1020;
my $started = Time::HiRes::time();
is(sql("SELECT count(*) FROM inval_orphans($ours, true)"), 20, 'those of another target');
ok(delivered($ours), 'are removed');
cmp_ok(Time::HiRes::time() - $started, '>', 1, 'within its rate');
is(scalar @{ $redis->cmd('KEYS', 'ours:*') }, 0, 'all of them');
sql('INSERT INTO doc SELECT i, i FROM generate_series(5001, 5025) i');
ok(delivered($ours), 'more rows');
$started = Time::HiRes::time();
is(sql("SELECT string_agg(DISTINCT verdict, ' ') FROM inval_audit($ours)"), 'fresh missing', 'an audit');
cmp_ok(Time::HiRes::time() - $started, '>', 1, 'keeps to the rate, too');
$node->append_conf('postgresql.conf', "inval.audit_interval = '50ms'\n");
reload($node);
ok(poll_query($node, 'postgres', "SELECT sum(audited) > 40 FROM inval_stats WHERE rule = $ours AND target = 'slow'"),
	'and so does the worker of that target, who audits it by himself');
$node->append_conf('postgresql.conf', "inval.audit_interval = 0\n");
reload($node);

sql('DELETE FROM doc WHERE id > 5000');

# A target that does not answer: the session goes on with another connection.
$redis->cmd('SET', 'doc:1', 'x');
$session = $node->background_psql('postgres', on_error_stop => 0);
like($session->query("SELECT verdict FROM inval_audit($rule) WHERE key = 'doc:1'"), qr/stale/, 'a session with a connection');
$session->query(q{SET statement_timeout = '300ms'});
$redis->freeze;
$session->query("SELECT verdict FROM inval_audit($rule)");
$redis->thaw;
$session->query('RESET statement_timeout');
ok(poll_until(
		sub { $session->query("SELECT verdict FROM inval_audit($rule) WHERE key = 'doc:1'") =~ /stale/ },
		'the session'), 'is cancelled while the target is frozen, and goes on');
$session->quit;
$redis->stop;
like(verdict($rule, 'doc:1'), qr/^skipped, the target/, 'of a target that is away nothing is said');
ok(poll_until(sub { error_of($node, "SELECT inval_orphans($rule)") =~ /could not search/ }, 'the search'),
	'nor is it searched');
$redis->start;
no_crash($node, 'no crash');

# ---------------------------------------------------------------------------
# A cluster
# ---------------------------------------------------------------------------

my $cluster = Inval::Cluster->new;
sql(sprintf q{SELECT inval_add_target('cluster', '%s')}, $cluster->url);
my $routed = sql(q{SELECT inval_track('doc', key => 'on:{id}', targets => '{cluster}',
	audit => 'SELECT body FROM doc WHERE id = {id}')});
$cluster->set("on:$_", 'old') foreach 1 .. 9, 101 .. 109;
is(sql("SELECT string_agg(DISTINCT verdict, ' ') FROM inval_audit($routed) WHERE key <> 'on:3'"), 'stale',
	'keys of all nodes of a cluster are audited');
is(sql("SELECT count(*) FROM inval_orphans($routed)"), 9, 'and searched');

done_testing();
